"""From a list of image files to a set of images: the same for folders, archives and tables.

Each image is looked at once, for the index; those that can be decoded become a set (`image_set`), or are counted (`survey`).
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.exact import BYTES
from ddpm.data.decoding.image_file import PICTURE
from ddpm.data.decoding.workers import cores
from ddpm.data.imageset import Broken, ImageSet, no_labels
from ddpm.data.indexing.index import Index, Source, indexed
from ddpm.data.indexing.lazy_images import LazyImages, Reader
from ddpm.data.indexing.meanings import Classes, common, own_classes
from ddpm.data.labels import count_classes
from ddpm.data.splits import Options, SizesDiffer, held_out, proposed_side
from ddpm.errors import DataError, quoted

TRAIN, TEST, NEITHER, VALIDATION = 0, 1, 2, 3
MOST_WORKERS = 8
FEW = 256
"""One process reads so few images sooner than others could be started."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a part of `root`, in order. `classes_of` gives the labels of some of its rows, (n,) int64.

    `split` (N,) int8 says to which part each image belongs (`TRAIN`, `TEST`, `NEITHER`, `VALIDATION`); it is empty if there is
    no split. `unread` are pictures that are not among the images, because their format is not read.
    """

    root: Path
    part: str
    sources: Sequence[Source]
    classes_of: Callable[[np.ndarray], Classes]
    split: np.ndarray
    unread: tuple[Broken, ...] = ()

    def looked_through(self) -> Index:
        """The index of these images; what the cache knows already is not decoded again.

        Raises:
            Unavailable: no process can be started that decodes.
        """
        return indexed(self.root, self.sources, self.part)

    def labels_of(self, rows: np.ndarray, index: Index) -> Classes:
        """The labels of some rows: those of their places in the source, or else those that the files say themselves.

        Raises:
            DataError: as `own_classes`.
        """
        labels, classes = self.classes_of(rows)
        return (labels, classes) if len(labels) else own_classes(index, rows)


def no_split() -> np.ndarray:
    """The `split` of images that are held out by their names, where any are."""
    return np.empty(0, np.int8)


def unknown(_rows: np.ndarray) -> Classes:
    """No classes."""
    return no_labels(), ()


def by_number(labels: np.ndarray, classes: tuple[str, ...]) -> Callable[[np.ndarray], Classes]:
    """Classes of images whose labels (N,) int64 are known; -1 is an unknown class."""
    return lambda rows: (torch.from_numpy(labels[rows]), classes)


def by_name(classes: Sequence[str | None]) -> Callable[[np.ndarray], Classes]:
    """Classes of images from the name of each one's class, None for an unknown one. No classes, if none has a name."""
    return lambda rows: _numbered([classes[row] for row in map(int, rows)])


def _numbered(names: Sequence[str | None]) -> Classes:
    classes = sorted({name for name in names if name is not None}, key=os.fsencode)
    if not classes:
        return no_labels(), ()
    number: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    readable = tuple(os.fsencode(name).decode(errors="backslashreplace") for name in classes)
    return torch.tensor([number.get(name, -1) for name in names]), readable


@dataclass(frozen=True)
class Share:
    """The images of one split (`TRAIN`, ...): how many, how many of each class, by its name, and the names of those of no class."""

    split: int
    images: int
    classes: Mapping[str, int]
    unlabelled: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """What a source holds. `sizes` are (width, height) with their counts, the most common first; `broken` cannot be read.

    `shares` are the splits that have images, in the order of their numbers. `distinct_values` are those of 8 bits
    that occur: above 256 levels they do not say how many levels are in use. `upper_half_empty`
    is of files of 16 bits that do not say how many levels they have, none of which has a value above 32767.
    """

    images: int
    levels: int
    channels: int
    sizes: tuple[tuple[tuple[int, int], int], ...]
    distinct_values: int
    upper_half_empty: bool
    classes: int
    classes_in_use: int
    class_names: tuple[str, ...]
    train: int
    test: int
    shares: tuple[Share, ...]
    broken: tuple[Broken, ...]


def survey(listing: Listing, options: Options) -> Survey:
    """What the index says about the images; no pixel is kept in memory."""
    index = listing.looked_through()
    good = index.good()
    entries, names = index.entries[good], index.names_of(good)
    sizes = Counter(zip(entries["width"].tolist(), entries["height"].tolist(), strict=True))
    split = listing.split[good] if len(listing.split) else held_out(names, options.held_out).numpy().astype(np.int8)
    labels, classes = listing.labels_of(good, index)
    shares = tuple(_share(part, names, labels, classes, split == part) for part in np.unique(split).tolist())
    train, test = (int((split == part).sum()) for part in (TRAIN, TEST))
    all_have = common(index, good, options.levels)
    used = (
        np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(entries["values"], axis=0)))
        if len(good)
        else np.empty(0, int)
    )
    return Survey(
        len(good),
        all_have.scale.levels,
        all_have.channels or (1 if entries["grey"].all() else 3),
        tuple(sizes.most_common()),
        len(used),
        all_have.scale == PICTURE and _sixteen_bits(entries["mode"]) and int(used.max(initial=0)) < BYTES // 2,
        *count_classes(labels, classes),
        classes,
        train,
        test,
        shares,
        broken(index),
    )


