"""Images that were found in files: what folders, archives and tables have in common from there on.

They are looked at once (`index`); those that can be decoded become a set, or are counted.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.workers import cores
from ddpm.data.imageset import Broken, ImageSet, no_labels
from ddpm.data.indexing.index import Index, Source, indexed
from ddpm.data.indexing.lazy_images import LazyImages, Reader
from ddpm.data.splits import AUTOMATIC, Options, held_out
from ddpm.errors import DataError

Classes = tuple[Tensor, tuple[str, ...]]
"""A label for each of some images, (N,) int64, or none; and what the labels are called, where they have names."""
TRAIN, TEST, NEITHER = 0, 1, 2
MOST_WORKERS = 8
FEW = 256
"""So few small images are read sooner by one process than others are started."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a part of `root`, in order; `classes_of` rows of them (N,) int64.

    `split` (N,) int8 says to which part each belongs (`TRAIN`, `TEST`, `NEITHER`); empty where the source has no split.
    """

    root: Path
    part: str
    sources: Sequence[Source]
    classes_of: Callable[[np.ndarray], Classes]
    split: np.ndarray

    def looked_through(self) -> Index:
        """The index of these images, from the cache where it has them.

        Raises:
            Unavailable: no process can be started that decodes.
        """
        return indexed(self.root, self.sources, self.part)


def unknown(_rows: np.ndarray) -> Classes:
    """No classes."""
    return no_labels(), ()


def by_number(labels: np.ndarray, classes: tuple[str, ...]) -> Callable[[np.ndarray], Classes]:
    """Classes of images with labels (N,) int64 of their own; -1 says nothing."""
    return lambda rows: (torch.from_numpy(labels[rows]), classes)


def by_folder(names: Sequence[str], depth: int) -> Callable[[np.ndarray], Classes]:
    """Classes of images of these names: the part of each at `depth`, where every one lies in a folder that deep."""
    return lambda rows: _folders([names[row].split("/", depth + 1) for row in map(int, rows)], depth)


def _folders(parts: Sequence[Sequence[str]], depth: int) -> Classes:
    if any(len(part) < depth + 2 for part in parts):
        return no_labels(), ()
    classes = sorted({part[depth] for part in parts}, key=os.fsencode)
    number = {name: i for i, name in enumerate(classes)}
    readable = tuple(os.fsencode(name).decode(errors="backslashreplace") for name in classes)
    return torch.tensor([number[part[depth]] for part in parts]), readable


@dataclass(frozen=True)
class Survey:
    """What a source holds: (width, height) with counts, the most common first, and why some files cannot be read."""

    images: int
    grey: bool
    sizes: tuple[tuple[tuple[int, int], int], ...]
    distinct_values: int
    classes: int
    class_names: tuple[str, ...]
    train: int
    test: int
    broken: tuple[Broken, ...]


def survey(listing: Listing, options: Options) -> Survey:
    """What the index says of the images; nothing is kept."""
    index = listing.looked_through()
    good = index.good()
    entries, names = index.entries[good], index.names_of(good)
    sizes = Counter(zip(entries["width"].tolist(), entries["height"].tolist(), strict=True))
    if len(listing.split):
        train, test = (int((listing.split[good] == part).sum()) for part in (TRAIN, TEST))
    else:
        test = int(held_out(names, options.held_out).sum())
        train = len(good) - test
    labels, classes = listing.classes_of(good)
    return Survey(
        len(good),
        bool(entries["grey"].all()),
        tuple(sizes.most_common()),
        int(np.unpackbits(np.bitwise_or.reduce(entries["values"], axis=0)).sum()) if len(good) else 0,
        len(classes) or len(labels[labels >= 0].unique()),
        classes,
        train,
        test,
        broken(index),
    )


def broken(index: Index) -> tuple[Broken, ...]:
    """What cannot be read, in order."""
    return tuple(Broken(index.names[row], *vars(fault).values()) for row, fault in sorted(index.faults.items()))


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images that were looked at: `labels` (n,) of the n good ones, or none; `lost` rows of the index were good once."""

    name: str
    index: Index
    labels: Tensor
    classes: tuple[str, ...]
    lost: Mapping[int, str] = field(default_factory=dict)


def looked_at(listing: Listing, index: Index) -> Pictures:
    """The images of a listing, of which this is the index."""
    return Pictures(listing.root.name, index, *listing.classes_of(index.good()))


Decode = Callable[[ImageSet], ImageSet]
"""Brings images from their files into memory."""


def image_set(pictures: Pictures, options: Options, decode: Decode = ImageSet.in_memory) -> ImageSet:
    """Those of the images that are good, in their files, or in memory by `decode`.

    Raises:
        DataError: too many cannot be read, or they differ in size and no size was asked for.
    """
    index = pictures.index
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
    files = LazyImages(index, rows, (channels, height, width), Reader(workers))
    labels, classes, lost = pictures.labels, pictures.classes, sorted(pictures.lost.items())
    lost = {int(np.searchsorted(rows, row)): reason for row, reason in lost}
    found = ImageSet(pictures.name, files, 256, labels, index.names_of(rows), classes, bad, lost)
    if files.nbytes > options.in_memory:
        return found
    reader = Reader(0 if len(files) <= FEW else min(cores(), MOST_WORKERS))
    try:
        return decode(replace(found, images=replace(files, reader=reader)))
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
