"""From the images of an index to a set of images: what they have in common (size, channels, levels, classes), then their pixels.

The same for folders, archives and tables. Those that cannot be read are left out; they are an error only if there are many.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.exact import BYTES, Meaning
from ddpm.data.decoding.image_file import PICTURE, Scale
from ddpm.data.decoding.workers import cores
from ddpm.data.imageset import Broken, ImageSet, no_labels
from ddpm.data.indexing.index import Index
from ddpm.data.indexing.lazy_images import LazyImages, Reader
from ddpm.data.indexing.listing import Classes, Listing
from ddpm.data.indexing.small_pictures import SmallPictures
from ddpm.data.splits import Options, SizesDiffer, proposed_side
from ddpm.errors import DataError, quoted

MOST_WORKERS = 8
FEW = 256
"""One process reads so few images sooner than others could be started."""
SAYS_NOTHING = Meaning()


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
    return Pictures(listing.root.name, index, *labels_in(listing, index, index.good()), unread=listing.unread)


def labels_in(listing: Listing, index: Index, rows: np.ndarray) -> Classes:
    """The labels of some rows: those of their places in the source, or else those that the files say themselves.

    Raises:
        DataError: as `own_classes`.
    """
    labels, classes = listing.classes_of(rows)
    return (labels, classes) if len(labels) else own_classes(index, rows)


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
    files = LazyImages(index, rows, (channels, height, width), Reader(workers), all_have.scale, options.decoding)
    if size is not None and all_have.scale == PICTURE:
        files = replace(files, small=SmallPictures(Path(index.root), options.reading, index.entries))
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
        if files.small is not None:
            files.small.flush()


def broken(index: Index) -> tuple[Broken, ...]:
    """The files that cannot be read, in order."""
    return tuple(Broken(index.names[row], *vars(fault).values()) for row, fault in sorted(index.faults.items()))


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


@dataclass(frozen=True)
class Common:
    """What all images of a set have: their scale, and their channels, where the files say how many."""

    scale: Scale
    channels: int | None


def common(index: Index, rows: np.ndarray, levels: int | None) -> Common:
    """The scale and the channels of these images.

    Args:
        index: of the images.
        rows: which ones.
        levels: how many the caller says that they have. It counts where the files say nothing, and can be so read.

    Raises:
        DataError: some of them say one thing, and others another.
    """
    places = reversed(list(map(int, rows))) if index.meanings else ()  # the first row of each kind stays
    said = {(m.levels, m.channels): row for row in places if not (m := _meaning(index, row)).is_picture}
    if not said:
        return Common(PICTURE if levels in (None, BYTES) else _told(index, rows, levels), None)
    (first, found), *others = said.items()
    other = others[0][1] if others else next((r for r in map(int, rows) if _meaning(index, r).is_picture), None)
    if other is not None:
        one, two = (f"{index.names[row]} has {_shown(_meaning(index, row))}" for row in (found, other))
        raise DataError(f"images in {index.root!r} do not belong together: {one}; {two}")
    return Common(Scale(first[0], 65535 if first[0] > BYTES else 255), first[1])


def _meaning(index: Index, row: int) -> Meaning:
    return index.meanings.get(row, SAYS_NOTHING)


def _shown(meaning: Meaning) -> str:
    if meaning.is_picture:
        return "the 256 levels of a picture"
    return f"{meaning.levels} levels and {meaning.channels} channel{'s' if meaning.channels > 1 else ''}"


def _told(index: Index, rows: np.ndarray, levels: int) -> Scale:
    """How files that do not say it are read as so many levels; as pictures of 256 where they cannot be."""
    if levels > BYTES:
        modes = set(index.entries["mode"][rows].tolist())
        return Scale(levels, levels - 1) if all(mode.startswith(b"I") for mode in modes) else PICTURE
    used = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(index.entries["values"][rows], axis=0)))
    steps = np.rint(np.arange(levels, dtype=np.float32) * np.float32(255 / (levels - 1)))
    if np.isin(used, steps).all():
        return Scale(levels, 255)
    return Scale(levels, levels - 1) if used.max(initial=0) < levels else PICTURE


def own_classes(index: Index, rows: np.ndarray) -> Classes:
    """The classes that the files of all these images say; none if some say none.

    Labels are the numbers that the files say. Where classes have names, these are numbered anew where some do not occur.

    Raises:
        DataError: some files name a class, and others only number it.
    """
    said = [_meaning(index, row) for row in map(int, rows)] if index.meanings else []
    labels = [meaning.label for meaning in said if meaning.label is not None]
    if not said or len(labels) < len(said):
        return no_labels(), ()
    known = [meaning for meaning in said if meaning.label != -1]
    by_name = sorted({(meaning.label, meaning.name) for meaning in known if meaning.name is not None})
    if not by_name:
        return torch.tensor(labels), ()
    if any(meaning.name is None for meaning in known):
        raise DataError(f"some images in {index.root!r} say the name of their class, and others only its number")
    names = list(dict.fromkeys(name for _, name in by_name))
    number = {name: place for place, name in enumerate(names)}
    return torch.tensor([-1 if meaning.name is None else number[meaning.name] for meaning in said]), tuple(names)
