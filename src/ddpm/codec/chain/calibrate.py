"""A chain's profile for a model: the steps that cost least, how far off estimates are there, and which lattices suit them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ddpm.codec.calibrate import by_bin, unmeasured
from ddpm.codec.chain.coding import encode
from ddpm.codec.chain.profile import ALONE, CERTAIN, ChainProfile, spaced
from ddpm.codec.denoiser import Denoiser, Estimate
from ddpm.codec.profile import Level
from ddpm.codec.tables import ONE, Real, Whole, below
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.timesteps import log_snr

LATTICES = (ALONE, (CERTAIN, 2.5), (CERTAIN, 2.8))
"""Where an image has few bits, as one of digits, its first steps leave fewer yet to pop: its lattices should be coarser."""
TRIED = 16
"""Images that each of them is tried on."""
GRID = 64
"""Steps that those of a chain are chosen from, even in log SNR."""


def chained(p: ReverseProcess, denoiser: Denoiser, images: Whole, steps: Sequence[int], seed: int = 0) -> ChainProfile:
    """The chain of `steps` of 1..T (`cheapest`, or `sampling.timesteps.log_snr`) for a process.

    `denoiser` reads its network; images (n, D), n at least 1, are whole values of those that it is to code well.
    """
    rng = np.random.default_rng(seed)
    found = [_measured(p, denoiser, images, t, rng)[0] for t in sorted(steps)]
    return smallest(
        [spaced(denoiser.profile.levels, tuple(found), alone) for alone in LATTICES], denoiser, images[:TRIED]
    )


def smallest(profiles: Sequence[ChainProfile], denoiser: Denoiser, images: Whole) -> ChainProfile:
    """That of the profiles which makes the smallest files of the images, one by one."""
    return min(profiles, key=lambda profile: sum(map(len, encode([[x] for x in images], profile, denoiser))))


def cheapest(p: ReverseProcess, denoiser: Denoiser, images: Whole, count: int, seed: int = 0) -> list[int]:
    r"""The `count` steps of 1..T whose chain costs the images (n, D) least: a shortest path (Watson et al. 2021).

    A pixel whose estimate at x_t is off by the variance v costs a jump to x_s
    :math:`\frac12\log(1 + (\mathrm{SNR}_s-\mathrm{SNR}_t)\,v)` nats. Most pixels of a digit are known long before the others:
    so v is that of each bin of the profile, where `sampling.optimal` has one for all pixels.
    """
    grid, rng = log_snr(p.schedule, min(max(GRID, count), p.schedule.T)), np.random.default_rng(seed)
    levels, shares, first = list[Level](), list[Real](), list[float]()
    for t in grid:  # an estimate is large: what is needed of it is taken before the next one
        level, estimate = _measured(p, denoiser, images, t, rng)
        levels.append(level)
        shares.append(np.bincount(estimate.bins, minlength=len(level.deviation)) / estimate.bins.size)
        first.append(_pixels(denoiser, images, level, estimate))
    alpha_bar = np.array([level.alpha_bar for level in levels])
    snr, half = alpha_bar / (1 - alpha_bar), denoiser.profile.half
    jumps = np.full((len(grid), len(grid)), np.inf)
    for t, (level, share) in enumerate(zip(levels, shares, strict=True)):
        gain = np.outer(snr[:t] - snr[t], np.square(np.asarray(level.deviation) / half))
        jumps[:t, t] = np.log1p(gain) @ share / 2
    power = np.mean(np.square(images / half - 1))
    last = (alpha_bar * power - alpha_bar - np.log1p(-alpha_bar)) / 2  # what x_T still says of x_0
    return [grid[place] for place in path(np.array(first), jumps, last, count)]


def _measured(
    p: ReverseProcess, denoiser: Denoiser, images: Whole, t: int, rng: np.random.Generator
) -> tuple[Level, Estimate]:
    """The level of step t, and the estimates of all pixels of the images there."""
    level, x_0 = unmeasured(p)(t), images / denoiser.profile.half - 1
    x_t = np.sqrt(level.alpha_bar) * x_0 + np.sqrt(1 - level.alpha_bar) * rng.normal(size=x_0.shape)
    every = denoiser(list(x_t), level)
    estimate = Estimate(np.concatenate([one.mean for one in every]), np.concatenate([one.bins for one in every]))
    squares = np.square(images.ravel() - estimate.mean)
    return replace(level, deviation=by_bin(estimate.bins, squares, denoiser.profile)), estimate


def _pixels(denoiser: Denoiser, images: Whole, level: Level, estimate: Estimate) -> float:
    """L_0 of a chain whose first step is this level: nats for each pixel."""
    x, known = images.ravel(), (estimate.mean, estimate.deviation(level), denoiser.profile.levels)
    return float(np.log(ONE / (below(x, *known) - below(x - 1, *known))).mean())


def path(first: Real, jumps: Real, last: Real, count: int) -> list[int]:
    """`count` places in their order, of the least first[a] + jumps[a, b] + jumps[b, c] + ... + last[z]."""
    cost, ways = first, []
    for _ in range(count - 1):
        through = cost[:, None] + jumps
        ways.append(through.argmin(0))
        cost = through.min(0)
    found = [int(np.argmin(cost + last))]
    for way in reversed(ways):
        found.append(int(way[found[-1]]))
    return found[::-1]
