"""A stream of bits that is written, or read, by the same lines of code: `bits` and `choices` give back what they are told.

A `Writer` is told the symbols; a `Reader` finds them. So a codec is one function that both sides run, and cannot differ.
The coder itself is constriction's range coder: first in, first out, which lets any prefix be read.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpm.codec.tables import Real, Whole
from ddpm.errors import DataError

_QUEUE: Any = None
_MODEL: Any = None
with suppress(ImportError):  # an extra: `ddpm.trained.coded` says what is missing
    import constriction

    _QUEUE, _MODEL = constriction.stream.queue, constriction.stream.model  # type: ignore[attr-defined] # it has no types
SMALLEST = 2.0**-20
"""Probability of a bit, at least."""
OF_A_BYTE = 4096
"""Numbers of which a byte of a beginning can say something, at most: so a few bytes that claim a large image are little work.

`ddpm:mnist` needs a byte for 3,200 before anything is known of an image.
"""


class Ended(Exception):
    """A prefix says no more: `known` symbols of those asked for are certain; the argument."""

    def __init__(self, known: Whole) -> None:
        super().__init__()
        self.known = known


@dataclass(eq=False)
class Writer:
    """Takes symbols. `stream()` is the shortest string that gives them back."""

    _encoder: Any = field(default_factory=lambda: _QUEUE.RangeEncoder())  # noqa: PLW0108 (where there is one)
    _said: list[tuple[object, tuple[NDArray, ...], NDArray]] = field(default_factory=list)

    def bits(self, ones: Whole, of: Whole, known: Whole | None) -> Whole:
        """Bits of which each is 1 with probability `ones` / `of`."""
        assert known is not None
        self._put(_MODEL.Bernoulli(perfect=False), (_probability(ones, of),), known)
        return known

    def choices(self, counts: Whole, known: Whole | None) -> Whole:
        """Numbers 0..len(counts)-1, as probable as their counts."""
        assert known is not None
        self._put(_MODEL.Categorical(counts / counts.sum(), perfect=False), (), known)
        return known

    def uniform(self, below: int, known: int | None) -> int:
        """A number of 0..below-1, all alike."""
        assert known is not None
        if below > 1:
            self._put(_MODEL.Uniform(below), (), np.array([known]))
        return known

    def _put(self, model: object, parameters: tuple[NDArray, ...], symbols: NDArray) -> None:
        symbols = symbols.astype(np.int32)
        self._encoder.encode(symbols, model, *parameters)
        self._said.append((model, parameters, symbols))

    def stream(self) -> bytes:
        """The stream, without what its end need not say."""
        whole = self._encoder.get_compressed().astype(">u4").tobytes()
        for kept in range(max(0, len(whole) - 12), len(whole)):
            head = int.from_bytes(whole[:kept], "big")
            for number in (head, head + 1):
                if number.bit_length() <= 8 * kept and self._read_back(shorter := number.to_bytes(kept, "big")):
                    return shorter
        return whole

    def _read_back(self, stream: bytes) -> bool:
        decoder = _QUEUE.RangeDecoder(_words(stream, 0))
        try:
            return all(
                np.array_equal(decoder.decode(model, *(parameters or (len(symbols),))), symbols)
                for model, parameters, symbols in self._said
            )
        except AssertionError:  # constriction: no symbols have this code
            return False


@dataclass(eq=False)
class Reader:
    """Finds symbols in a stream; `whole` if it is all there. Of a prefix, whatever any continuation would say.

    It reads the prefix followed by zeros and followed by ones: where both say the same, all that lies between does.
    """

    stream: bytes
    whole: bool = True

    def __post_init__(self) -> None:
        ends = (0,) if self.whole else (0, 255)
        self._decoders = [_QUEUE.RangeDecoder(_words(self.stream, end)) for end in ends]

    def is_blank(self, more: int) -> bool:
        """Whether it is a beginning that says nothing of an image with so many `more` numbers than those of its first tile."""
        return not self.whole and (not self.stream or more > OF_A_BYTE * len(self.stream))

    def bits(self, ones: Whole, of: Whole, known: Whole | None = None) -> Whole:
        """As the writer's."""
        del known
        return self._agreed(_MODEL.Bernoulli(perfect=False), _probability(ones, of))

    def choices(self, counts: Whole, known: Whole | None = None) -> Whole:
        """As the writer's: one number."""
        del known
        return self._agreed(_MODEL.Categorical(counts / counts.sum(), perfect=False), 1)

    def uniform(self, below: int, known: int | None = None) -> int:
        """As the writer's."""
        del known
        return int(self._agreed(_MODEL.Uniform(below), 1)[0]) if below > 1 else 0

    def _agreed(self, model: object, parameter: NDArray | int) -> Whole:
        """Symbols with these parameters, or so many with none, that both ends say."""
        before = [] if self.whole else [decoder.clone() for decoder in self._decoders]
        found = [_decoded(decoder, model, parameter) for decoder in self._decoders]
        if any(one is None for one in found):
            if self.whole:
                raise DataError("the coded bits are damaged")
            found = _as_far_as_both_go(before, model, parameter)
            raise Ended(found[0][: _alike(*found)])
        first, last = found[0], found[-1]
        assert first is not None and last is not None
        if (alike := _alike(first, last)) < len(first):
            raise Ended(first[:alike])
        return first


def _decoded(decoder: Any, model: object, parameter: NDArray | int) -> Whole | None:  # noqa: ANN401
    """Symbols; None where no symbols have this code, of which constriction makes a failed assertion."""
    try:
        return np.asarray(decoder.decode(model, parameter), dtype=np.int64)
    except AssertionError:
        return None


def _as_far_as_both_go(decoders: list[Any], model: object, parameter: NDArray | int) -> list[Whole]:
    """The longest beginnings that all can say: the longer ones are no code of one of them."""
    least, most = 0, parameter if isinstance(parameter, int) else len(parameter)
    kept: list[Whole] = [np.zeros(0, dtype=np.int64) for _ in decoders]
    while least < most:
        middle = (least + most + 1) // 2
        some = middle if isinstance(parameter, int) else parameter[:middle]
        found = [_decoded(decoder.clone(), model, some) for decoder in decoders]
        if any(one is None for one in found):
            most = middle - 1
        else:
            least, kept = middle, [one for one in found if one is not None]
    return kept


def _alike(a: Whole, b: Whole) -> int:
    """How many of the first numbers are the same."""
    differ = np.flatnonzero(a != b)
    return int(differ[0]) if len(differ) else len(a)


def _probability(ones: Whole, of: Whole) -> Real:
    return np.clip(ones / of, SMALLEST, 1 - SMALLEST)


def _words(stream: bytes, end: int) -> NDArray[np.uint32]:
    """The stream as words of 32 bits, and two more of what follows it, which are read ahead."""
    padded = stream + bytes([end]) * (8 + -len(stream) % 4)
    return np.frombuffer(padded, dtype=">u4").astype(np.uint32)
