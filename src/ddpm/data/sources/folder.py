"""A folder of image files, searched through; the first folder of a file's path may be its class.

train/ and test/ (or val/, valid/) at the top are the split. Files are taken in the order of their paths' bytes, the same
on every machine, whatever is no image between them; what cannot be read is listed, and is an error only if it is much.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ddpm.data.decoding.picture import SUFFIXES
from ddpm.data.decoding.span import WholeFile
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import NEITHER, TEST, TRAIN, Listing, by_folder
from ddpm.data.splits import TESTS
from ddpm.errors import DataError, NotFound


def matches(path: Path) -> bool:
    """Any folder: whether there are images in it is found out by reading."""
    return path.is_dir()


def has_split(path: Path) -> bool:
    """Whether there are a train/ and a test/ folder at the top."""
    return (path / "train").is_dir() and any((path / name).is_dir() for name in TESTS)


def listing(path: Path, part: str) -> Listing:
    """The images of a part of the folder.

    Raises:
        NotFound: there are none.
        DataError: as `find`.
    """
    folders = {"train": ["train"], "test": TESTS, "all": ["."]}[part]
    root = next(path / name for name in folders if (path / name).is_dir())
    files = find(root)
    if not files:
        raise NotFound(f"no images in {str(root)!r}", f"looked for {' '.join(sorted(SUFFIXES))}, in all folders below")
    names = [file.name for file in files]
    if not has_split(root):
        return Listing(root, "all", files, by_folder(names, 0), np.empty(0, np.int8))
    parts = {"train": TRAIN, next(name for name in TESTS if (root / name).is_dir()): TEST}
    split = np.array([parts.get(name.split("/", 1)[0], NEITHER) for name in names], np.int8)
    return Listing(root, "all", files, by_folder(names, 1), split)


def find(root: Path) -> list[Source]:
    """Image files below `root`, hidden ones aside, in the order of their paths' bytes; links to folders are not followed.

    Raises:
        DataError: a folder cannot be read: what is in it would be missing without a word.
    """
    start = len(os.path.join(root, ""))
    return sorted((_source(path, start) for path in walk(root)), key=lambda source: os.fsencode(source.name))


def walk(root: Path) -> Iterator[str]:
    """The paths of the same, one by one, in no order.

    Raises:
        DataError: as `find`.
    """
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.join(folder, name)


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read a folder of the data: {error.filename}: {error.strerror}") from error


def _source(path: str, start: int) -> Source:
    try:
        about = os.stat(path)
        size, time = about.st_size, about.st_mtime_ns
    except OSError:  # what is wrong is found out, and said, when it is read
        size, time = 0, 0
    return Source(path[start:].replace(os.sep, "/"), WholeFile(path), size, time)
