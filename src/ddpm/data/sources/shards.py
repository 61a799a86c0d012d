"""Finds the shard files of a data set: FOLDER/*.tar or *.parquet, also in FOLDER/data or in folders named after a split.

The split of a file is the beginning of its name or of its folder's name, as on the Hugging Face hub:
train-00000-of-00002.parquet. A data set in a single file is found, too.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddpm.data.indexing.listing import NEITHER, TEST, TRAIN
from ddpm.data.splits import TESTS
from ddpm.errors import DataError

PARQUET = (".parquet",)
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
TARS = (".tar", *COMPRESSED)
PLACES = ("", "data", "train", *TESTS)
SPLIT = re.compile(rf"(train|{'|'.join(TESTS)})(?![A-Za-z])")
NOTES = "metadata."
"""Files whose names begin so are tables about the images of a folder, and hold no images."""


def find(path: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The paths, relative to a folder, of its files with such names, in the order of the paths' bytes; [""] if `path` is a file.

    Raises:
        DataError: a folder cannot be read.
    """
    if not path.is_dir():
        return [""] if path.is_file() and path.name.endswith(suffixes) else []
    found: list[str] = []
    for place in PLACES:
        names = [name for name in files_in(path / place) if name.endswith(suffixes)]
        found += [os.path.join(place, name) for name in names if not name.startswith((".", NOTES))]
    return sorted((name.replace(os.sep, "/") for name in found), key=lambda name: os.fsencode(f"{name}/"))


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder, in no particular order; none if there is no such folder.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"cannot read a folder of the data: {folder}: {error.strerror}") from error


def splits(names: Sequence[str]) -> np.ndarray:
    """`TRAIN`, `TEST` or `NEITHER` for each file, (n,) int8; (0,) if there is not both a train and a test split.

    If several names could mean the test split, the one that comes first in `TESTS` is it.
    """
    found = [match[0] if (match := SPLIT.match(name.removeprefix("data/"))) else "" for name in names]
    test = next((name for name in TESTS if name in found), "train")
    if "train" not in found or test == "train":
        return np.empty(0, np.int8)
    number = {"train": TRAIN, test: TEST}
    return np.array([number.get(name, NEITHER) for name in found], np.int8)


def chosen(names: Sequence[str], part: str) -> list[str]:
    """The files of a part: "train", "test" or "all"."""
    which = splits(names)
    wanted = {"train": TRAIN, "test": TEST}.get(part)
    return [name for place, name in enumerate(names) if wanted is None or not len(which) or which[place] == wanted]
