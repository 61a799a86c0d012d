"""Reading files that anybody may have made: plain ones only, no links, no pipes, never mapped into memory.

A mapped file that another process shortens kills the reader; a pipe lets it wait for ever.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PIECE = 2**22
WORDS = {errno.ENOENT: "it is missing", errno.ELOOP: "it is a link, not a file", errno.EACCES: "it may not be read"}


@dataclass(frozen=True)
class Plain:
    """An open file and how many bytes it holds."""

    descriptor: int
    size: int

    def at(self, begin: int, count: int) -> bytes:
        """`count` bytes from `begin` on.

        Raises:
            OSError: there are not so many.
        """
        data = os.pread(self.descriptor, count, begin)
        if len(data) < count:
            raise OSError(errno.EIO, "it has become shorter")
        return data


@contextmanager
def opened(path: Path, most: int | None = None) -> Iterator[Plain]:
    """A plain file to read.

    Raises:
        OSError: there is none, it is a link, a folder, a pipe or a device, or it is larger than `most` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        if most is not None and found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, more than {most:,}")
        yield Plain(descriptor, found.st_size)
    finally:
        os.close(descriptor)


def why(error: OSError) -> str:
    """Why a file cannot be read, in a few words; the system's own where these do not come with every damaged folder."""
    return WORDS.get(error.errno or 0) or error.strerror or "it cannot be read"


def contents(path: Path, most: int) -> bytearray:
    """All of a file.

    Raises:
        OSError: it cannot be read, or is larger than `most` bytes.
    """
    with opened(path, most) as file:
        data = bytearray(file.size)
        view, done = memoryview(data), 0
        while done < file.size:
            count = os.preadv(file.descriptor, [view[done : done + PIECE]], done)
            if not count:
                raise OSError(errno.EIO, "it has become shorter")
            done += count
        return data


def digest(path: Path) -> tuple[int, str]:
    """Length and SHA-256 of a file as it is on the disk, not in the system's cache, where the system lets us choose."""
    with opened(path) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        found, done = hashlib.sha256(), 0
        while data := os.pread(file.descriptor, PIECE, done):
            found.update(data)
            done += len(data)
        return done, found.hexdigest()
