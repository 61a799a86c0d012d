"""Every file operation that has to survive a crash, in one place.

Each is announced to `OBSERVERS` before it is done: whoever listens may count, or raise, and then it is not done. An error of
the system is an OSError.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PIECE = 2**24
"""Bytes written at a time."""


@dataclass(frozen=True)
class Operation:
    """What is about to be done: folder, create, write, sync, sync-folder, rename, unlink or rmdir.

    `path` is what it is done to, `target` the new name (of rename), `data` the bytes (of write).
    """

    kind: str
    path: Path
    target: Path = Path()
    data: bytes | memoryview = b""


Observer = Callable[[Operation], None]
OBSERVERS: list[Observer] = []


def _announce(operation: Operation) -> None:
    for observer in tuple(OBSERVERS):
        observer(operation)


def make_folder(path: Path) -> None:
    """Make a folder, with those above it; one that is there is left as it is."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    _announce(Operation("folder", path))
    path.mkdir(exist_ok=True)


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a new file and see it on the disk; the umask sets its mode. A file that is there already is an error."""
    _announce(Operation("create", path))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        for piece in _pieces(chunks):
            _announce(Operation("write", path, data=piece))
            done = 0
            while done < len(piece):
                done += os.write(descriptor, piece[done:])
        _announce(Operation("sync", path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pieces(chunks: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk)
        for begin in range(0, len(view), PIECE):
            yield view[begin : begin + PIECE]


def sync(path: Path) -> None:
    """A file that others have written, to the disk."""
    _announce(Operation("sync", path))
    _flush(path)


def sync_folder(path: Path) -> None:
    """The names in a folder, to the disk: only then does what was made or renamed in it survive a loss of power."""
    _announce(Operation("sync-folder", path))
    _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(path: Path, target: Path) -> None:
    """A new name, at once; a file of that name is replaced, a folder that is not empty is an error."""
    _announce(Operation("rename", path, target))
    path.replace(target)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            remove(child)
        _announce(Operation("rmdir", path))
        path.rmdir()
    else:
        _announce(Operation("unlink", path))
        path.unlink()


def discard(path: Path) -> None:
    """Remove what may be there, as far as it can be removed: for rests that nobody will look for."""
    with suppress(OSError):
        remove(path)
