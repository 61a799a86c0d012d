"""A profile for a model: which noise levels, and how far off its estimates are there, measured on images.

The images are those it was trained on, or its own samples: anything that it is to code well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ddpm.codec.cells import Cells
from ddpm.codec.denoiser import Denoiser
from ddpm.codec.profile import PLACES, Level, Profile, bins_of_average, number_of_bins
from ddpm.codec.tables import Real, Whole
from ddpm.diffusion.reverse import ReverseProcess, unit_clamp
from ddpm.diffusion.variance import Learned


@dataclass(frozen=True)
class Plan:
    """What is chosen by hand: noise levels (in grey levels, besides x_T), the width of the first cells, bits of a chunk."""

    noise: tuple[float, ...] = (600.0, 420.0, 300.0, 220.0, 160.0, 120.0, 90.0, 65.0, 50.0)
    width: int = 7
    chunk: float = 8.0
    candidates: int = 12


def calibrated(
    p: ReverseProcess,
    network: Callable[[Tensor, Tensor], Tensor],
    images: Whole,
    shape: tuple[int, int, int],
    levels: int,
    plan: Plan,
    seed: int = 0,
) -> Profile:
    """The profile of a process, whose network in exact arithmetic is `network`, from images (n, D) of whole values."""
    rng = np.random.default_rng(seed)
    half = (levels - 1) / 2
    sigmas = np.sqrt(1 / p.schedule.snr.numpy()[1:])
    alone = replace_deviations(p)
    noisy = [nothing(p), *(alone(nearest(sigmas, s / half)) for s in plan.noise)]
    fine = [alone(t) for t in fine_steps(sigmas, noisy[-1].sigma, plan.width, half)]
    average = tuple(float(value) for value in images.mean(0).round(1))
    profile = Profile(
        average=average,
        shape=shape,
        levels=levels,
        clamped=p.limit is unit_clamp,
        learned=isinstance(p.variance, Learned),
        noisy=tuple(noisy),
        fine=tuple(fine),
        width=plan.width,
        chunk=plan.chunk,
        candidates=plan.candidates,
        places=zipf(plan.chunk, plan.candidates),
    )
    x_0 = images / half - 1
    denoiser = Denoiser(network, profile)

    def measured(level: Level, x_t: Real) -> Level:
        return replace(level, deviation=deviations(denoiser, level, x_t, images, profile))

    last = noisy[-1]
    away = np.broadcast_to(bins_of_average(profile), images.shape)
    noisy[0] = replace(noisy[0], deviation=by_bin(away, (images - np.asarray(average)) ** 2, profile))
    for number, level in enumerate(noisy[1:], start=1):
        eps = rng.normal(size=x_0.shape)
        z = np.sqrt(level.alpha_bar) * x_0 + np.sqrt(1 - level.alpha_bar) * eps
        noisy[number] = measured(level, z)
    for number, level in enumerate(fine):
        offset = rng.integers(0, 2**plan.width, x_0.shape)
        cells = Cells((images + offset) >> (plan.width - number), plan.width - number, offset, levels)
        of_cell, of_z = cells.variance / half**2, last.sigma**2
        seen = x_0 + last.sigma * rng.normal(size=x_0.shape)
        y = ((cells.centre / half - 1) / of_cell + seen / of_z) / (1 / of_cell + 1 / of_z)
        fine[number] = measured(level, np.sqrt(level.alpha_bar) * y)
    return replace(profile, noisy=tuple(noisy), fine=tuple(fine))


def replace_deviations(p: ReverseProcess) -> Callable[[int], Level]:
    """t -> its level, the deviations still unknown."""

    def level(t: int) -> Level:
        one, none = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        return Level(
            timestep=float(p.schedule.timestep_map[t]),
            alpha_bar=float(p.schedule.alpha_bar[t]),
            of_x_t=p.prediction.x_0(p.schedule, one, none, t).item(),
            of_output=p.prediction.x_0(p.schedule, none, one, t).item(),
            deviation=(1.0,) * number_of_bins(learned=isinstance(p.variance, Learned)),
        )

    return level


def nothing(p: ReverseProcess) -> Level:
    """Where nothing is seen of x_0."""
    return Level(0.0, 0.0, 0.0, 0.0, (1.0,) * number_of_bins(learned=isinstance(p.variance, Learned)))


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
    found = [denoiser(x_t[rows], level) for rows in np.array_split(np.arange(len(x_t)), max(1, len(x_t) // 64))]
    squares = (images - np.concatenate([estimate.mean for estimate in found])) ** 2
    return by_bin(np.concatenate([estimate.bins for estimate in found]), squares, profile)


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
