"""Codecs whose answers are known: a normal source with its exact denoiser, and a toy that costs no time."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch

from ddpm.codec.calibrate import Plan, calibrated
from ddpm.codec.chain.calibrate import chained
from ddpm.codec.codec import Codec
from ddpm.codec.denoiser import Denoiser, Estimate, read
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.sampling.timesteps import log_snr

SCHEDULE = linear()
SPREAD = 0.006
"""Variance of the toy's pixels, in units of [-1, 1]."""


@dataclass(frozen=True)
class Source:
    """Normal images on a torus, smooth with some grain: 1/f^5 in power, and `grain` grey levels of every pixel's own."""

    shape: tuple[int, int, int] = (3, 16, 16)
    levels: int = 256
    contrast: float = 36.0
    grain: float = 2.0

    @property
    def half(self):
        return (self.levels - 1) / 2

    @cached_property
    def spectrum(self):
        """Variance of each component of the Fourier transform, in units of [-1, 1], with that of rounding to whole values."""
        colour, up, across = np.meshgrid(*(np.fft.fftfreq(n) * n for n in self.shape), indexing="ij")
        falling = (1 + up**2 + across**2) ** -2.5 / (1 + 6 * colour**2)
        smooth = (self.contrast / 127.5) ** 2 * falling / falling.mean()
        return smooth + (self.grain / 127.5) ** 2 + 1 / 12 / self.half**2

    @property
    def entropy(self):
        """Bits of a number, on average."""
        return float(0.5 * np.log2(2 * np.pi * np.e * self.spectrum * self.half**2).mean())

    def images(self, many, seed=0):
        """(many, C, H, W) of whole values."""
        noise = np.random.default_rng(seed).normal(size=(many, *self.shape))
        before = np.sqrt(self.spectrum - 1 / 12 / self.half**2)
        x_0 = np.fft.ifftn(np.fft.fftn(noise, axes=(1, 2, 3)) * before, axes=(1, 2, 3)).real
        return np.rint((x_0 + 1) * self.half).clip(0, self.levels - 1).astype(np.int64)

    def network(self, x_t, timestep):
        """E[x_0 | x_t], image by image: how many there are changes nothing."""
        alpha_bar = float(SCHEDULE.alpha_bar[int(timestep[0]) + 1])
        gain = np.sqrt(alpha_bar) * self.spectrum / (alpha_bar * self.spectrum + 1 - alpha_bar)
        estimates = [np.fft.ifftn(np.fft.fftn(one) * gain).real for one in x_t.double().numpy()]
        return torch.from_numpy(np.stack(estimates))

    @cached_property
    def codec(self):
        return codec_of(self.network, self.images(200, seed=99), self.levels)


class Quick(Denoiser):
    """`shrunk` without torch, which takes most of the time of so small images."""

    def __call__(self, x_t, level):
        gain = np.sqrt(level.alpha_bar) * SPREAD / (level.alpha_bar * SPREAD + 1 - level.alpha_bar)
        whole = [one.reshape(-1, *self.profile.shape) for one in x_t]
        return [Estimate(*read(gain * one, one, level, self.profile)) for one in whole]


def codec_of(network, images, levels, plan=None, with_chain=False):
    """Of a network that gives x_0, calibrated on images (n, C, H, W)."""
    p = ReverseProcess(network, SCHEDULE, X0(), limit=unlimited)
    flat = images.reshape(len(images), -1)
    profile = calibrated(p, flat, images.shape[1:], levels, plan or Plan(), exact=True)
    denoiser = Denoiser(network, profile)
    chain = chained(p, denoiser, flat[:20], log_snr(SCHEDULE, 5)) if with_chain else None
    return Codec(denoiser, profile.digest("source"), chain)


def shrunk(x_t, timestep):
    """A toy: what is seen, drawn towards grey; single operations of float64."""
    alpha_bar = float(SCHEDULE.alpha_bar[int(timestep[0]) + 1])
    return x_t.double() * (np.sqrt(alpha_bar) * SPREAD / (alpha_bar * SPREAD + 1 - alpha_bar))


@lru_cache
def toy(shape=(1, 4, 4), levels=256, with_chain=False):
    """A codec of tiny images of which each pixel is on its own."""
    images = np.random.default_rng(1).normal(0.5, SPREAD**0.5 / 2, size=(60, *shape)) * (levels - 1)
    return codec_of(
        shrunk, np.rint(images).clip(0, levels - 1).astype(np.int64), levels, Plan((4.0, 1.0, 0.39), 4.0, 8), with_chain
    )


@lru_cache
def tiny(with_chain=False):
    """A codec whose files are read in half a millisecond: 2 x 2 pixels of 16 levels, two steps through noise and three of cells.

    With a chain, of five steps, those files and an image of an archive take a millisecond.
    """
    images = np.random.default_rng(1).normal(0.5, SPREAD**0.5 / 2, size=(60, 1, 2, 2)) * 15
    codec = codec_of(shrunk, np.rint(images).clip(0, 15).astype(np.int64), 16, Plan((1.0, 0.39), 4.0, 8), with_chain)
    return replace(codec, denoiser=Quick(shrunk, codec.profile))
