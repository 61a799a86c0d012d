"""Large pictures that were made small once, in the user's cache beside the index: no later epoch, run or command decodes them again.

Of each source, rule (`scaled.DECODINGS`) and size there is a folder of files, each of many pictures, which are written under another
name, renamed and never changed: any number of processes may read and write. A picture is found by the hash that the index has of
its file, so one of other bytes is never found; its check is computed whenever it is read. All folders together take at most `MOST`
bytes, and no file more than half of what is free on the disk: those that were not opened for longest make room. What finds none, does
not fit its check, or cannot be written, is decoded whenever it is used.
"""

import hashlib
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ddpm.data.decoding.image_file import RULES
from ddpm.data.decoding.scaled import Reading, is_much_larger
from ddpm.storage.sealed import cache_folder

MOST = 8 * 2**30
"""Bytes of all small pictures: some 700,000 of 64x64 in colour."""
AT_ONCE = 64 * 2**20
"""Bytes of a file."""
MOST_FILES = 200
"""So many small changes of a source leave so many files: then they are made anew."""
HASH, CHECK = 32, 16
ABANDONED = 86400.0
"""Seconds after which what a process was writing is taken for left by one that was ended."""
CHANNELS = ("1", "3")


def folder_of(root: Path, reading: Reading) -> Path:
    """Where the small pictures of a source are: it need not be there."""
    about = (os.fsencode(root.resolve()), RULES.encode(), reading.decoding.encode(), repr(reading.size).encode())
    return cache_folder("pictures") / hashlib.sha256(b"\0".join(about)).hexdigest()[:32]


def check_of(hashed: bytes, pixels: bytes) -> bytes:
    """16 bytes that fit only to these pixels of the file with this SHA-256."""
    return hashlib.blake2b(pixels, digest_size=CHECK, key=hashed).digest()


