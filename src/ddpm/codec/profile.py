"""What sender and receiver must agree on besides the weights: noise levels, calibrated deviations, sizes of parts.

A profile is numbers alone, written as JSON beside the weights. Both name a file's model: `Profile.digest`.
"""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ddpm.codec.tables import Real
from ddpm.errors import DataError

Kind = TypeVar("Kind")
VERSION = 1
"""Of the bytes: another one for another meaning of the same bytes."""

LARGEST = 16
"""Of binary digits: of a choice, of a cell's width, and bits of a chunk."""

FRACTIONS = tuple(math.ldexp(math.sqrt(2) if i % 2 else 1.0, i // 2) for i in range(-20, 1))
"""Where the learned variance's f (0 for beta-tilde, 1 for beta) is cut into bins: powers of 2 and their halves."""
PLACES = tuple(float(i) for i in (1 / 512, 1 / 128, 1 / 32, 1 / 8, 1 / 2, 7 / 8, 31 / 32, 127 / 128, 511 / 512))
"""Where the estimated value is cut, as a share of the range: near black and white it errs less."""


@dataclass(frozen=True)
class Level:
    """A noise level at which the network is asked. `deviation[bin]` is that of a pixel about its estimate, in grey levels.

    The estimate of x_0 is `of_x_t` x_t + `of_output` output, whatever the network predicts.
    """

    timestep: float
    alpha_bar: float
    of_x_t: float
    of_output: float
    deviation: tuple[float, ...]

    def sound(self, bins: int) -> bool:
        """Whether these can be numbers of a level, with so many deviations."""
        numbers = (self.timestep, self.of_x_t, self.of_output, *self.deviation)
        right = len(self.deviation) == bins and 0 <= self.alpha_bar < 1
        return right and min(self.deviation) > 0 and bool(np.isfinite(numbers).all())

    @property
    def sigma(self) -> float:
        """The noise's deviation where the signal is x_0 itself, in units of [-1, 1]."""
        return float(np.sqrt((1 - self.alpha_bar) / self.alpha_bar))


@dataclass(frozen=True)
class Profile:
    """How a model codes images: `noisy` levels by reverse channel coding, then `fine` ones in nested cells.

    Before anything is said an image is `average` (D,), in grey levels; `noisy[0]` is that state, of alpha_bar 0.
    Cells begin with the width 2^`width` grey levels; `fine[i]` is the level of cells of width 2^(width - i), as far as the
    model knows so little noise. A chunk of the channel has `chunk` bits in the mean, of 2^`candidates` to choose from, and
    `places[i]` counts how often a choice had i + 1 binary digits. `exact` says whether the network runs in exact arithmetic
    (`ddpm.codec.exact`), `clamped` whether its estimates are kept in [-1, 1], `learned` whether it has a
    learned variance; `probe` is that of `ddpm.codec.denoiser`, where the arithmetic is not exact.

    Raises:
        ValueError: the numbers are those of no profile.
    """

    shape: tuple[int, int, int]
    levels: int
    exact: bool
    clamped: bool
    learned: bool
    average: tuple[float, ...]
    noisy: tuple[Level, ...]
    fine: tuple[Level, ...]
    width: int
    chunk: float
    candidates: int
    places: tuple[int, ...]
    probe: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        bins = number_of_bins(learned=self.learned)
        sound = (
            len(self.average) == self.size
            and len(self.places) == self.candidates + 1
            and len(self.noisy) > 1
            and all(level.sound(bins) for level in (*self.noisy, *self.fine))
            and all(a.alpha_bar < b.alpha_bar for a, b in itertools.pairwise(self.noisy))
            and self.noisy[0].alpha_bar == 0
            and all(level.alpha_bar > 0 for level in self.fine)
            and min(self.shape) >= 1
            and 2 <= self.levels <= 2**16
            and len(self.fine) <= self.width <= LARGEST
            and 0 < self.chunk <= LARGEST
            and 1 <= self.candidates <= LARGEST
            and all(1 <= count < 2**31 for count in self.places)
            and np.isfinite(self.average).all()
        )
        if not sound or self.version != VERSION:
            raise ValueError("a profile whose parts do not fit each other, or of another version")

    @property
    def half(self) -> float:
        """Grey levels in a unit of [-1, 1]."""
        return (self.levels - 1) / 2

    @property
    def size(self) -> int:
        """Numbers in an image."""
        return int(np.prod(self.shape))

    def json(self) -> str:
        """As written: every number in full."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, values: object) -> "Profile":
        """A profile from what its JSON says.

        Raises:
            DataError: it says something else.
        """
        return parsed(cls, values)

    def digest(self, weights: str) -> bytes:
        """SHA-256 of this profile and of `weights`, which names those: what a file must have been made with."""
        return hashlib.sha256(f"{self.json()}\n{weights}".encode()).digest()


def parsed(kind: type[Kind], values: object) -> Kind:
    """A profile of that kind from what its JSON says.

    Raises:
        DataError: it says something else.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise DataError(f"no profile of a codec: {error.errors()[0]['msg']}") from error


def bins_of_average(profile: Profile) -> np.ndarray:
    """Which of the deviations of `noisy[0]` holds for each pixel of the average image."""
    place = np.asarray(profile.average) / (profile.levels - 1)
    return bins_of(np.ones(profile.size) if profile.learned else None, place)


def bins_of(fraction: Real | None, place: Real) -> np.ndarray:
    """Which deviation holds: by the learned variance's fraction (None where none was learned) and the estimated place, 0..1."""
    near = np.searchsorted(PLACES, place, side="right")
    if fraction is None:
        return near
    return np.searchsorted(FRACTIONS, fraction, side="right") * (len(PLACES) + 1) + near


def number_of_bins(*, learned: bool) -> int:
    """How many deviations a level has."""
    return (len(PLACES) + 1) * (len(FRACTIONS) + 1 if learned else 1)
