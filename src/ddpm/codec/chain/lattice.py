r"""Noise on lattices: x_t = Delta_t (k_t + u_t), k_t a whole number and u_t a dither that both sides know.

For uniform u_t, rounding to the lattice adds uniform noise that knows nothing of x_t, of variance Delta^2 / 12. So a step of
variance beta_t draws k_t with :math:`\beta_t - \Delta_t^2/12` (Sheppard's correction), and x_t has just the noise that the
denoiser was trained on. All here is whole numbers and single operations of float64 (no power of one: each library of C rounds
that in its own way).
"""

from dataclasses import dataclass

import numpy as np

from ddpm.codec.chain.stack import Stack
from ddpm.codec.randomness import whole
from ddpm.codec.tables import Real, Whole, below, distribution
from ddpm.errors import DataError

DITHER = 2 << 32
"""Key of the dither; the steps count from there. The progressive code's keys are below."""
WINDOW = 16
"""A whole number within 16 of the one expected is one symbol; any other is a symbol that says so, and a number."""
RESIDUALS = np.array([0, *(sign * r for r in range(1, WINDOW + 1) for sign in (1, -1))])
"""By symbol, those nearest to what was expected first: they are what an empty stack gives."""


def dither(t: int, image: int, size: int) -> Real:
    """u_t (size,) in [-1/2, 1/2), for the image of that number in its group."""
    return (whole(DITHER + t, image, size, 2**16) + 0.5) / 2**16 - 0.5


def mass(k: Whole, mean: Real, deviation: Real | float) -> Whole:
    """Of whole numbers under a normal distribution, cut at halves, in units of 2^-30; the arguments broadcast."""
    z = (k - mean) / deviation
    half = 0.5 / deviation
    return distribution(z + half) - distribution(z - half)


def window(centre: Whole, mean: Real, deviation: Real) -> Whole:
    """The masses (D, symbols) about `centre` (D,)."""
    edges = (centre[:, None] + np.arange(-WINDOW, WINDOW + 2)) - 0.5
    at = distribution((edges - mean[:, None]) / deviation[:, None])
    return np.diff(at, axis=1)[:, RESIDUALS + WINDOW]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Whole numbers (D,) about `centre`, as probable as `counts` (D, symbols); those further off as the last, if there is one more."""

    centre: Whole
    counts: Whole

    @classmethod
    def anywhere(cls, centre: Whole, counts: Whole) -> "Numbers":
        """Where nothing is impossible: not even what lies outside the window."""
        total = counts.sum(1, keepdims=True)
        return cls(centre, np.concatenate([counts, np.zeros_like(total)], axis=1) + 1 + (total >> 20))

    def push(self, stack: Stack, k: Whole) -> None:
        """Put k (D,) on the stack.

        Raises:
            DataError: one lies outside, and may not.
        """
        r = k - self.centre
        symbols = np.where(r > 0, 2 * r - 1, -2 * r)
        last = len(RESIDUALS)
        outside = symbols >= last
        if outside.any() and self.counts.shape[1] == last:
            raise DataError("the coded bits are damaged")
        stack.push_numbers(symbols[outside] - last)
        stack.push(symbols.clip(max=last), self.counts)

    def pop(self, stack: Stack) -> Whole:
        """Take k (D,) from it."""
        symbols = stack.pop(self.counts)
        outside = symbols == len(RESIDUALS)
        symbols[outside] += stack.pop_numbers(int(outside.sum()))
        return self.centre + np.where(symbols % 2 == 1, (symbols + 1) // 2, -(symbols // 2))


@dataclass(frozen=True, eq=False)
class Rounded:
    """Whole numbers (D,) of which nothing need be said."""

    k: Whole

    def push(self, stack: Stack, k: Whole) -> None:
        """Nothing to put there.

        Raises:
            DataError: k is another.
        """
        del stack
        if not np.array_equal(k, self.k):
            raise DataError("the coded bits are damaged")

    def pop(self, stack: Stack) -> Whole:
        """Nothing is taken."""
        del stack
        return self.k


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels (D,) of `first`..`last`, normal about `mean` but at the ends of the levels (`tables.below`)."""

    first: Whole
    last: Whole
    mean: Real
    deviation: Real
    levels: int

    def push(self, stack: Stack, x: Whole) -> None:
        """Put x (D,) on the stack."""
        self._halve(stack, x - self.first)

    def pop(self, stack: Stack) -> Whole:
        """Take x (D,) from it.

        Raises:
            DataError: there is none.
        """
        if (self.first > self.last).any():
            raise DataError("the coded bits are damaged")
        return self.first + self._halve(stack, None)

    def _halve(self, stack: Stack, known: Whole | None) -> Whole:
        """The place after `first`, digit by digit: popped as it is found, or pushed in the opposite order."""
        many, found = self.last - self.first + 1, np.zeros_like(self.first)
        told: list[tuple[Whole, Whole]] = []
        for digit in reversed(range(int(many.max() - 1).bit_length())):
            ends = found + np.array([0, 1, 2])[:, None] * 2**digit
            at = below(self.first + np.minimum(ends, many) - 1, self.mean, self.deviation, self.levels)
            open_ = np.flatnonzero(ends[1] < many)
            counts = np.diff(at, axis=0).T[open_]
            if known is None:
                upper = stack.pop(counts)
            else:
                upper = known[open_] >> digit & 1
                told.append((upper, counts))
            found[open_] += upper << digit
        for upper, counts in reversed(told):
            stack.push(upper, counts)
        return found
