"""The safetensors format, written tensor by tensor without a copy, and read without one after its header was checked.

The header says how much memory will be taken, so it is first compared with fixed limits and with the size of the file.
The library `safetensors` is not used to read: it copies every tensor, and accepts headers that are refused here (a name
twice, any number of tensors, sides of 2**62). Tests compare the two.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm.errors import SHOWN
from ddpm.storage import plain, strict

HEADER_BYTES = 2**24
TENSORS = 20_000
LARGEST_SIDE = 2**31
MOST_SIDES = 16
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its type by safetensors' name, its shape, and where its bytes are, counted from the file's begin."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


Layout = Mapping[str, Entry]


def written(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, bytes | memoryview]]:
    """The file piece by piece: the header under the name "", then the bytes of each tensor under its name.

    Raises:
        KeyError: a type that is not in `DTYPES`.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, end = {}, 0
    for name in names:
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield "", len(text).to_bytes(8, "little") + text
    for name in names:
        yield name, tensor_bytes(tensors[name])


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor; without a copy, if it lies in the host's memory in one piece."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def tensor_digest(name: str, dtype: str, shape: tuple[int, ...], data: bytes | bytearray | memoryview) -> str:
    """SHA-256 over name, type, shape and bytes of a tensor."""
    found = hashlib.sha256(json.dumps([name, dtype, list(shape)]).encode() + b"\n")
    found.update(data)
    return found.hexdigest()


def layout_of(path: Path) -> Layout:
    """What a file holds, by its header alone; no more than the header is read.

    Raises:
        OSError: it cannot be read.
        ValueError: the header is not sound.
    """
    with plain.opened(path) as file:
        if file.size < 8:
            raise ValueError(f"it has {file.size} bytes, too few for a header")
        length = _header_length(file.at(0, 8), file.size)
        return _entries(file.at(8, length), file.size)


def tensors_in(data: bytearray) -> tuple[Layout, Mapping[str, Tensor]]:
    """The layout and the tensors of a file in memory; they share its memory.

    Raises:
        ValueError: the header is not sound.
    """
    if len(data) < 8:
        raise ValueError(f"it has {len(data)} bytes, too few for a header")
    length = _header_length(bytes(data[:8]), len(data))
    layout = _entries(bytes(data[8 : 8 + length]), len(data))
    return layout, {name: _tensor(data, entry) for name, entry in layout.items()}


def _tensor(data: bytearray, entry: Entry) -> Tensor:
    dtype = DTYPES[entry.dtype]
    if not entry.count:
        return torch.empty(entry.shape, dtype=dtype)
    if entry.begin % dtype.itemsize:  # only others' files: ours begin at multiples of 8
        return torch.frombuffer(data[entry.begin : entry.end], dtype=dtype).reshape(entry.shape)
    return torch.frombuffer(data, dtype=dtype, count=entry.count, offset=entry.begin).reshape(entry.shape)


def _header_length(first: bytes, size: int) -> int:
    length = int.from_bytes(first, "little")
    if length > min(HEADER_BYTES, size - 8):
        raise ValueError(f"its header is of {length:,} bytes, the file of {size:,}")
    return length


def _entries(header: bytes, size: int) -> Layout:
    try:
        values = strict.parse(header, values=16 * TENSORS)
    except ValueError as error:
        raise ValueError(f"its header: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("its header is no object")
    values.pop("__metadata__", None)
    if len(values) > TENSORS:
        raise ValueError(f"{len(values):,} tensors, more than {TENSORS:,}")
    start = 8 + len(header)
    found = {name: _entry(name, value, start) for name, value in values.items()}
    end = start
    for name, entry in sorted(found.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise ValueError(f"{name[:SHOWN]!r} begins at byte {entry.begin:,}, where {end:,} is the next")
        end = entry.end
    if end != size:
        raise ValueError(f"the tensors end at byte {end:,} of {size:,}")
    return found


def _entry(name: str, value: Any, start: int) -> Entry:  # noqa: ANN401
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name[:SHOWN]!r} has not dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name[:SHOWN]!r} is of the unknown type {str(dtype)[:SHOWN]!r}")
    if not _counts(shape, LARGEST_SIDE) or len(shape) > MOST_SIDES:
        raise ValueError(f"{name[:SHOWN]!r} has an impossible shape")
    if math.prod(max(side, 1) for side in shape) > strict.LARGEST // 32:  # torch counts so even where a side is 0
        raise ValueError(f"{name[:SHOWN]!r} has an impossible shape")
    if not _counts(offsets, strict.LARGEST) or len(offsets) != 2:
        raise ValueError(f"{name[:SHOWN]!r} has impossible data_offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"{name[:SHOWN]!r} of shape {shape} and type {dtype} does not take {end - begin:,} bytes")
    return Entry(dtype, tuple(shape), start + begin, start + end)


def _counts(values: Any, most: int) -> bool:  # noqa: ANN401
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= most for value in values)
