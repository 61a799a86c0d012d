"""Tar archives of image files, read in place: they are never unpacked, so no name in them touches the file system.

WebDataset reads such shards from the start; here any image is read at any time, so that every run goes on exactly. Compressed
archives are refused, because they can only be read from the start. Files whose names are equal up to the first dot make a
sample: 17.cls holds the class of 17.png, a number or a name. Without such files, the first folder of a name may be its class.
"""

import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ddpm.data.decoding.picture import SUFFIXES
from ddpm.data.decoding.span import FilePart
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import Listing, by_folder, by_number
from ddpm.data.labels import labels_of
from ddpm.data.sources import shards
from ddpm.errors import DataError, NotFound

LABEL = ".cls"
MAX_LABEL = 256
"""Bytes of the name of a class."""
NUMBER = re.compile(r"-?[0-9]{1,18}")
MAX_HEADER = 2**20
"""Bytes: more than any honest name of a member, or note about one, takes."""


def has_split(path: Path) -> bool:
    """Whether there are archives of a train and of a test split. If not, images are held out by their names."""
    return len(shards.splits(shards.find(path, shards.TARS))) > 0


def listing(path: Path, part: str) -> Listing:
    """The images of a part, archive by archive, in the order of their names' bytes.

    Raises:
        NotFound: there are none.
        DataError: as `find`.
    """
    files = shards.chosen(shards.find(path, shards.TARS), part)
    parts = [find(path / name) for name in files]
    members = [member for found in parts for member in found.images]
    if not members:
        raise NotFound(f"no images in {str(path)!r}", f"looked for {' '.join(sorted(SUFFIXES))}")
    names, texts = [member.name for member in members], [text for found in parts for text in found.labels()]
    told = by_number(*_classes(str(path), texts)) if any(found.texts for found in parts) else by_folder(names, 0)
    split = shards.splits(files)
    split = np.repeat(split, [len(found.images) for found in parts]) if len(split) else split
    prefixes = [f"{name}/" if name else "" for name, found in zip(files, parts, strict=True) for _ in found.images]
    sources = [replace(member, name=prefix + member.name) for prefix, member in zip(prefixes, members, strict=True)]
    return Listing(path, part, sources, told, split)


@dataclass(frozen=True)
class Contents:
    """The image files of an archive, and the classes of its samples."""

    images: Sequence[Source]
    texts: Mapping[str, str]

    def labels(self) -> list[str | None]:
        """What the archive says of the class of each image; None where it says nothing."""
        return [self.texts.get(_sample(image.name)) for image in self.images]


def _classes(name: str, texts: Sequence[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels of images, (n,) int64, and the names of their classes: numbers where all are numbers, else names."""
    known = [row for row, text in enumerate(texts) if text is not None]
    said = [text for text in texts if text is not None]
    numbers = all(NUMBER.fullmatch(text) for text in said)
    labels = np.full(len(texts), -1, np.int64)
    found, classes = labels_of(name, np.array([int(text) for text in said] if numbers else said), len(said))
    labels[known] = found.numpy()
    return labels, classes


def _sample(name: str) -> str:
    place, slash, file = name.rpartition("/")
    return place + slash + file.split(".", 1)[0]


MARK = 512
"""Bytes of a header. One of zeros marks the end of an archive."""


class _Headers:
    """An archive whose headers alone are read: members are skipped, and a huge header is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        if size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def find(path: Path) -> Contents:
    """The image files of an archive, without hidden ones. If several have one name it is the last, which tar would leave there.

    Raises:
        DataError: it is no tar archive, is cut off, or is compressed; or a class is no text.
    """
    if path.name.endswith(shards.COMPRESSED):
        raise DataError(
            f"a compressed archive has no order but its own: {str(path)!r}", "decompress it to a plain .tar"
        )
    time = path.stat().st_mtime_ns
    found: dict[str, Source] = {}
    texts: dict[str, str] = {}
    try:
        with path.open("rb") as file, tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
            while (member := archive.next()) is not None:
                archive.members = []  # a million of them need not be kept
                if member.size < 0:
                    raise tarfile.ReadError(f"{member.name!r} has {member.size} bytes")
                name = member.name.removeprefix("./")
                hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
                if name.endswith(LABEL) and member.isreg() and not hidden:
                    texts[_sample(name)] = _text(file, member)
                if not hidden and os.path.splitext(name)[1].lower() in SUFFIXES and not member.isdir():
                    plain = member.isreg() and not member.issparse()
                    size = member.size if plain else 0  # a link is listed as broken: empty
                    found[name] = Source(name, FilePart(os.fspath(path), member.offset_data, size), size, time)
            _require_end(file, archive.offset)
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the archive {str(path)!r}: {error}") from error
    return Contents(sorted(found.values(), key=lambda source: os.fsencode(source.name)), texts)


def _require_end(file: BinaryIO, offset: int) -> None:
    """Check that the list of members ended at the mark of the end, and that nothing follows; else members may be missing.

    Raises:
        ReadError: a header is damaged, or the file is cut off.
    """
    file.seek(offset)
    if not (piece := file.read(MARK)):
        raise tarfile.ReadError(f"it is cut off at byte {offset:,}")
    while piece:
        if piece.strip(b"\0"):
            raise tarfile.ReadError(f"a damaged header at byte {offset:,}, or something after the end")
        piece = file.read(2**20)


def _text(file: BinaryIO, member: tarfile.TarInfo) -> str:
    file.seek(member.offset_data)
    text = file.read(min(member.size, MAX_LABEL + 1)).strip()
    try:
        if text and member.size <= MAX_LABEL:
            return text.decode()
    except UnicodeDecodeError:
        pass
    raise ValueError(f"{member.name} is no class: {text!r}")
