"""Zip archives that anybody may have made, such as those of numpy and of torch, looked at before anything of them is read.

The record at the end of the file says how many members there are, and where their directory is: a reader that trusts it may
make millions of entries, and two readers may find two directories. Here it has one form, the one that both programs write.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Literal

import numpy as np

from ddpm.errors import SHOWN
from ddpm.storage import plain

MOST_MEMBERS = 20_000
DIRECTORY = 2**23
"""Bytes of the directory."""
END = Struct("<4sHHHHIIH")
"""Signature, disk, disk of the directory, its members here and on all disks, its bytes, its place, bytes of a comment."""
LOCATOR = Struct("<4sIQI")
END_64 = Struct("<4sQHHIIQQQQ")
"""As `END`, of a large archive, and of every one of torch's."""


@contextmanager
def opened(file: io.BufferedReader) -> Iterator[zipfile.ZipFile]:
    """An archive to read from, with the errors of what is read in it.

    Raises:
        ValueError: it is none, it is damaged or encrypted, or it has another form than numpy's and torch's.
    """
    try:
        _require_directory(file)
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
    ) as error:  # the last: encrypted, or unknown
        raise ValueError(f"no archive: {error}") from error


def _require_directory(file: io.BufferedReader) -> None:
    """The directory ends where the records at the end begin, and is not larger than one has a reason to be."""
    size = file.seek(0, 2)
    if size < END.size:
        raise ValueError(f"no archive: it has {size} bytes")
    signature, *_, members, length, begin, comment = END.unpack(_at(file, size - END.size, END.size))
    end = size - END.size
    if signature != b"PK\5\6" or comment:
        raise ValueError("no archive: it does not end as one")
    if end >= END_64.size + LOCATOR.size and _at(file, end - LOCATOR.size, 4) == b"PK\6\7":
        end -= END_64.size + LOCATOR.size
        signature, *_, members, length, begin = END_64.unpack(_at(file, end, END_64.size))
        _, _, place, _ = LOCATOR.unpack(_at(file, end + END_64.size, LOCATOR.size))
        if signature != b"PK\6\6" or place != end:
            raise ValueError("no archive: it does not end as one")
    if begin + length != end:
        raise ValueError("no archive: its directory is not at its end")
    if members > MOST_MEMBERS or length > DIRECTORY:
        raise ValueError(f"its archive has {members:,} members in a directory of {length:,} bytes")


def _at(file: io.BufferedReader, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def require_unpacked(archive: zipfile.ZipFile, size: int) -> None:
    """Nothing in it is packed, so that it holds no more than the file, of `size` bytes, has.

    Raises:
        ValueError: it does.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its archive is packed, which neither torch nor numpy.savez does")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its archive says that it holds more than the file has")


@dataclass(frozen=True)
class Header:
    """Of an array in an .npy: its shape, the order of its numbers ("C" or "F"), and their type."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype


def header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """What the begin of a member says; no number is read.

    Raises:
        ValueError: it is no array of this size, or one of objects, which would be unpickled.
    """
    with archive.open(member) as file:
        assert isinstance(file, zipfile.ZipExtFile)
        return _header(file, member)


def array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, types: Sequence[np.dtype]) -> np.ndarray:
    """An array of one of these types, in the byte order of this machine; it takes the memory of its numbers and no more.

    Raises:
        ValueError: as `header`; or it is of another type.
    """
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        assert isinstance(file, zipfile.ZipExtFile)
        found = _header(file, member)
        if (native := found.dtype.newbyteorder("=")) not in types:
            raise ValueError(f"{name[:SHOWN]!r} is no array of numbers: {str(found.dtype)[:SHOWN]}")
        numbers = np.empty(math.prod(found.shape), found.dtype)
        view = numbers.view(np.uint8).data
        for begin in range(0, len(view), plain.PIECE):
            piece = view[begin : begin + plain.PIECE]
            if file.readinto(piece) != len(piece):
                raise ValueError(f"{name[:SHOWN]!r} ends too early")
    if not found.dtype.isnative:
        numbers = numbers.byteswap(inplace=True).view(native)
    return numbers.reshape(found.shape, order=found.order)


def _header(file: zipfile.ZipExtFile, member: zipfile.ZipInfo) -> Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
        raise ValueError(f"{member.filename.removesuffix('.npy')[:SHOWN]!r} is no array of numbers of this size")
    return Header(shape, "F" if fortran else "C", dtype)
