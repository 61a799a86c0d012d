"""Random numbers that sender and receiver share: functions of a key and a place, the same on every machine.

Philox's bits are fixed by its authors; `Generator.normal` and `torch.randn` may change with the version or the instruction
set, so normal numbers are looked up by 16 of the bits.
"""

import numpy as np
from numpy.typing import NDArray

from ddpm.codec.tables import quantiles


def normals(key: int, stream: int, rows: int, width: int, first: int = 0) -> NDArray[np.float32]:
    """(rows, width) normal numbers: rows `first` and after of the table (key, stream), each a function of its place."""
    words = -(-width // 4)  # of 64 bits, four numbers each
    bits = np.random.Philox(key=np.array([key, stream], dtype=np.uint64))
    bits.advance(first * words // 4)  # in blocks of four words
    skipped = first * words % 4
    raw = np.asarray(bits.random_raw(rows * words + skipped), dtype="<u8")[skipped:]
    return quantiles()[raw.view("<u2").reshape(rows, 4 * words)[:, :width]]


def whole(key: int, stream: int, size: int, below: int) -> NDArray[np.int64]:
    """`size` whole numbers, uniform on 0..below-1, where `below` is a power of two."""
    raw = np.asarray(np.random.Philox(key=np.array([key, stream], dtype=np.uint64)).random_raw(size), dtype=np.uint64)
    return (raw >> np.uint64(11)).astype(np.int64) & (below - 1)


def order(key: int, stream: int, size: int) -> NDArray[np.int64]:
    """A permutation of 0..size-1."""
    raw = np.asarray(np.random.Philox(key=np.array([key, stream], dtype=np.uint64)).random_raw(size), dtype=np.uint64)
    return np.argsort(raw, kind="stable")
