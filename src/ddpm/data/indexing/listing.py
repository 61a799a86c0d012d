"""What a source of picture files says of itself: its parts, the images of each, and what in it is no image (`Accounts`).

Folders, archives and tables fill these in, each in its file below `sources`; no image is opened yet. The index then looks at each
image once (`Listing.looked_through`), and `indexing.pictures` makes a set of those that can be read.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ddpm.data.decoding import formats
from ddpm.data.decoding.formats import SUFFIXES
from ddpm.data.decoding.scaled import Reading
from ddpm.data.folders import Folder, Layout, Place, understood
from ddpm.data.imageset import Broken, no_labels
from ddpm.data.indexing.index import Index, Source, indexed
from ddpm.errors import NotFound

Classes = tuple[torch.Tensor, tuple[str, ...]]
"""Labels of some images, (N,) int64, or (0,) if they have none; and the names of the labels, if they have names."""
TRAIN, TEST, NEITHER, VALIDATION = 0, 1, 2, 3
NUMBERS = {"train": TRAIN, "test": TEST, "validation": VALIDATION, None: NEITHER}
OTHERS = {
    suffix: kind
    for kind, suffixes in {
        "archive, not opened": ".zip .tar .gz .tgz .bz2 .xz .zst .rar .7z .parquet .arrow .tfrecord .lmdb .h5 .npz .npy",
        "no picture": ".txt .json .jsonl .csv .tsv .xml .yaml .yml .toml .md .rst .html .htm .css .js .py .ipynb .sh .ini .cfg "
        ".log .db .cls .pdf .doc .docx .xls .xlsx .mat .pkl .pt .pth .ckpt .safetensors .index .aae .mp3 .wav .m4a",
        "no still picture": ".mp4 .mov .avi .mkv .webm .m4v",
    }.items()
    for suffix in suffixes.split()
}
"""Suffixes of files that are no images, and what they are."""
RAW = frozenset([".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"])
"""What sensors of cameras write. They begin as TIFF does, and Pillow would read the small preview in them."""
HIDDEN = "hidden (its name begins with a dot)"
"""Why a file whose name begins with a dot is passed over."""
UNREAD = "format"
"""The fault of a picture that is left out because its format is not read here."""


@dataclass(frozen=True)
class PassedOver:
    """So many files, or folders, that were left out for the same reason; `first` is the first of their names."""

    why: str
    count: int
    first: str


@dataclass
class Accounts:
    """What is left out of a source while its files are looked through.

    `unread` are pictures that cannot be read; the others are counted by the reason why they are no images of the source.
    """

    unread: list[Broken] = field(default_factory=list)
    _passed: dict[str, PassedOver] = field(default_factory=dict)

    def pass_over(self, why: str, name: str) -> None:
        """One more that is no image, and why."""
        before = self._passed.get(why, PassedOver(why, 0, name))
        self._passed[why] = PassedOver(why, before.count + 1, min(before.first, name, key=os.fsencode))

    @property
    def passed(self) -> Sequence[PassedOver]:
        """What was passed over, the most common reason first."""
        return sorted(self._passed.values(), key=lambda one: (-one.count, one.why))

    def admits(self, name: str, head: Callable[[], bytes]) -> bool:
        """Whether a file is taken for an image; if not, it is noted why. `head` reads its first bytes."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix in SUFFIXES:
            return True
        if (kind := OTHERS.get(suffix)) is not None:
            self.pass_over(f"{kind} ({suffix})", name)
            return False
        try:
            found = "camera raw" if suffix in RAW else formats.format_of(head())
        except OSError as error:
            self.unread.append(Broken(name, "unreadable", error.strerror or type(error).__name__))
            return False
        if found is None:
            self.pass_over(f"no picture ({suffix or 'no suffix'})", name)
        elif not formats.is_read(found):
            self.unread.append(Broken(name, UNREAD, formats.not_read(found)))
        return found is not None and formats.is_read(found)


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

    def looked_through(self, reading: Reading) -> Index:
        """The index of these images; what the cache knows already is not decoded again.

        Raises:
            Unavailable: no process can be started that decodes.
        """
        return indexed(self.root, self.sources, self.part, reading)


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


@dataclass(frozen=True, eq=False)
class Split:
    """To which part each image belongs, `numbers` (N,) int8 of `NUMBERS`; (0,) where images are held out by their names."""

    numbers: np.ndarray = field(default_factory=no_split)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that there are: "all", or of "train", "test" and "validation" those that have images."""
        if not len(self.numbers):
            return ("all",)
        return tuple(part for part, number in NUMBERS.items() if part and (self.numbers == number).any())

    def rows(self, part: str) -> list[int]:
        """The images of a part other than "all"."""
        return np.flatnonzero(self.numbers == NUMBERS[part]).tolist()


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a source by their `names`, the `listing` of each (and of "all"), and how the source was understood.

    `accounts` say what was left out; they are complete once a listing was asked for.
    """

    names: tuple[str, ...]
    listing: Callable[[str], Listing]
    layout: Layout
    accounts: Accounts


def laid_out(folders: Sequence[Folder]) -> tuple[Layout, list[Place], Split]:
    """What the folders of some images mean: in all, for each image, and to which part it belongs."""
    layout = understood(Counter(folders))
    places = [layout.places[folder] for folder in folders]
    if not layout.splits:
        return layout, places, Split()
    return layout, places, numbered(place.split for place in places)


def numbered(splits: Iterable[str | None]) -> Split:
    """The split of each image, or file, by its name; None for no split."""
    return Split(np.array([NUMBERS[split] for split in splits], np.int8))


def nothing_in(path: Path, accounts: Accounts) -> NotFound:
    """The error where a source holds no image, with what it holds instead."""
    passed = ", ".join(f"{one.why}: {one.count:,}" for one in accounts.passed[:3])
    unread = f"{accounts.unread[0].file}: {accounts.unread[0].reason}" if accounts.unread else ""
    hints = [hint for hint in (unread, f"passed over: {passed}" if passed else "") if hint]
    return NotFound(
        f"no images in {str(path)!r}", *hints, f"looked for {' '.join(sorted(SUFFIXES))}, in all folders below"
    )
