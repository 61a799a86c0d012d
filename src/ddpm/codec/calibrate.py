"""A profile for a model: which noise levels, and how far off its estimates are there, measured on images.

The images are those it was trained on, or its own samples: anything that it is to code well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ddpm.codec.cells import Cells
from ddpm.codec.denoiser import Denoiser
from ddpm.codec.profile import PLACES, Level, Profile, bins_of_average, number_of_bins
from ddpm.codec.tables import Real, Whole
from ddpm.codec.tiles import Shape
from ddpm.diffusion.reverse import ReverseProcess, unit_clamp


@dataclass(frozen=True)
class Plan:
    """What is chosen by hand: deviations of the noise in units of [-1, 1], bits of a chunk, and of its candidates' numbers.

    Finer steps cost calls of the network and coarser ones bits; below the last, cells are the better code. Measured on
    MNIST (`benchmarks/codec.py`).
    """

    noise: tuple[float, ...] = (4.7, 3.3, 2.35, 1.73, 1.25, 0.94, 0.7, 0.51, 0.39)
    chunk: float = 6.0
    candidates: int = 10


def calibrated(p: ReverseProcess, images: Whole, shape: Shape, levels: int, plan: Plan, *, exact: bool) -> Profile:
    """The profile of a process, from images (n, D) of whole values.

    The network need not be in exact arithmetic here: what is measured is written down, and both sides read it. `exact` says
    whether it can be.
    """
    rng = np.random.default_rng(0)
    half = (levels - 1) / 2
    sigmas = np.sqrt(1 / p.schedule.snr.numpy()[1:])
    alone = unmeasured(p)
    steps = sorted({nearest(sigmas, sigma) for sigma in plan.noise}, reverse=True)
    noisy = [nothing(p), *map(alone, steps)]
    width = max(0, math.ceil(math.log2(2.5 * noisy[-1].sigma * half)))
    fine = [alone(t) for t in fine_steps(sigmas, noisy[-1].sigma, width, half)]
    average = tuple(float(value) for value in images.mean(0).round(1))
    profile = Profile(
        shape=shape,
        levels=levels,
        exact=exact,
        clamped=p.limit is unit_clamp,
        learned=p.variance.outputs > 0,
        average=average,
        noisy=tuple(noisy),
        fine=tuple(fine),
        width=width,
        chunk=plan.chunk,
        candidates=plan.candidates,
        places=zipf(plan.chunk, plan.candidates),
    )
    x_0 = images / half - 1
    denoiser = Denoiser(as_it_is(p), profile)

    def measured(level: Level, x_t: Real) -> Level:
        return replace(level, deviation=deviations(denoiser, level, x_t, images, profile))

    last = noisy[-1]
    away = np.broadcast_to(bins_of_average(profile), images.shape)
    noisy[0] = replace(noisy[0], deviation=by_bin(away, np.square(images - np.asarray(average)), profile))
    for number, level in enumerate(noisy[1:], start=1):
        eps = rng.normal(size=x_0.shape)
        z = np.sqrt(level.alpha_bar) * x_0 + np.sqrt(1 - level.alpha_bar) * eps
        noisy[number] = measured(level, z)
    for number, level in enumerate(fine):
        offset = rng.integers(0, 2**width, x_0.shape)
        cells = Cells((images + offset) >> (width - number), width - number, offset, levels)
        of_cell, of_z = cells.variance / half**2, last.sigma**2
        seen = x_0 + last.sigma * rng.normal(size=x_0.shape)
        y = ((cells.centre / half - 1) / of_cell + seen / of_z) / (1 / of_cell + 1 / of_z)
        fine[number] = measured(level, np.sqrt(level.alpha_bar) * y)
    return replace(profile, noisy=tuple(noisy), fine=tuple(fine))


def unmeasured(p: ReverseProcess) -> Callable[[int], Level]:
    """T -> its level, the deviations still unknown."""

    def level(t: int) -> Level:
        one, none = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        return Level(
            timestep=float(p.schedule.timestep_map[t]),
            alpha_bar=float(p.schedule.alpha_bar[t]),
            of_x_t=p.prediction.x_0(p.schedule, one, none, t).item(),
            of_output=p.prediction.x_0(p.schedule, none, one, t).item(),
            deviation=(1.0,) * number_of_bins(learned=p.variance.outputs > 0),
        )

    return level


def as_it_is(p: ReverseProcess) -> Callable[[Tensor, Tensor], Tensor]:
    """The network in the arithmetic that it has."""

    def run(x_t: Tensor, timestep: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat(p.at_timestep(x_t.float(), timestep), dim=1).double()

    return run


def nothing(p: ReverseProcess) -> Level:
    """Where nothing is seen of x_0."""
    return Level(0.0, 0.0, 0.0, 0.0, (1.0,) * number_of_bins(learned=p.variance.outputs > 0))


def nearest(sigmas: Real, sigma: float) -> int:
    """The step 1..T whose noise is most like `sigma`."""
    return int(np.argmin(np.abs(np.log(sigmas) - np.log(sigma)))) + 1


def fine_steps(sigmas: Real, of_z: float, width: int, half: float) -> Sequence[int]:
    """Steps for cells of width 2^width and less, until the model knows no less noise."""
    found = []
    for log_width in range(width, 0, -1):
        of_cell = np.sqrt((4**log_width - 1) / 12) / half
        sigma = 1 / np.sqrt(1 / of_cell**2 + 1 / of_z**2)
        if sigma < 0.8 * sigmas[0]:
            break
        found.append(nearest(sigmas, sigma))
    return found


def deviations(denoiser: Denoiser, level: Level, x_t: Real, images: Whole, profile: Profile) -> tuple[float, ...]:
    """Of a level's estimates, by bin, in grey levels."""
    found = denoiser(list(x_t), level)
    squares = (images - np.stack([estimate.mean for estimate in found])) ** 2
    return by_bin(np.stack([estimate.bins for estimate in found]), squares, profile)


def by_bin(bins: np.ndarray, squares: Real, profile: Profile) -> tuple[float, ...]:
    """The root of the mean square in each bin; where few pixels fell, drawn towards that of all."""
    many, along = number_of_bins(learned=profile.learned), len(PLACES) + 1
    total = np.bincount(bins.ravel(), squares.ravel(), many).reshape(-1, along)
    counts = np.bincount(bins.ravel(), minlength=many).reshape(-1, along)
    prior = total.sum() / counts.sum()
    rows = ((total.sum(1) + 20 * prior) / (counts.sum(1) + 20))[:, None]
    variance = ((total + 20 * rows) / (counts + 20)).ravel()
    return tuple(float(f"{value:.4g}") for value in np.sqrt(np.maximum(variance, 0.05**2)))


def zipf(bits: float, candidates: int) -> tuple[int, ...]:
    """How often a choice of 1, 2, ... has so many binary digits, where a chunk has `bits` in the mean (Theis & Ahmed 2022)."""
    power = 1 + 1 / (bits + np.log2(np.e) * np.exp(-1))
    numbers = np.arange(1, 2**candidates + 1.0) ** -power
    digits = np.floor(np.log2(np.arange(1, 2**candidates + 1))).astype(int)
    return tuple(int(count) for count in np.maximum(np.bincount(digits, numbers) / numbers.sum() * 10000, 1))
