"""The stream: what is written is read, in the fewest bytes; a beginning says a beginning, and damage is an error or other symbols."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm.codec.coder import Ended, Reader, Writer
from ddpm.errors import DataError

ONE_CALL = st.one_of(
    st.tuples(st.just("bits"), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1)), max_size=40)),
    st.tuples(
        st.just("choices"), st.tuples(st.lists(st.integers(1, 9999), min_size=2, max_size=12), st.integers(0, 11))
    ),
    st.tuples(st.just("uniform"), st.tuples(st.integers(0, 12), st.integers(0, 4095))),
)
MESSAGES = st.lists(ONE_CALL, max_size=12)


def say(coder, message, *, tell):
    """What a coder makes of the calls of a message, one symbol after the other."""
    for kind, what in message:
        if kind == "bits":
            ones, bits = (np.array([one[i] for one in what], dtype=np.int64) for i in (0, 1))
            found = coder.bits(ones, np.full(len(ones), 1000), bits if tell else None)
            yield from found.tolist()
        elif kind == "choices":
            counts, chosen = np.array(what[0]), what[1] % len(what[0])
            yield from coder.choices(counts, np.array([chosen]) if tell else None).tolist()
        else:
            below = 2 ** what[0]
            yield coder.uniform(below, what[1] % below if tell else None)


def written(message):
    writer = Writer()
    return list(say(writer, message, tell=True)), writer.stream()


@settings(max_examples=150, deadline=None)
@given(MESSAGES)
def test_what_is_written_is_read(message):
    symbols, stream = written(message)
    assert list(say(Reader(stream), message, tell=False)) == symbols


@settings(max_examples=40, deadline=None)
@given(MESSAGES)
def test_no_shorter_beginning_says_the_same(message):
    """Nor one with another last byte."""
    symbols, stream = written(message)
    if not stream:
        return
    for last in (b"", *(bytes([last]) for last in range(256))):
        shorter = stream[:-2] + last if len(stream) > 1 else b""
        assert _or_damaged(shorter, message) != symbols


def _or_damaged(stream, message):
    try:
        return list(say(Reader(stream), message, tell=False))
    except DataError:
        return None


@settings(max_examples=40, deadline=None)
@given(MESSAGES, st.binary(max_size=12))
def test_a_beginning_says_what_every_continuation_says(message, other):
    """Whatever follows: symbols of a prefix are those of the message, and of any other stream that begins so."""
    symbols, stream = written(message)
    before = 0
    for end in range(len(stream) + 1):
        known = _known(stream[:end], message)
        assert known == symbols[: len(known)]
        assert len(known) >= before
        before = len(known)
        whole = _or_damaged(stream[:end] + other, message)
        assert whole is None or whole[: len(known)] == known
    assert len(symbols) - before <= 64 or not stream


def _known(prefix, message):
    """Symbols that a prefix makes certain, as the reader gives them."""
    found, reader = [], Reader(prefix, whole=False)
    symbols = say(reader, message, tell=False)
    while True:
        try:
            found.append(next(symbols))
        except StopIteration:
            return found
        except Ended as end:
            return found + end.known.tolist()


def test_a_long_message_is_known_soon():
    """Of 20,000 fair bits a prefix of n bytes says all but the last few of 8 n."""
    bits = np.random.default_rng(1).integers(0, 2, 20000)
    halves = np.full(len(bits), 1)
    writer = Writer()
    writer.bits(halves, 2 * halves, bits)
    stream = writer.stream()
    assert len(stream) <= 2501
    for end in range(0, len(stream), 97):
        with pytest.raises(Ended) as ended:
            Reader(stream[:end], whole=False).bits(halves, 2 * halves)
        assert np.array_equal(ended.value.known, bits[: len(ended.value.known)])
        assert 8 * end - 8 <= len(ended.value.known) <= 8 * end


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.binary(max_size=60), st.booleans())
def test_any_bytes_are_symbols_or_an_error(message, stream, whole):
    for value in (stream, stream + b"\xff" * 40):
        try:
            found = list(say(Reader(value, whole), message, tell=False))
        except (DataError, Ended):
            continue
        assert all(0 <= one < 4096 for one in found)


def test_the_length_is_the_entropy():
    """Bits that are 1 in 3 of 100 cost 0.194 bits each, and 4 bytes more for all."""
    rng = np.random.default_rng(2)
    bits = (rng.random(50000) < 0.03).astype(np.int64)
    writer = Writer()
    writer.bits(np.full(len(bits), 3), np.full(len(bits), 100), bits)
    entropy = -np.log2(np.where(bits, 0.03, 0.97)).sum() / 8
    assert abs(len(writer.stream()) - entropy) < 4
