"""Samples that agree with the beginning of a file: what the bits leave open is drawn by the model, not averaged.

The bits say x_t, of an image that was noised as the chain does, so the chain goes on from there: another draw from the
posterior of which a file that is cut shows the mean (Theis et al. 2022). Where cells were read, each pixel is kept in its own.
"""

import warnings
from dataclasses import replace

import numpy as np
import torch

from ddpm.codec.codec import Found
from ddpm.codec.tiles import Shape, join, number_of_tiles
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import SignalRemains
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import last_of, run, start
from ddpm.sampling.timesteps import log_snr, up_to
from ddpm.seeds import NoiseForEach, generator
from ddpm.trained.coding import own_shape
from ddpm.trained.loaded import LoadedModel

STEPS = 100
"""Of the chain, at most."""


def agreeing(trained: LoadedModel, one: Found, seed: int, row: int) -> Found:
    """What was found, with a sample in place of an estimate, which depends on `seed` and the image's number `row` alone.

    What is exact stays, and so does what is stored in part: no model says more of it.
    """
    if one.exact or one.coding != "progressive":
        return one
    return drawn(trained.process, one, (own_shape(trained), trained.experiment.levels), (seed, row), trained.device)


def drawn(p: ReverseProcess, one: Found, own: tuple[Shape, int], seeds: tuple[int, int], device: torch.device) -> Found:
    """A sample of the process `p` that agrees with what was found; `own` is the model's shape and levels."""
    (shape, levels), schedule = own, p.schedule
    channels, height, width = one.pixels.shape
    whole = channels, height, width
    tiles = number_of_tiles(whole, shape)
    noise = NoiseForEach([generator(seeds[0], "agreeing", seeds[1], tile) for tile in range(tiles)])
    if one.seen is None:
        t, x_t = schedule.T, noise(torch.zeros(tiles, *shape))
    else:
        t = int((schedule.alpha_bar[1:] - one.seen.level.alpha_bar).abs().argmin()) + 1
        x_t = torch.from_numpy(one.seen.x_t.reshape(-1, *shape)).float()
    kept = up_to(schedule, t, min(STEPS, t), log_snr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SignalRemains)  # x_t is to carry what the bits say
        short = p.respace(kept)
    with torch.no_grad():
        x_0 = last_of(run(short, start(short, x_t.to(device), len(kept)), Ancestral(), noise)).x
    half = (levels - 1) / 2
    values = np.rint((x_0.double().cpu().numpy() + 1) * half).reshape(-1).clip(0, levels - 1)
    if one.seen is not None:
        values = values.clip(one.seen.first, one.seen.last)
    return replace(one, pixels=join(values.reshape(-1, *shape), whole))
