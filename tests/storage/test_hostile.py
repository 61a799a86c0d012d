"""Headers, JSON and links that somebody made to do harm: refused by what they say, before they cost anything."""

import errno
import json
import os
import random

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm.storage import plain, strict, tensorfile
from ddpm.storage.tensorfile import DTYPES, layout_of, tensors_in, written

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def _file(header, payload=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + payload


def _bytes(tensors):
    return b"".join(piece for _, piece in written(tensors))


HOSTILE = {
    "empty": (b"", "too few for a header"),
    "seven bytes": (b"\0" * 7, "too few for a header"),
    "length 2^63": (_file({"a": GOOD}, length=2**63), "its header is of"),
    "length beyond the file": (_file({"a": GOOD}, length=100), "its header is of"),
    "a header too large": (_file(b"{" + b" " * (2**24 + 1) + b"}"), "its header is of"),
    "no JSON": (_file(b"\x80\x04pickle."), "its header: no text in UTF-8 from byte 0 on"),
    "a list": (_file([]), "no object"),
    "deep": (_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "levels"),
    "33 levels": (_file(b'{"a":' + b"[" * 33 + b"]" * 33 + b"}"), "levels"),
    "twice": (_file(b'{"a":%s,"a":%s}' % ((json.dumps(GOOD).encode(),) * 2)), "twice"),
    "many": (_file({f"{i}": {**GOOD, "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}, b""), "20,001"),
    "very many values": (_file(b"[" + b"0," * 400_000 + b"0]"), "values"),
    "unknown dtype": (_file({"a": {**GOOD, "dtype": "O8"}}), "unknown type"),
    "dtype of another kind": (_file({"a": {**GOOD, "dtype": ["F32"]}}), "unknown type"),
    "negative side": (_file({"a": {**GOOD, "shape": [-2]}}), "shape"),
    "an overflow beside a 0": (
        _file({"a": {**GOOD, "shape": [2**31, 2**31, 2**31, 0], "data_offsets": [0, 0]}}, b""),
        "shape",
    ),
    "large side": (_file({"a": {**GOOD, "shape": [0, 2**31 + 1], "data_offsets": [0, 0]}}, b""), "shape"),
    "huge side": (_file({"a": {**GOOD, "shape": [0, 2**62], "data_offsets": [0, 0]}}, b""), "shape"),
    "huge number": (_file(b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,8]}}' % (b"9" * 5000)), "too large"),
    "a product that overflows": (_file({"a": {**GOOD, "shape": [2**31, 2**31, 4]}}), "shape"),
    "many sides": (_file({"a": {**GOOD, "shape": [1] * 17, "data_offsets": [0, 4]}}), "shape"),
    "true": (_file({"a": {**GOOD, "shape": [True], "data_offsets": [0, 4]}}), "shape"),
    "half": (_file({"a": {**GOOD, "shape": [2.0]}}), "shape"),
    "three offsets": (_file({"a": {**GOOD, "data_offsets": [0, 4, 8]}}), "data_offsets"),
    "backwards": (_file({"a": {**GOOD, "data_offsets": [8, 0]}}), "take"),
    "too short": (_file({"a": {**GOOD, "shape": [3]}}), "take"),
    "beyond the end": (_file({"a": {**GOOD, "shape": [4], "data_offsets": [0, 16]}}), "end at"),
    "a rest": (_file({"a": GOOD}, b"\0" * 9), "end at"),
    "a hole": (_file({"a": GOOD, "b": {**GOOD, "data_offsets": [12, 20]}}, b"\0" * 20), "begins at"),
    "an overlap": (_file({"a": GOOD, "b": {**GOOD, "data_offsets": [4, 12]}}, b"\0" * 12), "begins at"),
    "the same bytes": (_file({"a": GOOD, "b": GOOD}), "begins at"),
    "a field more": (_file({"a": {**GOOD, "code": "import os"}}), "has not"),
    "a field less": (_file({"a": {"dtype": "F32", "shape": [2]}}), "has not"),
    "a number for a tensor": (_file({"a": 1}), "has not"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(tmp_path, name):
    """By the file and by its bytes."""
    data, words = HOSTILE[name]
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        layout_of(tmp_path / "f")
    with pytest.raises(ValueError, match=words):
        tensors_in(bytearray(data))


def test_the_header_is_read_alone(tmp_path):
    """A sparse file of 1 TB, whose header says so: it is described, not read; and a header that lies is refused."""
    header = json.dumps({"a": {"dtype": "F64", "shape": [2**31, 64], "data_offsets": [0, 2**40]}}).encode()
    with (tmp_path / "f").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**40)
    assert layout_of(tmp_path / "f")["a"].count == 2**37
    with pytest.raises(OSError, match="more than"):
        plain.contents(tmp_path / "f", 2**20)


@pytest.mark.parametrize("seed", range(5))
def test_random_changes_of_a_header_do_no_harm(tmp_path, seed):
    """Whatever the header says after it was changed: a ValueError, or tensors within the file."""
    draw = random.Random(seed)
    good = _bytes({"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2, dtype=torch.float64)})
    header = 8 + int.from_bytes(good[:8], "little")
    for _ in range(400):
        data = bytearray(good)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(header)] = draw.choice(b'0123456789{}[]",:-eE \0\xff')
        try:
            layout, tensors = tensors_in(data)
        except ValueError:
            continue
        assert sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) < len(good)
        assert all(entry.end <= len(good) for entry in layout.values())


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_others_read_what_is_written_and_the_other_way(tmp_path, dtype):
    """safetensors agrees, on every type, on empty tensors and on scalars."""
    tensors = {
        "b": torch.arange(6).reshape(2, 3).to(dtype),
        "a": torch.tensor(3).to(dtype),
        "none": torch.zeros(0, 4, dtype=dtype),
        "ü": torch.arange(8.0).reshape(2, 4).T,
    }
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for data in (_bytes(tensors), safetensors.torch.save(contiguous, metadata={"format": "pt"})):
        _, ours = tensors_in(bytearray(data))
        theirs = safetensors.torch.load(data)
        assert ours.keys() == theirs.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert ours[name].dtype == tensor.dtype
            assert torch.equal(ours[name], tensor)
            assert torch.equal(theirs[name], tensor)


def test_tensors_need_not_be_aligned():
    header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": {**GOOD, "data_offsets": [1, 9]}}
    _, tensors = tensors_in(bytearray(_file(header, b"\1" + torch.tensor([1.0, 2.0]).numpy().tobytes())))
    assert tensors["b"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN"),
        ("[Infinity]", "Infinity"),
        ("-Infinity", "Infinity"),
        ("1e999", "1e999"),
        ("-1e999", "1e999"),
        ("9" * 5000, "too large"),
        (str(2**64), "too large"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"b": {"a": 1, "a": 1}}', "'a' is there twice"),
        ("[" * 33 + "]" * 33, "levels"),
        ("[" * 10**6, "levels"),
        ('{"a":' * 10**5, "levels"),
        ("", "no JSON from character 0 on"),
        ("{'a': 1}", "no JSON from character 1 on"),
        ("1 2", "no JSON from character 2 on"),
        ('"\ud800"', "no text in UTF-8 from byte 1 on"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_json_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        strict.parse(text.encode(errors="surrogatepass"))


def test_large_json_is_refused_unread(monkeypatch):
    monkeypatch.setattr(strict.json, "loads", None)
    with pytest.raises(ValueError, match="bytes of JSON"):
        strict.parse(b" " * (strict.BYTES + 1))
    with pytest.raises(ValueError, match="more than 10 values"):
        strict.parse(b"[" + b"1," * 20 + b"1]", values=10)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**64, 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_all_other_json_is_read(value):
    assert strict.parse(json.dumps(value).encode()) == value


def test_only_plain_files_are_read(tmp_path):
    """No link, no pipe (which nobody writes to), no folder, no device."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(OSError, match=r"."):
            plain.contents(tmp_path / name, 100)
    with pytest.raises(OSError, match="not a plain file"), plain.opened(tmp_path.joinpath("/dev/zero")):
        pass
    assert plain.contents(tmp_path / "file", 3) == b"abc"
    with pytest.raises(OSError, match="more than 2") as found:
        plain.contents(tmp_path / "file", 2)
    assert found.value.errno == errno.EFBIG


def test_the_caps_are_those_that_are_published():
    assert (tensorfile.HEADER_BYTES, tensorfile.TENSORS, tensorfile.LARGEST_SIDE) == (2**24, 20_000, 2**31)
