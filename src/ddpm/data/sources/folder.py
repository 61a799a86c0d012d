"""A folder of image files, with all folders below it; the first folder of a file's path may be its class.

train/ and test/ (or val/, valid/) at the top are the split. Files come in the order of the bytes of their paths, which is the
same on every machine. Files that cannot be read are listed; they are an error only if there are many.
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
    """The image files below `root`, in the order of the bytes of their paths. Hidden ones and links to folders are left out.

    Raises:
        DataError: a folder cannot be read. Its images would be missing, and nobody would notice.
    """
    start = len(os.path.join(root, ""))
    return sorted((_source(path, start) for path in walk(root)), key=lambda source: os.fsencode(source.name))


def walk(root: Path) -> Iterator[str]:
    """The paths of the same files, one by one, in no particular order.

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
    except OSError:  # reading the file will find out what is wrong, and say it
        size, time = 0, 0
    return Source(path[start:].replace(os.sep, "/"), WholeFile(path), size, time)
