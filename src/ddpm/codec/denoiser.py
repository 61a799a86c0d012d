"""What a codec asks of a network: for each pixel an estimate and how far off it may be, the same to the bit for all."""

import hashlib
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpm.codec.profile import Level, Profile, bins_of
from ddpm.codec.randomness import normals
from ddpm.codec.tables import Real
from ddpm.errors import DataError

Result = TypeVar("Result")
GRID = 64
"""Estimates are rounded to multiples of 1/64 grey level."""


PROBE = 1 << 34
"""Key of the probe's noise."""
BATCH = 64
"""Images at a time in the network."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Of an image (D,): `mean` in grey levels, and the number of the level's deviation that holds."""

    mean: Real
    bins: NDArray[np.int64]

    def deviation(self, level: Level) -> Real:
        """In grey levels."""
        return np.asarray(level.deviation)[self.bins]


@runtime_checkable
class Asked(Protocol):
    """Who answers for the network: of images x_t (D,) seen at a level, in one call."""

    def __call__(self, x_t: Sequence[Real], level: Level) -> list[Estimate]:
        """One estimate of each; D is any multiple of the model's own (tiles)."""
        ...


@dataclass(frozen=True, eq=False)
class Denoiser:
    """`network` (x_t, timestep) -> output in float64, `exact` or nearly so, read by a profile.

    `watch` is told, after each call of the network, of how many images that was.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    profile: Profile
    device: torch.device = torch.device("cpu")
    watch: Callable[[int], None] | None = None

    def __call__(self, x_t: Sequence[Real], level: Level) -> list[Estimate]:
        """As in `Asked`."""
        whole = np.concatenate(x_t).reshape(-1, *self.profile.shape)
        parts = [self._some(whole[first : first + BATCH], level) for first in range(0, len(whole), BATCH)]
        mean, bins = (np.concatenate(part) for part in zip(*parts, strict=True))
        ends = np.cumsum([len(one) for one in x_t])[:-1]
        return [Estimate(*both) for both in zip(np.split(mean, ends), np.split(bins, ends), strict=True)]

    def _some(self, x_t: Real, level: Level) -> tuple[Real, NDArray[np.int64]]:
        given = torch.from_numpy(x_t).to(self.device)
        kind = torch.int64 if float(level.timestep).is_integer() else torch.float64
        output = self.network(given, torch.full((len(given),), level.timestep, dtype=kind, device=self.device))
        output = output.cpu().numpy()
        if self.watch is not None:
            self.watch(len(given))
        return read(output, x_t, level, self.profile)


def read(output: Real, x_t: Real, level: Level, profile: Profile) -> tuple[Real, NDArray[np.int64]]:
    """Mean and bins that an output (n, outputs, H, W) says of x_t: single operations of float64, alike everywhere.

    Raises:
        DataError: the output is not finite.
    """
    if not np.isfinite(output).all():
        raise DataError("the network's output is not finite: it is no denoiser of these images")
    channels = profile.shape[0]
    x_0 = level.of_x_t * x_t + level.of_output * output[:, :channels]
    if profile.clamped:
        x_0 = np.clip(x_0, -1, 1)
    grey = np.clip((x_0 + 1) * profile.half, -profile.levels, 2 * profile.levels)  # float32 holds it, for `Remembering`
    mean = (np.rint(grey * GRID) / GRID).ravel()
    fraction = (output[:, channels:].ravel() + 1) / 2 if profile.learned else None
    return mean, bins_of(fraction, mean / (profile.levels - 1))


def probe(denoiser: Denoiser) -> int:
    """CRC-32 of what a denoiser says of fixed noise at each level: two machines that agree on it hardly disagree later."""
    profile, found = denoiser.profile, 0
    for number, level in enumerate((*profile.noisy[1:], *profile.fine)):
        noise = normals(PROBE, number, 1, profile.size)[0].astype(np.float64)
        (estimate,) = denoiser([noise], level)
        found = zlib.crc32(estimate.mean.tobytes() + estimate.bins.astype("<i8").tobytes(), found)
    return found


@dataclass(frozen=True, eq=False)
class Remembering:
    """A denoiser that is not asked the same twice: what was coded is read back without the network, whose answers are alike.

    Estimates are multiples of 1/64 up to 2^17, which float32 holds exactly: a number takes six bytes.
    """

    denoiser: "Denoiser | Remembering"
    _answers: dict[tuple[Level, bytes], tuple[NDArray[np.float32], NDArray[np.int16]]] = field(default_factory=dict)

    @property
    def profile(self) -> Profile:
        """Of whom it asks."""
        return self.denoiser.profile

    def __call__(self, x_t: Sequence[Real], level: Level) -> list[Estimate]:
        """As in `Asked`."""
        keys = [(level, hashlib.sha256(one.tobytes()).digest()) for one in x_t]
        new = {key: one for key, one in zip(keys, x_t, strict=True) if key not in self._answers}
        if new:
            for key, one in zip(new, self.denoiser(list(new.values()), level), strict=True):
                self._answers[key] = one.mean.astype(np.float32), one.bins.astype(np.int16)
        found = [self._answers[key] for key in keys]
        return [Estimate(mean.astype(np.float64), bins.astype(np.int64)) for mean, bins in found]


def answered(
    images: Sequence[Generator[tuple[Real, Level], Estimate, Result]], denoiser: Asked, before: Sequence[Level] = ()
) -> list[Result]:
    """Run all to their results, and answer those that ask about one level in one call.

    While one waits at a level of `before`, such a level is answered: those that are ahead wait, and all go on together.
    """
    results: dict[int, Result] = {}
    asked: dict[int, tuple[Real, Level]] = {}

    def go_on(i: int, answer: Estimate | None) -> None:
        try:
            asked[i] = next(images[i]) if answer is None else images[i].send(answer)
        except StopIteration as done:
            asked.pop(i, None)
            results[i] = done.value

    for i in range(len(images)):
        go_on(i, None)
    early = {id(level) for level in before}
    while asked:
        levels = [level for _, level in asked.values()]
        level = next((one for one in levels if id(one) in early), levels[0])
        now = [i for i, (_, at) in asked.items() if at is level]
        for i, answer in zip(now, denoiser([asked[i][0] for i in now], level), strict=True):
            go_on(i, answer)
    return [results[i] for i in range(len(images))]