def _sixteen_bits(modes: np.ndarray) -> bool:
    """Whether there are files, and all are grey of 16 bits, by what Pillow calls them."""
    return len(modes) > 0 and all(mode.startswith(b"I") for mode in set(modes.tolist()))


def _share(part: int, names: Sequence[str], labels: Tensor, classes: tuple[str, ...], mask: np.ndarray) -> Share:
    rows = np.flatnonzero(mask)
    if not len(labels):
        return Share(part, len(rows), {}, ())
    counts = Counter(labels[torch.from_numpy(rows)].tolist())
    each = {(classes[label] if classes else str(label)): counts[label] for label in sorted(counts) if label >= 0}
    return Share(part, len(rows), each, tuple(names[row] for row in rows.tolist() if labels[row] < 0))


def broken(index: Index) -> tuple[Broken, ...]:
    """The files that cannot be read, in order."""
    return tuple(Broken(index.names[row], *vars(fault).values()) for row, fault in sorted(index.faults.items()))


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images that were looked at. `labels` (n,) are those of the n good ones, or (0,) if there are none.

    `lost` are rows of the index that were good when a run began and now cannot be read, each with the reason; `unread` are as in
    `Listing`.
    """

    name: str
    index: Index
    labels: Tensor
    classes: tuple[str, ...]
    lost: Mapping[int, str] = field(default_factory=dict)
    unread: tuple[Broken, ...] = ()


def looked_at(listing: Listing, index: Index) -> Pictures:
    """The images of a listing, whose index this is."""
    return Pictures(listing.root.name, index, *listing.labels_of(index.good(), index), unread=listing.unread)


Decode = Callable[[ImageSet], ImageSet]
"""Reads the images of a set into memory."""


def image_set(pictures: Pictures, options: Options, decode: Decode = ImageSet.in_memory) -> ImageSet:
    """The good images as a set: read into memory by `decode`, or left in their files if they take more than allowed.

    Raises:
        DataError: too many cannot be read, or they differ in size and `options` give none.
    """
    index = pictures.index
    rows, bad = index.good(), broken(index)
    if len(bad) > options.max_broken * len(index) or not len(rows):
        raise DataError(
            f"{len(bad)} of {len(index)} images in {index.root!r} cannot be read: {bad[0].file}: {bad[0].reason}",
            f"ddpm data {quoted(index.root)} lists them",
            f"`data.max_broken={_rounded_up(len(bad) / len(index))}` leaves out up to that share",
            *(_size_hint(index, rows) if options.resolution is None else ()),
        )
    all_have = common(index, rows, options.levels)
    channels, size = options.channels or (1 if index.entries["grey"][rows].all() else 3), options.resolution
    if all_have.channels is not None or all_have.scale.levels > BYTES:  # read as they are, and converted afterwards
        channels, size = all_have.channels or 1, None
    height, width = size or _common_size(index, rows)
    workers = min(MOST_WORKERS, max(1, cores() - 1)) if options.workers is None else options.workers
    files = LazyImages(index, rows, (channels, height, width), Reader(workers), all_have.scale)
    labels, classes, lost = pictures.labels, pictures.classes, sorted(pictures.lost.items())
    lost = {int(np.searchsorted(rows, row)): reason for row, reason in lost}
    found = ImageSet(
        pictures.name,
        files,
        all_have.scale.levels,
        labels,
        index.names_of(rows),
        classes,
        (*bad, *pictures.unread),
        lost,
    )
    if files.nbytes > options.in_memory:
        return found
    reader = Reader(0 if len(files) <= FEW else min(cores(), MOST_WORKERS))
    try:
        return decode(replace(found, images=replace(files, reader=reader)))
    finally:
        reader.close()


def _rounded_up(share: float) -> float:
    return math.ceil(share * 1000) / 1000


def _size_hint(index: Index, rows: np.ndarray) -> list[str]:
    """What else is to be said where images that can be read differ in size, so that it is not the next error."""
    try:
        if len(rows):
            _common_size(index, rows)
    except SizesDiffer as error:
        return [f"the others differ in size: {error.hints[0]}"]
    return []


def _common_size(index: Index, rows: np.ndarray) -> tuple[int, int]:
    """The (height, width) that all images have.

    Raises:
        SizesDiffer: they do.
    """
    widths, heights = index.entries["width"][rows], index.entries["height"][rows]
    other = np.flatnonzero((widths != widths[0]) | (heights != heights[0]))
    if len(other):
        first, second = (f"{index.names[int(rows[n])]} is {widths[n]}x{heights[n]}" for n in (0, int(other[0])))
        side, why = proposed_side(min(float(np.median(widths)), float(np.median(heights))))
        raise SizesDiffer(
            f"images in {index.root!r} differ in size: {first}, {second}",
            f"`data.resolution={side}` scales each to cover {side}x{side} and cuts its centre: {why}",
            f"ddpm data {quoted(index.root)} counts the sizes",
        )
    return int(heights[0]), int(widths[0])
