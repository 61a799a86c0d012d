"""What sender and receiver of a chain must agree on besides the weights: its steps, and how coarse each lattice is."""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ddpm.codec.profile import VERSION, Level, parsed

CERTAIN = math.sqrt(12)
"""At this spacing rounding alone is all the noise of a step, and nothing is popped."""

ALONE = (CERTAIN, 2.8, 2.4, 2.0)
"""Spacing of the lattices over the noise of their steps (the last for all that follow), for the first image on a stack. A coarse
lattice pops few bits, and there are few yet."""
TOGETHER = 1.0
"""Where bits lie on it already."""


@dataclass(frozen=True)
class ChainProfile:
    """A chain of K codec steps: `steps[t - 1]` is the level of x_t, more and more noise, for pixels of 0..levels-1.

    A lattice has `alone[t - 1]` times the deviation of the step's noise as its spacing, or `together[t - 1]`.

    Raises:
        ValueError: the numbers are those of no chain.
    """

    levels: int
    steps: tuple[Level, ...]
    alone: tuple[float, ...]
    together: tuple[float, ...]
    version: int = VERSION

    def __post_init__(self) -> None:
        alpha_bar = [1.0, *(step.alpha_bar for step in self.steps)]
        if any(after >= before for before, after in itertools.pairwise(alpha_bar)):
            raise ValueError("the steps of a chain have more and more noise")
        if self.version != VERSION:
            raise ValueError("a chain of another version")
        for spacings in (self.alone, self.together):
            if len(spacings) != len(self.steps) or not all(0.5 <= spacing <= CERTAIN for spacing in spacings):
                raise ValueError("a lattice for each step, of 0.5 to sqrt(12) times its noise")

    def json(self) -> str:
        """As written: every number in full."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, values: object) -> "ChainProfile":
        """A profile from what its JSON says.

        Raises:
            DataError: it says something else.
        """
        return parsed(cls, values)

    def digest(self, codec: str) -> bytes:
        """SHA-256 of this chain and of `codec`, the name in hexadecimal of weights and profile (`Profile.digest`)."""
        return hashlib.sha256(f"{self.json()}\n{codec}".encode()).digest()


def spaced(levels: int, steps: tuple[Level, ...], alone: Sequence[float] = ALONE) -> ChainProfile:
    """A chain of these steps; one image alone pops nothing at its first, and little at the next."""
    many = len(steps)
    first = (*alone, *(alone[-1],) * many)[:many]
    return ChainProfile(levels, steps, first, (TOGETHER,) * many)
