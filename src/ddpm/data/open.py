"""Opens a data set: `open_source` takes a name or a path, finds out which kind of source it is, and reads a split.

Some sources have a split of their own (digits, MNIST, CIFAR-10, train/ and test/ folders). Elsewhere one image in twenty is
held out for "test", chosen by a hash of its name: the same ones on every machine, also after new images were added.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ddpm.data.decoding.formats import SUFFIXES
from ddpm.data.imageset import ImageSet
from ddpm.data.indexing.listing import Parts
from ddpm.data.indexing.pictures import Pictures, image_set, looked_at
from ddpm.data.indexing.snapshot import Change, match_to_snapshot
from ddpm.data.sources import cifar, digits, folder, hub, idx, npz, parquet, shards, tar
from ddpm.data.sources.folder import has_pictures, names_in
from ddpm.data.splits import DEFAULT, SPLITS, Options, converted, hold_out
from ddpm.errors import NotFound, UsageError


class Kind(StrEnum):
    """The kinds of source, as messages name them."""

    IDX = "IDX"
    CIFAR = "CIFAR-10 binary"
    PARQUET = "Parquet"
    TAR = "tar archive"
    NPZ = "npz or npy"
    FOLDER = "image folder"


@dataclass(frozen=True)
class Reads:
    """How a kind of source whose images are not picture files is read: whether a path has a split of its own, and a part."""

    has_split: Callable[[Path], bool]
    read: Callable[[Path, str, Options], ImageSet]


READS: Mapping[Kind, Reads] = {
    Kind.IDX: Reads(idx.has_split, idx.read),
    Kind.CIFAR: Reads(cifar.has_split, cifar.read),
    Kind.NPZ: Reads(npz.has_split, npz.read),
}
PARTS: Mapping[Kind, Callable[[Path], Parts]] = {
    Kind.PARQUET: parquet.parts,
    Kind.TAR: tar.parts,
    Kind.FOLDER: folder.parts,
}
"""The kinds of source whose images are picture files."""
ENDINGS = {
    Kind.IDX: ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz"),
    Kind.CIFAR: (".bin",),
    Kind.PARQUET: shards.PARQUET,
    Kind.TAR: shards.TARS,
    Kind.NPZ: (".npz", ".npy"),
}
"""How the names of a kind's files end."""
CIFAR_BATCHES = ("data_batch", "test_batch")
STREAM = re.compile(r"pipe:|[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Part:
    """What a split of a source was taken to be: so many of `of` images, held out by their names; None where no rule chose them.

    `folders` are those of a split that the source has itself.
    """

    images: int
    of: int | None = None
    folders: tuple[str, ...] = ()


def open_source(
    source: str, split: str = "train", options: Options = DEFAULT, heard: Callable[[Part], None] = lambda _part: None
) -> ImageSet:
    """The images of a SOURCE (see `ddpm data --help`), in memory, or left in their files if they take too much of it.

    Args:
        source: "digits", or a path.
        split: "train", "test", "all", or "validation" where there is one beside a train and a test split.
        options: size, channels, levels, and how much to hold out.
        heard: is told what the split was taken to be.

    Raises:
        UsageError: an unknown split.
        NotFound: no such path, nothing in it, or nothing in this split.
        DataError: damaged files, or images that do not fit together.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown split: {split!r}", f"choose from {', '.join(SPLITS)}")
    names, read, folders = _DIGITS if source == "digits" else _reader(*_find(source), options)
    if split == "validation" and split not in names:
        raise NotFound(
            f"{source!r} has no validation split beside a training and a test split",
            "without a test split the validation images are it: `split=test`",
        )
    whole = None
    if split == "all" or split in names:
        found = read(split)
    elif names == ("all",):
        whole = read("all")
        found = hold_out(whole, options.held_out)[split]
    else:
        raise _no_part(source, split, names)
    if not len(found):
        raise NotFound(
            f"the {split} split of {source!r} is empty",
            "`split=all`, or `data.held_out=FRACTION` for the training" if split == "test" else "",
        )
    heard(Part(len(found), None if whole is None else len(whole), folders(split)))
    return converted(found, options)


_Reader = tuple[tuple[str, ...], Callable[[str], ImageSet], Callable[[str], tuple[str, ...]]]
_DIGITS: _Reader = ("train", "test"), digits.read, lambda _part: ()


def _reader(path: Path, kind: Kind, options: Options) -> _Reader:
    """The parts that a source has, what reads one of them, or "all", and the folders of one, where folders are the parts."""
    if kind in PARTS:
        parts = PARTS[kind](path)

        def read(part: str) -> ImageSet:
            listing = parts.listing(part)
            return image_set(looked_at(listing, listing.looked_through(options.reading)), options)

        return parts.names, read, lambda part: tuple("/".join(top) for top in parts.layout.folders_of(part))
    reads = READS[kind]
    names = ("train", "test") if reads.has_split(path) else ("all",)
    return names, lambda part: reads.read(path, part, options), lambda _part: ()


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
    "test" where the source has a split of its own. `change` is what happened to them since the run began. `understood` is how
    the names of the files were, of a source of picture files.
    """

    train: ImageSet
    test: ImageSet
    parts: Mapping[str, Pictures]
    change: Change
    understood: Parts | None

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
    change, parts = Change(), None
    if source == "digits":
        sets = {part: digits.read(part) for part in ("train", "test")}
    else:
        path, kind = _find(source)
        if kind in PARTS:
            parts = PARTS[kind](path)
            sets, looked, change = _looked_through(source, parts, options, began)
        else:
            names, read, _ = _reader(path, kind, options)
            sets = {part: read(part) for part in names}
        sets = hold_out(sets["all"], options.held_out) if "all" in sets else sets
    if not len(sets["train"]):
        raise NotFound(f"the train split of {source!r} is empty")
    return Opened(converted(sets["train"], options), converted(sets["test"], options), looked, change, parts)


def _looked_through(
    source: str, parts: Parts, options: Options, began: Mapping[str, Pictures]
) -> tuple[dict[str, ImageSet], dict[str, Pictures], Change]:
    """The parts that a run reads, as sets and as pictures, and what changed in them since it began."""
    names = [part for part in parts.names if part != "validation"]
    if "test" in names and "train" not in names:
        raise _no_part(source, "train", parts.names)
    looked: dict[str, Pictures] = {}
    change, same = Change(), began.keys() == set(names)
    for part in names:
        listing = parts.listing(part)
        index = listing.looked_through(options.reading)
        if same:
            looked[part], other = match_to_snapshot(began[part], listing, index)
            change = change.and_then(other)
        else:
            looked[part] = looked_at(listing, index)
    decode = ImageSet.load_readable if same else ImageSet.in_memory
    return {part: image_set(pictures, options, decode) for part, pictures in looked.items()}, looked, change


def _no_part(source: str, part: str, there: Sequence[str]) -> NotFound:
    return NotFound(
        f"{source!r} has no {part} split", f"it has {' and '.join(there)}: give the folder of one as the data"
    )


def parts_of(source: str) -> Parts | None:
    """The parts of a SOURCE of picture files, none of which is opened; None for other kinds of source.

    Raises:
        UsageError, NotFound, DataError: as `open_source`.
    """
    if source == "digits":
        return None
    path, kind = _find(source)
    return PARTS[kind](path) if kind in PARTS else None


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
    if (path / "config.json").is_file() and (path / "checkpoints").is_dir():  # its own pictures are sheets of samples
        raise UsageError(
            f"a run is no data set: {source!r}",
            "ddpm evaluate measures what it draws, by metrics such as fid",
            "the folder that ddpm sample draws images into is a data set",
        )
    kind = kind_of(path)
    if kind is None:
        picture = path.suffix.lower() in SUFFIXES
        hint = (
            "one image is no data set: give the folder that it is in" if picture else f"looked for: {', '.join(Kind)}"
        )
        raise NotFound(f"no data set: {source!r}" if picture else f"no images in {source!r}", hint)
    return path, kind


def kind_of(path: Path) -> Kind | None:
    """The kind of a file, by its ending, or of a folder, by the files in it; None for another name, a pipe or a device.

    A folder of IDX files is also a folder: the kinds are tried in their order. A folder that holds both archives and pictures
    is an image folder; tables at its top, or in its folders of splits, are the data all the same.

    Raises:
        DataError: a folder cannot be read.
    """
    if path.is_file():
        return next((kind for kind, endings in ENDINGS.items() if path.name.endswith(endings)), None)
    if not path.is_dir():
        return None
    _, names = names_in(path)
    if any(name.endswith(ENDINGS[Kind.IDX]) for name in names):
        return Kind.IDX
    if any(name.startswith(CIFAR_BATCHES) and name.endswith(".bin") for name in names):
        return Kind.CIFAR
    return _kind_of_shards(path)


def _kind_of_shards(path: Path) -> Kind:
    found = shards.find(path, (*shards.PARQUET, *shards.TARS))
    tables = [name for name in found if name.endswith(shards.PARQUET)]
    if any(shards.is_near(name) for name in tables):
        return Kind.PARQUET
    if not found or has_pictures(path):
        return Kind.FOLDER
    return Kind.PARQUET if tables else Kind.TAR
