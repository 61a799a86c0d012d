"""Tar archives of image files, read in place: they are never unpacked, so no name in them touches the file system.

WebDataset reads such shards from the start; here any image is read at any time, so that every run goes on exactly. Compressed
archives are refused, because they can only be read from the start. Files whose names are equal up to the first dot make a
sample: 17.cls holds the class of 17.png, a number or a name. Without such files, folders in the names mean what they mean in a
folder.
"""

import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ddpm.data.decoding.formats import HEAD
from ddpm.data.decoding.span import FilePart
from ddpm.data.folders import folders_of
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import (
    HIDDEN,
    Accounts,
    Listing,
    Parts,
    Split,
    by_name,
    by_number,
    laid_out,
    no_split,
    nothing_in,
)
from ddpm.data.labels import labels_of
from ddpm.data.sources import shards
from ddpm.errors import DataError

LABEL = ".cls"
MAX_LABEL = 256
"""Bytes of the name of a class."""
NUMBER = re.compile(r"-?[0-9]{1,18}")
MAX_HEADER = 2**20
"""Bytes: more than any honest name of a member, or note about one, takes."""


def parts(path: Path) -> Parts:
    """The parts of the archive or folder of archives. Where no name of an archive says its split, names in them may.

    Raises:
        NotFound: there are no images.
        DataError: as `find`.
    """
    names = shards.find(path, shards.TARS)
    layout, split = shards.layout(names)
    accounts = Accounts()
    if len(split.numbers):
        return Parts(split.parts, partial(_of_archives, path, names, accounts), layout, accounts)
    whole = _opened(path, names, accounts)
    layout, places, split = laid_out(folders_of(whole.inside))

    def listing(part: str) -> Listing:
        rows = list(range(len(whole.inside))) if part == "all" else split.rows(part)
        numbers = split.numbers if part == "all" else no_split()
        return whole.listing(path, part, rows, [places[row].label for row in rows], numbers, accounts)

    return Parts(split.parts, listing, layout, accounts)


def _of_archives(path: Path, names: Sequence[str], accounts: Accounts, part: str) -> Listing:
    """The images of the archives of a part."""
    files = shards.chosen(names, part)
    whole = _opened(path, files, accounts)
    _, places, _ = laid_out(folders_of(whole.inside))
    _, split = shards.layout(files) if part == "all" else (None, Split())
    numbers = np.repeat(split.numbers, whole.counts) if len(split.numbers) else no_split()
    rows = list(range(len(whole.inside)))
    return whole.listing(path, part, rows, [place.label for place in places], numbers, accounts)


@dataclass(frozen=True)
class Opened:
    """The images of some archives: their sources, their names `inside` the archives, and what these say of the class of each.

    `counts` are how many each archive has.
    """

    sources: Sequence[Source]
    inside: Sequence[str]
    texts: Sequence[str | None]
    counts: Sequence[int]

    def listing(
        self,
        path: Path,
        part: str,
        rows: list[int],
        labels: Sequence[str | None],
        split: np.ndarray,
        accounts: Accounts,
    ) -> Listing:
        """Of some rows, whose folders mean these classes; what the archives say of classes comes before them."""
        told = by_name(labels)
        if any(text is not None for text in self.texts):
            numbers, classes = _classes(str(path), self.texts)
            told = by_number(numbers[rows], classes)
        return Listing(path, part, [self.sources[row] for row in rows], told, split, tuple(accounts.unread))


def _opened(path: Path, files: Sequence[str], accounts: Accounts) -> Opened:
    """The images of these archives, archive by archive, in the order of their names' bytes."""
    found = [find(path / name, accounts) for name in files]
    members = [member for part in found for member in part.images]
    if not members:
        raise nothing_in(path, accounts)
    prefixes = [f"{name}/" if name else "" for name, part in zip(files, found, strict=True) for _ in part.images]
    sources = [replace(member, name=prefix + member.name) for prefix, member in zip(prefixes, members, strict=True)]
    texts = [text for part in found for text in part.labels()]
    return Opened(sources, [member.name for member in members], texts, [len(part.images) for part in found])


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


def find(path: Path, accounts: Accounts) -> Contents:
    """The image files of an archive, without hidden ones. If several have one name it is the last, which tar would leave there.

    What else is in it goes to `accounts`.

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
                plain = member.isreg() and not member.issparse()
                size = member.size if plain else 0  # a link is listed as broken: empty
                if member.isdir():
                    continue
                if any(part.startswith(".") and part != ".." for part in name.split("/")):
                    accounts.pass_over(HIDDEN, name)
                elif name.endswith(LABEL) and member.isreg():
                    texts[_sample(name)] = _text(file, member)
                elif accounts.admits(name, partial(_head, file, member.offset_data, size)):
                    found[name] = Source(name, FilePart(os.fspath(path), member.offset_data, size), size, time)
            _require_end(file, archive.offset)
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the archive {str(path)!r}: {error}") from error
    return Contents(sorted(found.values(), key=lambda source: os.fsencode(source.name)), texts)


def _head(file: BinaryIO, offset: int, size: int) -> bytes:
    """The first bytes of a member."""
    file.seek(offset)
    return file.read(min(size, HEAD))


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