class Writer:
    """Collects small pictures, and writes a file of them whenever there are enough."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[int, list[tuple[bytes, bytes]]] = {}
        self._bytes = 0
        self._full = False

    def add(self, hashed: bytes, channels: int, pixels: bytes) -> list[Path]:
        """One more picture, with the SHA-256 of its file. The files that were written."""
        if self._full:
            return []
        self._waiting.setdefault(channels, []).append((hashed, pixels))
        self._bytes += len(pixels) + HASH + CHECK
        return self.flush() if self._bytes >= AT_ONCE else []

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be written: all is, or could not be."""
        return not self._waiting

    def flush(self) -> list[Path]:
        """Write what was collected. If that fails, nothing is kept from now on, and decoding takes longer."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        written = []
        try:
            for channels, pictures in waiting.items():
                hashes, pixels = (b"".join(each) for each in zip(*pictures, strict=True))
                content = hashes + b"".join(check_of(*picture) for picture in pictures) + pixels
                if _has_room(self.folder, len(content)):
                    written.append(_write(self.folder, channels, content))
                else:
                    self._full = True
        except OSError:
            self._full = True
        return written


def _write(folder: Path, channels: int, content: bytes) -> Path:
    file = folder / f"{channels}-{hashlib.blake2b(content, digest_size=16).hexdigest()}"
    draft = folder / f".{file.name}.{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        draft.write_bytes(content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file


def _has_room(folder: Path, more: int) -> bool:
    """Whether there is room for so many bytes; other folders make it, those first that were not opened for longest."""
    home = folder.parent
    home.mkdir(parents=True, exist_ok=True)
    if more > shutil.disk_usage(home).free // 2:
        return False
    sizes = {place: _size(place) for place in home.iterdir() if place.is_dir()}
    used = sum(sizes.values()) + more
    for place in sorted(sizes.keys() - {folder}, key=_opened_at):
        if used <= MOST:
            break
        shutil.rmtree(place, ignore_errors=True)
        used -= sizes[place]
    return used <= MOST


def _size(folder: Path) -> int:
    found = 0
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            found += file.stat().st_size
    return found


def _opened_at(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


class SmallPictures:
    """The small pictures of an index's images, by their rows.

    Args:
        root: the source.
        reading: the rule, and the size, which is known.
        entries: (N,) of `index.ENTRY`.
    """

    def __init__(self, root: Path, reading: Reading, entries: np.ndarray) -> None:
        assert reading.size is not None
        self._size, self._hashes = reading.size, entries["sha256"]
        pixels = entries["width"].astype(np.int64) * entries["height"]
        self._large = entries["good"] & is_much_larger(pixels, *reading.size)
        self._writer = Writer(folder_of(root, reading))
        self._files: list[_File] = []
        self._new: dict[int, np.ndarray] = {}  # by their rows, until they are written
        self._at = np.full((len(entries), 2), -1, np.int32)  # of each row its file and its place there
        self._sorted = np.argsort(_as_text(self._hashes), kind="stable")
        for file in _found(self._writer.folder, self._size) if self._large.any() else ():
            self._take_in(file)

    def is_large(self, row: int) -> bool:
        """Whether the picture of this row is large, and so is kept once it is small."""
        return bool(self._large[row])

    def has(self, row: int) -> bool:
        """Whether the small picture of this row is there, unless its file proves to be damaged."""
        return row in self._new or bool(self._at[row, 0] >= 0)

    def get(self, row: int) -> np.ndarray | None:
        """The small picture of a row, (channels of the file, height, width) uint8; None if it has to be decoded."""
        if row in self._new:
            return self._new[row]
        file, place = self._at[row].tolist()
        if file < 0:
            return None
        found = self._files[file].read(place, self._hashes[row].tobytes())
        if found is None:
            self._at[row] = -1
        return found

    def put(self, row: int, pixels: np.ndarray) -> None:
        """What `get` is to give from now on, and elsewhere once it is written."""
        if self._large[row] and not self.has(row):
            self._new[row] = pixels
            self._include(self._writer.add(self._hashes[row].tobytes(), len(pixels), pixels.tobytes()))

    def flush(self) -> None:
        """Write what was put here."""
        self._include(self._writer.flush())

    def _include(self, written: list[Path]) -> None:
        for path in written:
            if (file := _File.found(path, self._size)) is not None:
                self._take_in(file)
        if self._writer.is_empty:
            self._new.clear()

    def _take_in(self, file: "_File") -> None:
        """Note which of the rows a file holds."""
        ours, theirs = _as_text(self._hashes)[self._sorted], _as_text(file.hashes)
        first, last = (np.searchsorted(ours, theirs, side) for side in ("left", "right"))
        for place in np.flatnonzero(last > first).tolist():  # several rows may have the same bytes
            self._at[self._sorted[first[place] : last[place]]] = len(self._files), place
        file.hashes = file.hashes[:0]
        self._files.append(file)


def _as_text(hashes: np.ndarray) -> np.ndarray:
    """Hashes (N, 32) uint8 as N values that have an order."""
    return np.ascontiguousarray(hashes).view("S32").reshape(-1)


def _found(folder: Path, size: tuple[int, int]) -> "Iterator[_File]":
    """The files of a folder; from now on it was opened."""
    try:
        names = sorted(os.listdir(folder))
        os.utime(folder)
    except OSError:
        return
    if len(names) > MOST_FILES:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
        elif (file := _File.found(path, size)) is not None:
            yield file


class _File:
    """A file of small pictures. `hashes` (n, 32) uint8 are those of the images' files.

    These stand first in it, then a check of each picture, then the pixels. It is read, not mapped into memory: one that another
    program cuts off would end the process.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], hashes: np.ndarray) -> None:
        self.hashes = hashes
        self._path, self._shape, self._count = path, shape, len(hashes)
        self._descriptor: int | None = None

    @classmethod
    def found(cls, path: Path, size: tuple[int, int]) -> "_File | None":
        """The file that is there; None if it is no such file, or cannot be read."""
        channels = path.name.partition("-")[0]
        if channels not in CHANNELS:
            return None
        shape = int(channels), *size
        with suppress(OSError), path.open("rb") as file:
            count, rest = divmod(os.fstat(file.fileno()).st_size, HASH + CHECK + int(np.prod(shape)))
            hashes = file.read(HASH * count)
            if not rest and len(hashes) == HASH * count:
                return cls(path, shape, np.frombuffer(hashes, np.uint8).reshape(-1, HASH))
        return None

    def read(self, place: int, hashed: bytes) -> np.ndarray | None:
        """The picture at this place; None if it is not that of the file with this SHA-256."""
        size = int(np.prod(self._shape))
        try:
            check = self._bytes_at(HASH * self._count + CHECK * place, CHECK)
            pixels = self._bytes_at((HASH + CHECK) * self._count + size * place, size)
        except OSError:
            return None
        if len(pixels) != size or check != check_of(hashed, pixels):
            with suppress(OSError):
                self._path.unlink()  # the next who opens the folder makes its pictures anew
            return None
        return np.frombuffer(pixels, np.uint8).reshape(self._shape)

    def _bytes_at(self, place: int, size: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self._descriptor)
        os.lseek(self._descriptor, place, os.SEEK_SET)
        return os.read(self._descriptor, size)
