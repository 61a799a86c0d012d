# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (scipy carries no types)
"""A network's error at every t, measured once on a few images: what the best steps and variances follow from."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np
import scipy
import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, labels_at
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import not_finite
from ddpm.evaluation.rate import images_of, in_float64
from ddpm.sampling.optimal import Curve
from ddpm.sampling.timesteps import log_snr
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import mean_flat

LEAST = float(torch.finfo(torch.float32).eps) ** 2
"""Smaller errors of a network in float32 are not told from 0, of which there is no logarithm."""
SOME = 40
"""At how many t the error is measured where it is not measured at all of them."""
BELOW, ABOVE, PRECISION = 8.0, 2.0, 0.05
"""How far from the error the decoder's variance is sought, and how exactly: nats of its logarithm."""


@dataclass(frozen=True)
class ErrorAt:
    """What `Curve` says of one t."""

    t: int
    mse_x_0: float
    sigma2_1: float
    L_0: float


def errors(
    p: ReverseProcess,
    data: ImageSet,
    seed: int,
    batch_size: int,
    device: torch.device,
    labels: Labels = None,
    at: Sequence[int] | None = None,
) -> Iterator[ErrorAt]:
    """For t = T..1, or those of `at`, on `data`.

    All images at every t, each with noise of its own and given its label (N,), if there are any. The error is cut at 1,
    which images in [-1, 1] do not exceed when nothing is known of them, and at the fence of `Optimal`.

    Raises:
        Diverged: what the network gives is not finite.
    """
    wide = replace(p, network=in_float64(p.network))
    rows = list(torch.arange(len(data)).split(batch_size))
    images = [images_of(data, part, device) for part in rows]
    noise = [NoiseForEach([generator(seed, "curve", int(row)) for row in part]) for part in rows]
    for t in p.schedule.steps if at is None else at:
        estimates = []
        for part, x_0, draw in zip(rows, images, noise, strict=True):
            given = wide.given(labels_at(labels, part, device))
            with torch.no_grad():
                estimates.append(given.estimate(wide.q.sample(x_0, t, draw(x_0)), t))
        pairs = list(zip(images, estimates, strict=True))
        squares = torch.cat([mean_flat((x_0 - estimate) ** 2) for x_0, estimate in pairs])
        if squares.isnan().any():
            raise not_finite(t)
        error = max(min(float(squares.mean()), 1.0, float(1 / p.schedule.snr[t])), LEAST)
        yield ErrorAt(t, error, *_best_variance(partial(_L_0, p, pairs), error))


def _L_0(p: ReverseProcess, pairs: list[tuple[Tensor, Tensor]], log_var: float) -> float:
    """Nats per coordinate of images x_0 by their estimates, in pairs of batches."""
    shared = pairs[0][0].new_tensor(log_var)
    return float(torch.cat([mean_flat(-p.decoder(x_0, Gaussian(mean, shared))) for x_0, mean in pairs]).mean())


def _best_variance(L_0: Callable[[float], float], error: float) -> tuple[float, float]:
    """The variance with the smallest L_0, and this; not worse than with the error itself. `L_0` is told its logarithm."""
    centre = math.log(error)
    found = scipy.optimize.minimize_scalar(
        L_0, bounds=(centre - BELOW, centre + ABOVE), method="bounded", options={"xatol": PRECISION}
    )
    least, log_var = min((L_0(centre), centre), (float(found.fun), float(found.x)))
    return math.exp(log_var), least


def some_steps(schedule: Schedule, count: int = SOME) -> list[int]:
    """T..1 in part: evenly in log SNR, on which the error is smooth, both ends among them; all where there are no more."""
    return log_snr(schedule, count)[::-1] if count < schedule.T else list(schedule.steps)


def curve(measured: Iterator[ErrorAt], schedule: Schedule) -> Curve:
    """Gathered from `errors`; between the t that were measured by straight lines over log SNR.

    They are lines through the logarithms of error and variance, and the error stays below the fence of `errors`.
    """
    rows = sorted((astuple(found) for found in measured), key=lambda values: values[0])
    t, *values = (np.array(column) for column in zip(*rows, strict=True))
    steps = np.arange(1, schedule.T + 1)
    place = -schedule.log_snr[1:].detach().numpy()
    place = np.where(np.isfinite(place), place, place[np.isfinite(place)].max(initial=0.0) + 1)
    error, variance, L_0 = (np.interp(place, place[t - 1], column) for column in (*map(np.log, values[:2]), values[2]))
    fence = np.minimum(1.0, 1 / np.maximum(schedule.snr[1:].detach().numpy(), LEAST))
    tables = np.minimum(np.exp(error), fence), np.exp(variance), L_0
    measured_there = [
        np.where(np.isin(steps, t), _at(steps, t, own), table) for own, table in zip(values, tables, strict=True)
    ]
    return Curve(
        *(torch.cat([torch.zeros(1, dtype=torch.float64), torch.from_numpy(table)]) for table in measured_there)
    )


def _at(steps: np.ndarray, t: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values at their t as they were measured, to the bit; 0 elsewhere."""
    table = np.zeros(len(steps))
    table[t - 1] = values
    return table
