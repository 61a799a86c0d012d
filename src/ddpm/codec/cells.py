"""Nested cells: the pixels of an image found by halving, each half as probable as the denoiser says.

A pixel x with a shared offset o lies in the cell floor((x + o) / 2^l). Where the offset is uniform on 0..2^l - 1, the middle
of the cell is x plus uniform noise that knows nothing of x (a dithered quantiser, Schuchman 1964): the denoiser can be asked
again, of less noise, and a bit more of each pixel is coded. With cells of one value the image is exact.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from ddpm.codec.tables import Real, Whole, below

POSSIBLE = 1e-9
"""Of a cell with less mass the mean is not computed."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Of each pixel the cell number at cells of width 2^`log_width`, with the shared `offset`."""

    number: Whole
    log_width: int
    offset: Whole
    levels: int

    @property
    def first(self) -> Whole:
        """The least value that a pixel can have."""
        return np.maximum((self.number << self.log_width) - self.offset, 0)

    @property
    def last(self) -> Whole:
        """The largest."""
        return np.minimum(((self.number + 1) << self.log_width) - 1 - self.offset, self.levels - 1)

    @property
    def centre(self) -> Real:
        """The middle of the cell, beyond the levels too: x plus noise that is uniform."""
        return (self.number << self.log_width) - self.offset + (2**self.log_width - 1) / 2

    @property
    def variance(self) -> float:
        """Of that noise, (4^l - 1) / 12: that of 2^l whole numbers."""
        return (4**self.log_width - 1) / 12

    def halves(self, mean: Real, deviation: Real) -> tuple[Whole, Whole]:
        """The mass of the upper half, and of the cell, where pixels are normal with this mean and deviation."""
        first, last = self.first, self.last
        middle = (((2 * self.number + 1) << (self.log_width - 1)) - self.offset).clip(
            first, last + 1
        )  # first of the upper
        at = below(np.stack([first - 1, middle - 1, last]), mean, deviation, self.levels)
        return at[2] - at[1], at[2] - at[0]

    def expected(self, mean: Real, deviation: Real) -> Real:
        """The mean of each pixel within its cell, where pixels are normal with this mean and deviation, cut at the cell's ends.

        No bit depends on it. Where the cell is all but impossible it is the value nearest to `mean`.
        """
        first, last = self.first, self.last
        low = np.where(first == 0, -np.inf, (first - 0.5 - mean) / deviation)
        high = np.where(last == self.levels - 1, np.inf, (last + 0.5 - mean) / deviation)
        mass = scipy.special.ndtr(high) - scipy.special.ndtr(low)
        away = (np.exp(-low * low / 2) - np.exp(-high * high / 2)) / np.sqrt(2 * np.pi)
        shift = np.divide(away, mass, out=np.zeros_like(mass), where=mass > POSSIBLE)
        return (mean + deviation * shift).clip(first, last)

    def split(self, upper: Whole) -> "Cells":
        """Cells of half the width."""
        return Cells(2 * self.number + upper, self.log_width - 1, self.offset, self.levels)


def cavity(mean: Real, deviation: Real, cells: Cells) -> tuple[Real, Real]:
    r"""What the denoiser knows besides the cell that it was shown: :math:`1/v_c = 1/v - 1/s^2,\ m_c = v_c (m/v - y/s^2)`.

    Its estimate (m, v) already holds the observation y of noise variance s^2, as though that noise were normal; the cell says
    it truly, and would be counted twice.
    """
    of_cell = cells.variance
    variance = np.minimum(deviation**2, 0.98 * of_cell)
    cleared = 1 / (1 / variance - 1 / of_cell)
    return cleared * (mean / variance - cells.centre / of_cell), np.sqrt(cleared)
