"""The normal distribution in whole numbers: probabilities that a sender and a receiver compute alike, on any machine.

A table is computed by this machine's library, rounded far more coarsely than the library errs (no entry is nearer than 1e-14
of itself to where it would be rounded otherwise), and checked by its CRC.
"""

import zlib
from functools import lru_cache
from typing import TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

from ddpm.errors import DataError

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Table = TypeVar("Table", NDArray[np.int64], NDArray[np.float32])

ONE = 2**30
"""A probability of 1."""
STEP, REACH = 2**9, 8
"""The table has multiples of 1/512, within 8 of 0."""
BETWEEN = 10
"""Between two of them z is rounded to 2^-10 of the way."""
UNIFORM = 10
"""A share of 2^-10 of every prediction is uniform over the levels: nothing is impossible."""


@lru_cache(maxsize=1)
def phi() -> Whole:
    """The normal distribution function at multiples of 1/512 from -8 to 8, in units of 2^-30."""
    z = np.arange(-REACH * STEP, REACH * STEP + 1) / STEP
    return _checked("distribution", np.rint(scipy.special.ndtr(z) * ONE).astype(np.int64))


@lru_cache(maxsize=1)
def quantiles() -> NDArray[np.float32]:
    """The normal quantiles of (i + 1/2) / 65536, to 2^-16: what 16 random bits stand for."""
    table = np.rint(scipy.special.ndtri((np.arange(2**16) + 0.5) / 2**16) * 2**16) / 2**16
    return _checked("quantiles", table.astype(np.float32))


def distribution(z: Real) -> Whole:
    """The normal distribution function in units of 2^-30, at the nearest z of the table."""
    return phi()[np.rint(np.clip(z, -REACH, REACH) * STEP).astype(np.int64) + REACH * STEP]


def finely(z: Real) -> Whole:
    """The normal distribution function in units of 2^-30, on the straight line between two values of the table.

    Where thousands of levels lie in one deviation, a table alone would give one of them the mass of many.
    """
    fine = np.rint(np.clip(z, -REACH, REACH) * (STEP << BETWEEN)).astype(np.int64) + (REACH * STEP << BETWEEN)
    place = np.minimum(fine >> BETWEEN, 2 * REACH * STEP - 1)
    first = phi()[place]
    return first + ((phi()[place + 1] - first) * (fine - (place << BETWEEN)) >> BETWEEN)


def below(j: Whole, mean: Real, deviation: Real, levels: int) -> Whole:
    """P(x <= j) of a pixel of whole value, in units of 2^-30; the arguments broadcast.

    A normal distribution of which values below 0 count as 0, and above the largest level as that; mixed with the uniform
    one. It increases by at least 1 from each j to the next.
    """
    normal = (finely((j + 0.5 - mean) / deviation) * (2**UNIFORM - 1)) >> UNIFORM
    uniform = ((j + 1) << (30 - UNIFORM)) // levels
    return np.where(j < 0, 0, np.where(j >= levels - 1, ONE, normal + uniform))


CRC = {"distribution": 2985212026, "quantiles": 909758697}


def _checked(name: str, table: Table) -> Table:
    if zlib.crc32(table.tobytes()) != CRC[name]:
        raise DataError(f"the table of the normal {name} differs: this machine's SciPy errs by more than 1e-14")
    table.setflags(write=False)
    return table
