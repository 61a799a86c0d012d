"""Reverse channel coding: a sample of a normal distribution that only the sender knows, in about as many bits as it differs.

Both sides see the same table of candidates a_1, a_2, ... ~ p. The sender picks number i with the Poisson functional
representation (Li & El Gamal 2018): the least tau_i p(a_i)/q(a_i), tau_i the arrivals of a Poisson process; then a_i ~ q, and
log2 i is KL(q || p) + log2(KL + 1) + O(1) bits in the mean. Candidates needed grow as 2^KL, so a step is cut in chunks.
"""

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from ddpm.codec.coder import Reader, Writer
from ddpm.codec.randomness import normals, order
from ddpm.codec.tables import Real, Whole

AT_ONCE = 2**22
"""Numbers of candidates that the sender looks at together, at most."""
BITS = 256
"""Expected bits are counted in whole 256ths: sums of them are alike everywhere."""


def expected_bits(ratio: Real) -> Whole:
    """KL(q || p) of normal distributions whose variances have the ratio 1 : `ratio`, in the mean over p's truth: 1/2 log2."""
    with localcontext(prec=30):  # not the machine's own logarithm, which may differ in its last digit
        bits = [Decimal(BITS) / 2 * Decimal(value).ln() / Decimal(2).ln() for value in ratio.tolist()]
    return np.array([int(number.to_integral_value()) for number in bits], dtype=np.int64)


def chunks_of(expected: Whole, bits: float, key: int, step: int) -> list[Whole]:
    """Which dimensions go together: as many chunks as the step has times `bits`, alike in what is expected of them."""
    shuffled = order(key, step, len(expected))
    total = np.cumsum(expected[shuffled])
    number = max(1, int(total[-1] / (bits * BITS) + 0.5))
    cuts = np.searchsorted(total, [total[-1] * i // number for i in range(1, number)], side="right")
    return [part for part in np.split(shuffled, cuts) if len(part)]


def pick(key: int, stream: int, candidates: int, shift: Real, ratio: Real, private: np.random.Generator) -> int:
    """The sender's choice among the 2^candidates rows of N(0, 1) that it shares; times `ratio` it is one of N(shift, 1).

    p has `ratio` (d,) times q's deviation, and q lies `shift` (d,) of its own deviations from p's mean. `private` draws the
    arrivals, which nobody else need know.
    """
    many, width = 2**candidates, len(shift)
    arrivals = np.cumsum(private.exponential(size=many))
    some = max(1, AT_ONCE // width)
    lateness = [
        _lateness(
            normals(key, stream, min(some, many - first), width, first), shift, ratio, arrivals[first : first + some]
        )
        for first in range(0, many, some)
    ]
    return int(np.argmin(np.concatenate(lateness)))


def _lateness(table: NDArray[np.float32], shift: Real, ratio: Real, arrivals: Real) -> Real:
    """Log tau_i p(a_i) / q(a_i), but for a constant, of candidates (K, d)."""
    log_weight = table @ (ratio * shift) - 0.5 * (table**2 @ (ratio**2 - 1))
    return np.log(arrivals) - log_weight


def code(
    coder: Writer | Reader,
    places: Whole,
    key: int,
    stream: int,
    candidates: int,
    width: int,
    chosen: int | None,
) -> Real:
    """The chosen candidate, (width,): its number is sent as its binary digits, how many by `places`, then the digits."""
    digits = None if chosen is None else np.array([(chosen + 1).bit_length() - 1])
    many = int(coder.choices(places, digits)[0])
    rest = coder.uniform(2**many, None if chosen is None else chosen + 1 - 2**many)
    number = min(2**many + rest - 1, 2**candidates - 1)
    return normals(key, stream, 1, width, first=number)[0].astype(np.float64)
