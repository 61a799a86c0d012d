"""A chain's profile for a model: how far off its estimates are at each step, and which lattices make the smallest files."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ddpm.codec.calibrate import deviations, unmeasured
from ddpm.codec.chain.coding import encode
from ddpm.codec.chain.profile import ALONE, CERTAIN, ChainProfile, spaced
from ddpm.codec.denoiser import Denoiser
from ddpm.codec.tables import Whole
from ddpm.diffusion.reverse import ReverseProcess

LATTICES = (ALONE, (CERTAIN, 2.5), (CERTAIN, 2.8))
"""Where an image has few bits, as one of digits, its first steps leave fewer yet to pop: its lattices should be coarser."""
TRIED = 16
"""Images that each of them is tried on."""


def chained(p: ReverseProcess, denoiser: Denoiser, images: Whole, steps: Sequence[int], seed: int = 0) -> ChainProfile:
    """The chain of `steps` of 1..T (`sampling.timesteps.log_snr`, or `sampling.optimal.best_steps`) for a process.

    `denoiser` reads its network; images (n, D), n at least 1, are whole values of those that it is to code well.
    """
    rng, profile = np.random.default_rng(seed), denoiser.profile
    x_0, level_of = images / profile.half - 1, unmeasured(p)
    found = []
    for t in sorted(steps):
        level = level_of(t)
        x_t = np.sqrt(level.alpha_bar) * x_0 + np.sqrt(1 - level.alpha_bar) * rng.normal(size=x_0.shape)
        found.append(replace(level, deviation=deviations(denoiser, level, x_t, images, profile)))
    return smallest([spaced(profile.levels, tuple(found), alone) for alone in LATTICES], denoiser, images[:TRIED])


def smallest(profiles: Sequence[ChainProfile], denoiser: Denoiser, images: Whole) -> ChainProfile:
    """That of the profiles which makes the smallest files of the images, one by one."""
    return min(profiles, key=lambda profile: sum(map(len, encode([[x] for x in images], profile, denoiser))))
