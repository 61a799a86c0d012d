r"""A source of images whose entropy, best denoiser and bound are known: normal on a torus, all pixels alike.

Its covariance is diagonal in the Fourier transform over channels, rows and columns, so every pixel has the same variance given
any x_t, and one deviation a level is exact: the mean of :math:`\lambda_i (1-\bar\alpha)/(\bar\alpha\lambda_i + 1-\bar\alpha)`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ddpm.codec.denoiser import Denoiser
from ddpm.codec.profile import Level, Profile, number_of_bins
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.sampling.timesteps import log_snr


@dataclass(frozen=True)
class Source:
    """Images of 0..levels-1; `contrast` and `grain` are the deviations of large and of small things, in 256ths of the range."""

    shape: tuple[int, int, int] = (3, 16, 16)
    levels: int = 256
    contrast: float = 40.0
    grain: float = 1.6

    @property
    def half(self):
        return (self.levels - 1) / 2

    @property
    def size(self):
        return int(np.prod(self.shape))

    @cached_property
    def spectrum(self):
        """Variances of the components, in units of [-1, 1], with that of rounding to a level."""
        axes = np.meshgrid(*(np.fft.fftfreq(n) * n for n in self.shape), indexing="ij")
        falling = (1 + axes[1] ** 2 + axes[2] ** 2) ** -2.5 / (1 + 8 * axes[0] ** 2)
        smooth = (self.contrast / 127.5) ** 2 * falling / falling.mean()
        return smooth + (self.grain / 127.5) ** 2

    @property
    def rounded(self):
        return self.spectrum + 1 / 12 / self.half**2

    def images(self, many, seed=0):
        """(many, D) whole values."""
        noise = np.random.default_rng(seed).normal(size=(many, *self.shape))
        x = np.stack([self._filtered(one, np.sqrt(self.spectrum)) for one in noise])
        return np.rint((x + 1) * self.half).clip(0, self.levels - 1).astype(np.int64).reshape(many, -1)

    def _filtered(self, x, gains):
        return np.fft.ifftn(np.fft.fftn(x) * gains).real

    def network(self, x_t, timestep):
        """E[x_0 | x_t], image by image: as many as there are change nothing."""
        alpha_bar = float(linear().alpha_bar[int(timestep[0]) + 1])
        gains = np.sqrt(alpha_bar) * self.rounded / (alpha_bar * self.rounded + 1 - alpha_bar)
        return torch.from_numpy(np.stack([self._filtered(one, gains) for one in x_t.numpy()]))

    def variance(self, alpha_bar):
        """Of a pixel given x_t."""
        return float((self.rounded * (1 - alpha_bar) / (alpha_bar * self.rounded + 1 - alpha_bar)).mean())

    def level(self, t):
        alpha_bar = float(linear().alpha_bar[t])
        known = (np.sqrt(self.variance(alpha_bar)) * self.half,) * number_of_bins(learned=False)
        return Level(float(t - 1), alpha_bar, 0.0, 1.0, known)

    def ladder(self, many):
        """Levels evenly spaced in log SNR."""
        return tuple(self.level(t) for t in log_snr(linear(), many))

    @property
    def profile(self):
        """As a denoiser reads it."""
        return Profile(
            shape=self.shape,
            levels=self.levels,
            exact=True,
            clamped=False,
            learned=False,
            average=(self.half,) * self.size,
            noisy=(replace(self.level(1000), alpha_bar=0.0), self.level(1000)),
            fine=(),
            width=7,
            chunk=8.0,
            candidates=1,
            places=(1, 1),
        )

    @property
    def denoiser(self):
        return Denoiser(self.network, self.profile)

    @property
    def process(self):
        """A chain whose network says x_0 itself."""
        return ReverseProcess(self.network, linear(), X0(), limit=unlimited)

    @property
    def entropy(self):
        """Bits for a number, nearly."""
        return float(0.5 * np.log2(2 * np.pi * np.e * self.rounded * self.half**2).mean())

    def bound(self, ladder):
        """The variational bound of a chain of these levels with one variance a step, in bits for a number."""
        alpha_bar = [level.alpha_bar for level in ladder]
        prior = 0.5 * np.log2(1 / (1 - alpha_bar[-1])) + 0.5 * np.log2(np.e) * alpha_bar[-1] * (self.rounded.mean() - 1)
        snr = [a / (1 - a) for a in alpha_bar]
        steps = [
            0.5 * np.log2(1 + (s - t) * self.variance(a))
            for s, t, a in zip(snr[:-1], snr[1:], alpha_bar[1:], strict=True)
        ]
        pixels = 0.5 * np.log2(2 * np.pi * np.e * self.variance(alpha_bar[0]) * self.half**2)
        return float(prior + sum(steps) + pixels)
