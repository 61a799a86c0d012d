"""Opens a data set: `open_source` takes a name or a path, finds out which kind of source it is, and reads a split.

Some sources have a split of their own (digits, MNIST, CIFAR-10, train/ and test/ folders). Elsewhere one image in twenty is
held out for "test", chosen by a hash of its name: the same ones on every machine, also after new images were added.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ddpm.data.convert import converted
from ddpm.data.decoding.picture import SUFFIXES
from ddpm.data.imageset import ImageSet
from ddpm.data.indexing.listing import Listing, Pictures, image_set, looked_at
from ddpm.data.indexing.snapshot import Change, match_to_snapshot
from ddpm.data.sources import cifar, digits, folder, hub, idx, npz, parquet, tar
from ddpm.data.sources.kind import Kind, kind_of
from ddpm.data.splits import DEFAULT, SPLITS, Options, hold_out
from ddpm.errors import NotFound, UsageError

Lists = Callable[[Path, str], Listing]
"""Lists the images of a part ("train", "test", "all") of the source at a path."""


@dataclass(frozen=True)
class Reads:
    """How a kind of source is read: whether a path has a split of its own, and the images of a part."""

    has_split: Callable[[Path], bool]
    read: Callable[[Path, str, Options], ImageSet]


def _pictures(listed: Lists) -> Callable[[Path, str, Options], ImageSet]:
    def read(path: Path, part: str, options: Options) -> ImageSet:
        listing = listed(path, part)
        return image_set(looked_at(listing, listing.looked_through()), options)

    return read


READS: Mapping[Kind, Reads] = {
    Kind.IDX: Reads(idx.has_split, idx.read),
    Kind.CIFAR: Reads(cifar.has_split, cifar.read),
    Kind.PARQUET: Reads(parquet.has_split, _pictures(parquet.listing)),
    Kind.TAR: Reads(tar.has_split, _pictures(tar.listing)),
    Kind.NPZ: Reads(npz.has_split, npz.read),
    Kind.FOLDER: Reads(folder.has_split, _pictures(folder.listing)),
}
LISTS: Mapping[Kind, Lists] = {
    Kind.PARQUET: parquet.listing,
    Kind.TAR: tar.listing,
    Kind.FOLDER: folder.listing,
}
"""The kinds of source whose images are picture files."""
STREAM = re.compile(r"pipe:|[A-Za-z][A-Za-z0-9+.-]+://")


def open_source(source: str, split: str = "train", options: Options = DEFAULT) -> ImageSet:
    """The images of a SOURCE (see `ddpm data --help`), in memory, or left in their files if they take too much of it.

    Args:
        source: "digits", or a path.
        split: "train", "test" or "all".
        options: size, channels, levels, and how much to hold out.

    Raises:
        UsageError: an unknown split.
        NotFound: no such path, nothing in it, or nothing in this split.
        DataError: damaged files, or images that do not fit together.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown split: {split!r}", f"choose from {', '.join(SPLITS)}")
    if source == "digits":
        return converted(digits.read(split), options)
    path, kind = _find(source)
    if split == "all" or READS[kind].has_split(path):
        found = READS[kind].read(path, split, options)
    else:
        found = hold_out(READS[kind].read(path, "all", options), options.held_out)[split]
    if not len(found):
        raise NotFound(
            f"the {split} split of {source!r} is empty",
            "`split=all`, or `data.held_out=FRACTION` for the training" if split == "test" else "",
        )
    return converted(found, options)


def open_both(source: str, options: Options = DEFAULT) -> tuple[ImageSet, ImageSet]:
    """The images to train on and those held out (maybe none). Each file is read once.

    Raises:
        NotFound: nothing to train on.
        DataError: as `open_source`.
    """
    found = open_again(source, options, {})
    return found.train, found.test


@dataclass(frozen=True, eq=False)
class Opened:
    """The images to train on and those held out.

    `parts` are the pictures in files that a run keeps in its snapshot, empty for other kinds of source: "all", or "train" and
    "test" where the source has a split of its own. `change` is what happened to them since the run began.
    """

    train: ImageSet
    test: ImageSet
    parts: Mapping[str, Pictures]
    change: Change

    def close(self) -> None:
        """End the processes that read files, where there are any."""
        self.train.close()
        self.test.close()

    def close_test(self) -> None:
        """End the processes that read only held-out images. Two sets that were split from one source share theirs."""
        if "test" in self.parts:
            self.test.close()


def open_again(source: str, options: Options, began: Mapping[str, Pictures]) -> Opened:
    """As `open_both`, for a run that goes on: with the images of the parts that it began with, some of which may be `lost`.

    If the source no longer has these parts, or the run began with none, the images are those that are there now.

    Raises:
        NotFound: nothing to train on.
        DataError: as `open_source`.
    """
    looked: dict[str, Pictures] = {}
    change = Change()
    if source == "digits":
        sets = {part: digits.read(part) for part in ("train", "test")}
    else:
        path, kind = _find(source)
        parts = ("train", "test") if READS[kind].has_split(path) else ("all",)
        listings = {part: LISTS[kind](path, part) for part in parts} if kind in LISTS else {}
        same = began.keys() == listings.keys()
        for part, listing in listings.items():
            index = listing.looked_through()
            if same:
                looked[part], other = match_to_snapshot(began[part], listing, index)
                change = change.and_then(other)
            else:
                looked[part] = looked_at(listing, index)
        decode = ImageSet.load_readable if same else ImageSet.in_memory
        sets = {part: image_set(pictures, options, decode) for part, pictures in looked.items()}
        sets = sets or {part: READS[kind].read(path, part, options) for part in parts}
        sets = hold_out(sets["all"], options.held_out) if "all" in sets else sets
    if not len(sets["train"]):
        raise NotFound(f"the train split of {source!r} is empty")
    return Opened(converted(sets["train"], options), converted(sets["test"], options), looked, change)


def listed(source: str) -> list[Listing]:
    """The list of the picture files of a SOURCE, none of which is opened: one listing, or none for other kinds of source.

    Raises:
        UsageError, NotFound, DataError: as `open_source`.
    """
    if source == "digits":
        return []
    path, kind = _find(source)
    return [LISTS[kind](path, "all")] if kind in LISTS else []


def _find(source: str) -> tuple[Path, Kind]:
    if STREAM.match(source):
        raise UsageError(
            f"data is read from files, not from a URL or a pipe: {source!r}",
            "hf:OWNER/NAME downloads a data set of the hub; of others download the Parquet files or .tar shards to a folder",
            "of files any image can be read at any time, and so a run on them goes on exactly",
        )
    path = hub.fetched(source) if source.startswith(hub.PREFIX) else Path(source).expanduser()
    if not path.exists():
        raise NotFound(
            f"no such data: {source!r}",
            "SOURCE is 'digits', a folder or .tar files of images, Parquet, IDX, npz, npy or CIFAR-10 files, or hf:OWNER/NAME",
        )
    kind = kind_of(path)
    if kind is None:
        picture = path.suffix.lower() in SUFFIXES
        hint = (
            "one image is no data set: give the folder that it is in" if picture else f"looked for: {', '.join(Kind)}"
        )
        raise NotFound(f"no data set: {source!r}" if picture else f"no images in {source!r}", hint)
    return path, kind
