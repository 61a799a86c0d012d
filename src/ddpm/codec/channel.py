"""Reverse channel coding: a value that is typical of a normal distribution which only the sender knows, in few bits.

Both sides see the same table of candidates a_1, a_2, ... ~ p. With the Poisson functional representation (Li & El Gamal 2018)
the sender picks the least tau_i p(a_i)/q(a_i), tau_i the arrivals of a Poisson process; then a_i ~ q, and log2 i is
KL(q || p) + log2(KL + 1) + O(1) bits in the mean. Here i's own code length stands for log tau_i: what the receiver does is the
same, and the file is smaller (`pick`). Candidates needed grow as 2^KL, so a step is cut in chunks.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from ddpm.codec.coder import Reader, Writer
from ddpm.codec.randomness import normals, order
from ddpm.codec.tables import Real, Whole

WEIGHT = 1.3
"""Of log q/p beside the bits of a choice. With 1, the sum of bits would be least; but of 2^10 candidates for 6 bits, the chosen
one then lies 0.89 of the way from p's mean to q's, and the profile's deviations are those of noise that comes all the way, as it
does with 1.3 (for other bits 0.86 to 1.3 of it). MNIST's files are 1 to 2 % smaller than with samples of q.
"""
AT_ONCE = 2**22
"""Numbers of candidates that the sender looks at together, at most."""
DIGITS = Context(prec=30, rounding=ROUND_HALF_EVEN, traps=[])
"""Arithmetic that is no machine's and no caller's own."""
BITS = 256
"""Expected bits are counted in whole 256ths: sums of them are alike everywhere."""


def expected_bits(ratio: Real) -> Whole:
    """KL(q || p) of normal distributions whose variances have the ratio 1 : `ratio`, in the mean over p's truth: 1/2 log2."""
    with localcontext(DIGITS):  # not the machine's own logarithm, which may differ in its last digit
        bits = [Decimal(BITS) / 2 * Decimal(value).ln() / Decimal(2).ln() for value in ratio.tolist()]
    return np.array([int(number.to_integral_value(ROUND_HALF_EVEN)) for number in bits], dtype=np.int64)


def chunks_of(expected: Whole, bits: float, key: int, step: int) -> list[Whole]:
    """Which dimensions go together: as many chunks as the step has times `bits`, alike in what is expected of them."""
    shuffled = order(key, step, len(expected))
    total = np.cumsum(expected[shuffled])
    number = max(1, int(total[-1] / (bits * BITS) + 0.5))
    cuts = np.searchsorted(total, [total[-1] * i // number for i in range(1, number)], side="right")
    return [part for part in np.split(shuffled, cuts) if len(part)]


def pick(key: int, stream: int, candidates: int, shift: Real, ratio: Real, places: Whole) -> int:
    """The sender's choice among the 2^candidates rows of N(0, 1) that it shares; times `ratio` it is near one of N(shift, 1).

    p has `ratio` (d,) times q's deviation, and q lies `shift` (d,) of its own deviations from p's mean. The number is coded by
    `places`, as `code` does. log2 q/p of a candidate is what it saves of the bits that follow, so the choice is the least of
    what it costs less `WEIGHT` times what it saves.
    """
    many, width = 2**candidates, len(shift)
    cost = np.log(2) * _bits(places, many)
    some = max(1, AT_ONCE // width)
    regret = [
        cost[first : first + some]
        - WEIGHT * _log_weight(normals(key, stream, min(some, many - first), width, first), shift, ratio)
        for first in range(0, many, some)
    ]
    return int(np.argmin(np.concatenate(regret)))


def _log_weight(table: NDArray[np.float32], shift: Real, ratio: Real) -> Real:
    """Log q(a) / p(a), but for a constant, of candidates (K, d)."""
    return table @ (ratio * shift) - 0.5 * (table**2 @ (ratio**2 - 1))


def _bits(places: Whole, many: int) -> Real:
    """What the numbers 0..many-1 cost: their number of binary digits by `places`, then the digits."""
    digits = np.frexp(np.arange(1, many + 1))[1] - 1
    return digits + np.log2(places.sum() / places[digits])


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
