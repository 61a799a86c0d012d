"""A tar archive of image files, read in its place: never unpacked, so that no name in it touches the file system.

What WebDataset calls a shard, but by index: any image at any time, and so the exact continuation of every run. Compressed
archives are refused, as they can be read from the start only. The first folder of a name may be its class.
"""

import os
import tarfile
from pathlib import Path
from typing import BinaryIO

from ddpm.data.decode import SUFFIXES
from ddpm.data.examine import Span
from ddpm.data.folder import image_set
from ddpm.data.imageset import ImageSet
from ddpm.data.index import Source, indexed
from ddpm.data.splits import Options
from ddpm.errors import DataError, NotFound

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MAX_HEADER = 2**20
"""More bytes than any honest name or note about a member takes."""


def matches(path: Path) -> bool:
    """A file named .tar, or as a compressed one (to say why not)."""
    return path.is_file() and path.name.endswith((".tar", *COMPRESSED))


def has_split(_path: Path) -> bool:
    """Never: images are held out by their names."""
    return False


def read(path: Path, _part: str, options: Options) -> ImageSet:
    """All images of the archive, in the order of their names' bytes."""
    members = find(path)
    if not members:
        raise NotFound(f"no images in {str(path)!r}", f"looked for {' '.join(sorted(SUFFIXES))}")
    return image_set(path.name, indexed(path, members), 0, options)


class _Headers:
    """An archive of which only headers are read: whole members are skipped, and a huge header is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        if size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def find(path: Path) -> list[Source]:
    """Image files of an archive, hidden ones aside; of several of one name the last, which is the one that tar would leave.

    Raises:
        DataError: it is no tar archive, is cut off, or is compressed.
    """
    if path.name.endswith(COMPRESSED):
        raise DataError(
            f"a compressed archive has no order but its own: {str(path)!r}", "decompress it to a plain .tar"
        )
    time = path.stat().st_mtime_ns
    found: dict[str, Source] = {}
    try:
        with path.open("rb") as file, tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
            while (member := archive.next()) is not None:
                archive.members = []  # a million of them need not be kept
                name = member.name.removeprefix("./")
                hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
                if not hidden and os.path.splitext(name)[1].lower() in SUFFIXES and not member.isdir():
                    plain = member.isreg() and not member.issparse()
                    size = member.size if plain else 0  # a link is listed as broken: empty
                    found[name] = Source(name, Span(os.fspath(path), member.offset_data, size), size, time)
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the archive {str(path)!r}: {error}") from error
    return sorted(found.values(), key=lambda source: os.fsencode(source.name))
