"""A folder of image files, searched through; the first folder of a file's path may be its class.

train/ and test/ (or val/, valid/) at the top are the split. Files are taken in the order of their paths' bytes, the same
on every machine, whatever is no image between them; what cannot be read is listed, and is an error only if it is much.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ddpm.data.crew import cores
from ddpm.data.decode import SUFFIXES
from ddpm.data.examine import Span
from ddpm.data.files import Files, Reader
from ddpm.data.imageset import Broken, ImageSet, no_labels
from ddpm.data.index import Index, Source, indexed
from ddpm.data.splits import AUTOMATIC, Options, held_out
from ddpm.errors import DataError, NotFound

TESTS = ("test", "val", "valid", "validation")
MOST_WORKERS = 8
FEW = 256
"""So few small images are read sooner by one process than others are started."""


def matches(path: Path) -> bool:
    """Any folder: whether there are images in it is found out by reading."""
    return path.is_dir()


def has_split(path: Path) -> bool:
    """Whether there are a train/ and a test/ folder at the top."""
    return (path / "train").is_dir() and any((path / name).is_dir() for name in TESTS)


def read(path: Path, part: str, options: Options) -> ImageSet:
    """A part of the folder."""
    folders = {"train": ["train"], "test": TESTS, "all": ["."]}[part]
    root = next(path / name for name in folders if (path / name).is_dir())
    files = find(root)
    if not files:
        raise NotFound(f"no images in {str(root)!r}", f"looked for {' '.join(sorted(SUFFIXES))}, in all folders below")
    return image_set(root.name, indexed(root, files), 1 if has_split(root) else 0, options)


def find(root: Path) -> list[Source]:
    """Image files below `root`, hidden ones aside, in the order of their paths' bytes; links to folders are not followed.

    Raises:
        DataError: a folder cannot be read: what is in it would be missing without a word.
    """
    found: list[Source] = []
    start = len(os.path.join(root, ""))
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                found.append(_source(os.path.join(folder, name), start))
    return sorted(found, key=lambda source: os.fsencode(source.name))


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read a folder of the data: {error.filename}: {error.strerror}") from error


def _source(path: str, start: int) -> Source:
    try:
        about = os.stat(path)
        size, time = about.st_size, about.st_mtime_ns
    except OSError:  # what is wrong is found out, and said, when it is read
        size, time = 0, 0
    return Source(path[start:].replace(os.sep, "/"), Span(path), size, time)


@dataclass(frozen=True)
class Survey:
    """What a folder holds: (width, height) with counts, the most common first, and why some files cannot be read."""

    images: int
    grey: bool
    sizes: tuple[tuple[tuple[int, int], int], ...]
    distinct_values: int
    classes: int
    class_names: tuple[str, ...]
    train: int
    test: int
    broken: tuple[Broken, ...]


def survey(root: Path, files: Sequence[Source], options: Options) -> Survey:
    """What the index says of the folder; nothing is kept."""
    index = indexed(root, files)
    good = index.good()
    entries, names = index.entries[good], index.names_of(good)
    sizes = Counter(zip(entries["width"].tolist(), entries["height"].tolist(), strict=True))
    if has_split(root):
        tests = sum(name.split("/", 1)[0] in TESTS for name in names)
    else:
        tests = int(held_out(names, options.held_out).sum())
    _, classes = _classes(names, 1 if has_split(root) else 0)
    return Survey(
        len(good),
        bool(entries["grey"].all()),
        tuple(sizes.most_common()),
        int(np.unpackbits(np.bitwise_or.reduce(entries["values"], axis=0)).sum()) if len(good) else 0,
        len(classes),
        classes,
        len(good) - tests,
        tests,
        broken(index),
    )


def broken(index: Index) -> tuple[Broken, ...]:
    """What cannot be read, in order."""
    return tuple(Broken(index.names[row], *vars(fault).values()) for row, fault in sorted(index.faults.items()))


def image_set(name: str, index: Index, depth: int, options: Options) -> ImageSet:
    """The good images of an index; their classes are the parts of their names at `depth`.

    Raises:
        DataError: too many cannot be read, or they differ in size and no size was asked for.
    """
    rows, bad = index.good(), broken(index)
    if len(bad) > options.max_broken * len(index) or not len(rows):
        raise DataError(
            f"{len(bad)} of {len(index)} images in {index.root!r} cannot be read: {bad[0].file}: {bad[0].reason}",
            f"ddpm data {index.root} lists them",
            "--set data.max_broken=FRACTION leaves out up to that share",
        )
    channels = options.channels or (1 if index.entries["grey"][rows].all() else 3)
    height, width = options.resolution or _common_size(index, rows)
    workers = min(MOST_WORKERS, max(1, cores() - 1)) if options.workers == AUTOMATIC else options.workers
    files = Files(index, rows, (channels, height, width), Reader(workers))
    names = index.names_of(rows)
    labels, classes = _classes(names, depth)
    found = ImageSet(name, files, 256, labels, names, classes, bad)
    if files.nbytes > options.in_memory:
        return found
    reader = Reader(0 if len(files) <= FEW else min(cores(), MOST_WORKERS))
    try:
        return ImageSet(name, Files(index, rows, files.image, reader).in_memory(), 256, labels, names, classes, bad)
    finally:
        reader.close()


def _common_size(index: Index, rows: np.ndarray) -> tuple[int, int]:
    """(height, width), which every image must have."""
    widths, heights = index.entries["width"][rows], index.entries["height"][rows]
    other = np.flatnonzero((widths != widths[0]) | (heights != heights[0]))
    if len(other):
        first, second = (f"{index.names[int(rows[n])]} is {widths[n]}x{heights[n]}" for n in (0, int(other[0])))
        raise DataError(
            f"images in {index.root!r} differ in size: {first}, {second}",
            f"--set data.resolution={heights[0]},{widths[0]} scales all to cover that size and cuts the centre",
            f"ddpm data {index.root} counts the sizes",
        )
    return int(heights[0]), int(widths[0])


def _classes(names: Sequence[str], depth: int) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Class numbers and names, where every file lies in a folder (below train/ and test/, if these are the split)."""
    parts = [name.split("/", depth + 1) for name in names]
    if any(len(part) < depth + 2 for part in parts):
        return no_labels(), ()
    classes = sorted({part[depth] for part in parts}, key=os.fsencode)
    number = {name: i for i, name in enumerate(classes)}
    readable = tuple(os.fsencode(name).decode(errors="backslashreplace") for name in classes)
    return torch.tensor([number[part[depth]] for part in parts]), readable
