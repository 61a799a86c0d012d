"""What pictures in files mean together: how many levels and channels they have, and the classes that they say themselves."""

from dataclasses import dataclass

import numpy as np
import torch

from ddpm.data.decoding.exact import BYTES, Meaning
from ddpm.data.decoding.image_file import PICTURE, Scale
from ddpm.data.imageset import no_labels
from ddpm.data.indexing.index import Index
from ddpm.errors import DataError

Classes = tuple[torch.Tensor, tuple[str, ...]]
"""Labels of some images, (N,) int64, or (0,) if they have none; and the names of the labels, if they have names."""
SAYS_NOTHING = Meaning()


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
