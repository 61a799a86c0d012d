"""What a codec asks of a network: for each pixel an estimate and how far off it may be, the same to the bit for all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpm.codec.profile import Level, Profile, bins_of
from ddpm.codec.tables import Real

GRID = 64
"""Estimates are rounded to multiples of 1/64 grey level."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Of images (n, D): `mean` in grey levels, and the number of the level's deviation that holds."""

    mean: Real
    bins: NDArray[np.int64]

    def deviation(self, level: Level) -> Real:
        """In grey levels."""
        return np.asarray(level.deviation)[self.bins]


@dataclass(frozen=True, eq=False)
class Denoiser:
    """`network` (x_t, timestep) -> output in float64, `exact` or nearly so, read by a profile."""

    network: Callable[[Tensor, Tensor], Tensor]
    profile: Profile
    device: torch.device = torch.device("cpu")

    def __call__(self, x_t: Real, level: Level) -> Estimate:
        """Of x_t (n, D)."""
        given = torch.from_numpy(np.ascontiguousarray(x_t)).reshape(-1, *self.profile.shape).to(self.device)
        output = self.network(given, torch.full((len(given),), level.timestep, dtype=torch.float64, device=self.device))
        return read(output.cpu().numpy(), x_t, level, self.profile)


def read(output: Real, x_t: Real, level: Level, profile: Profile) -> Estimate:
    """What a network's output (n, outputs, H, W) says of x_t (n, D): single operations of float64, alike everywhere."""
    parts = output.reshape(len(x_t), -1, profile.size)
    x_0 = level.of_x_t * x_t + level.of_output * parts[:, 0]
    if profile.clamped:
        x_0 = np.clip(x_0, -1, 1)
    mean = np.rint((x_0 + 1) * profile.half * GRID) / GRID
    fraction = (parts[:, 1] + 1) / 2 if profile.learned else None
    return Estimate(mean, bins_of(fraction, mean / (profile.levels - 1)))
