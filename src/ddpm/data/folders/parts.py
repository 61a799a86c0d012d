"""A source whose images are picture files: which parts it has, and the list of the images of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ddpm.data.decoding.picture import SUFFIXES
from ddpm.data.folders.candidates import Accounts
from ddpm.data.folders.layout import Folder, Layout, Place, understood
from ddpm.data.indexing.listing import NEITHER, TEST, TRAIN, VALIDATION, Listing, no_split
from ddpm.errors import NotFound

NUMBERS = {"train": TRAIN, "test": TEST, "validation": VALIDATION, None: NEITHER}


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
