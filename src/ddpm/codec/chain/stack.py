"""A stack of bits: what was pushed last is popped first, and popping what was never pushed gives a sample for free.

The coder is constriction's asymmetric numeral system (Duda 2009). A pop and the push of what it gave are each other's
inverse in every state, the empty one too. There a pop gives the first symbol: so the most usual one should be first, and a
stack that runs dry costs bits but breaks nothing.
"""

from contextlib import suppress
from typing import Any

import numpy as np

from ddpm.codec.tables import Real, Whole
from ddpm.errors import DataError

_CODER: Any = None
_MODEL: Any = None
_MODEL_OF_A_BYTE: Any = None
with suppress(ImportError):  # an extra: `ddpm.trained.coded` says what is missing
    import constriction

    _STREAM: Any = constriction.stream  # type: ignore[attr-defined] # it has no types
    _CODER, _MODEL = _STREAM.stack.AnsCoder, _STREAM.model.Categorical(perfect=False)
    _MODEL_OF_A_BYTE = _STREAM.model.Uniform(256)


class Stack:
    """Begins empty, or as `bytes()` gave it.

    Raises:
        DataError: the data are no stack.
    """

    def __init__(self, data: bytes = b"") -> None:
        if data.endswith(b"\0"):
            raise DataError("the coded bits are damaged")
        words = np.frombuffer(data + bytes(-len(data) % 4), dtype="<u4").astype(np.uint32)
        self._coder = _CODER(words) if len(words) else _CODER()

    def push_bytes(self, data: bytes) -> None:
        """Put bytes there, of which the last is not 0, and how many they are."""
        if data:
            self._coder.encode_reverse(np.frombuffer(data, dtype=np.uint8).astype(np.int32), _MODEL_OF_A_BYTE)
        self.push_numbers(np.array([len(data)]))

    def pop_bytes(self) -> bytes:
        """Take them from it.

        Raises:
            DataError: there are not so many.
        """
        many = int(self.pop_numbers(1)[0])
        if many > self.bits // 8 + 2:  # what is lowest in the stack may begin with some zeros, which do not count
            raise DataError("the coded bits are damaged")
        found = self._coder.decode(_MODEL_OF_A_BYTE, many) if many else np.zeros(0)
        return np.asarray(found).astype(np.uint8).tobytes()

    @property
    def bits(self) -> int:
        """How many lie on it."""
        return int(self._coder.num_valid_bits())

    def bytes(self) -> bytes:
        """All that lies on it."""
        return self._coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")

    def push(self, symbols: Whole, counts: Whole) -> None:
        """Symbols (n,), each of 0..s-1 and as probable as its `counts` (n, s)."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), _MODEL, _rows(counts))

    def pop(self, counts: Whole) -> Whole:
        """As many as there are rows."""
        if not len(counts):
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self._coder.decode(_MODEL, _rows(counts)), dtype=np.int64)

    def push_numbers(self, numbers: Whole) -> None:
        """Any numbers of 0..2^31, small ones in fewer bits (Elias 1975)."""
        digits = np.frexp(numbers + 1.0)[1].astype(np.int64) - 1
        for place in range(int(digits.max(initial=0))):  # the last digit first, for it is popped last
            which = np.flatnonzero(digits > place)
            self.push((numbers[which] + 1) >> place & 1, _alike(len(which), 2))
        self.push(digits, _alike(len(digits), 32))

    def pop_numbers(self, many: int) -> Whole:
        """So many of them."""
        digits = self.pop(_alike(many, 32))
        found = np.ones(many, dtype=np.int64)
        for place in reversed(range(int(digits.max(initial=0)))):
            which = np.flatnonzero(digits > place)
            found[which] = 2 * found[which] + self.pop(_alike(len(which), 2))
        return found - 1


def _alike(many: int, symbols: int) -> Whole:
    return np.ones((many, symbols), dtype=np.int64)


def _rows(counts: Whole) -> Real:
    """Whole numbers as float64, row after row in memory: constriction misreads any other order."""
    return counts.astype(np.float64, order="C")
