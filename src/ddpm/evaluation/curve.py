"""A network's error at every t, measured once on a few images: what the best steps and variances follow from."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, labels_at
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.rate import images_of, in_float64
from ddpm.sampling.optimal import Curve
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import mean_flat

At = tuple[int, float, float]


def errors(
    p: ReverseProcess, data: ImageSet, seed: int, batch_size: int, device: torch.device, labels: Labels = None
) -> Iterator[At]:
    """(t, mean squared error of the estimate of x_0, L_0 in nats per coordinate were t the first step), for t = T..1.

    All images at every t, each with noise of its own and given its label (N,), if there are any. The error is cut at 1,
    which images in [-1, 1] do not exceed when nothing is known of them, and at the fence of `Optimal`.
    """
    wide = replace(p, network=in_float64(p.network))
    rows = list(torch.arange(len(data)).split(batch_size))
    images = [images_of(data, part, device) for part in rows]
    noise = [NoiseForEach([generator(seed, "curve", int(row)) for row in part]) for part in rows]
    for t in p.schedule.steps:
        estimates = []
        for part, x_0, draw in zip(rows, images, noise, strict=True):
            given = wide.given(labels_at(labels, part, device))
            with torch.no_grad():
                estimates.append(given.estimate(wide.q.sample(x_0, t, draw(x_0)), t))
        pairs = list(zip(images, estimates, strict=True))
        squares = torch.cat([mean_flat((x_0 - estimate) ** 2) for x_0, estimate in pairs])
        error = min(float(squares.mean()), 1.0, 1 / float(p.schedule.snr[t]))
        log_var = torch.tensor(error, dtype=images[0].dtype, device=device).log()
        first = torch.cat([mean_flat(-p.decoder(x_0, Gaussian(estimate, log_var))) for x_0, estimate in pairs])
        yield t, error, float(first.mean())


def curve(measured: Iterator[At], T: int) -> Curve:
    """Gathered from `errors`."""
    table = torch.zeros(2, T + 1, dtype=torch.float64)
    for t, error, first in measured:
        table[0, t], table[1, t] = error, first
    return Curve(table[0], table[1])
