"""Finds the shard files of a data set: *.tar or *.parquet in FOLDER, in FOLDER/data and in folders named after a split.

The split of a file is in its name or in its folder's, as on the Hugging Face hub: train-00000-of-00002.parquet. A folder that
alone holds all of them lies around them. A data set in a single file is found, too.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ddpm.data.folders import Folder, Layout, role_of, split_named, split_within, splits_among
from ddpm.data.indexing.listing import Split, numbered
from ddpm.data.sources.folder import is_run, names_in

PARQUET = (".parquet",)
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
TARS = (".tar", *COMPRESSED)
NOTES = "metadata."
"""Files whose names begin so are tables about the images of a folder, and hold no images."""
DEEP = 4
"""How many folders may lie around shards."""


def find(path: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The paths, relative to a folder, of its files with such names, in the order of the paths' bytes; [""] if `path` is a file.

    Raises:
        DataError: a folder cannot be read.
    """
    if not path.is_dir():
        return [""] if path.is_file() and path.name.endswith(suffixes) else []
    found = _below(path, "", suffixes, DEEP)
    return sorted(found, key=lambda name: os.fsencode(f"{name}/"))


def _below(path: Path, place: str, suffixes: tuple[str, ...], deep: int) -> list[str]:
    """The shards in a folder, and in those in it that `looks_into` names, or in its only one."""
    folders, files = names_in(path / place)
    prefix = f"{place}/" if place else ""
    shards = [prefix + name for name in files if name.endswith(suffixes) and not name.startswith((".", NOTES))]
    shown = [] if place and is_run(folders, files) else [name for name in folders if not name.startswith(".")]
    looked = [name for name in shown if looks_into(name)] if shards or len(shown) > 1 else shown
    further = [_below(path, prefix + name, suffixes, deep - 1) for name in looked] if deep else []
    return shards + [name for part in further for name in part]


def looks_into(folder: str) -> bool:
    """Whether shards are looked for in a folder of this name beside others: "data", or one that is named after a split."""
    return folder.casefold() == "data" or split_named(folder) is not None


def is_near(name: str) -> bool:
    """Whether a shard lies where it needs no look at other folders to know what they are: at the top, or one folder below."""
    folder, _, file = name.rpartition("/")
    return bool(file) and "/" not in folder and (not folder or looks_into(folder))


def layout(names: Sequence[str]) -> tuple[Layout, Split]:
    """The splits of some files, and to which part each belongs."""
    kinds = {name: _split_of(name) for name in names}
    splits = splits_among(kinds)
    role = role_of(splits.values())
    if len(role) < 2:
        return Layout({}), Split()
    parts = {name: role[split] for name, split in splits.items()}
    return Layout({}, {_folder(name): part for name, part in parts.items()}), numbered(map(parts.get, names))


def _split_of(name: str) -> str | None:
    """Of the file's folders, the last that is named after a split; else of its own name."""
    *folders, file = name.split("/")
    found = [split for folder in folders if (split := split_named(folder)) is not None]
    return found[-1] if found else split_within(file)


def _folder(name: str) -> Folder:
    return tuple(name.split("/"))


def chosen(names: Sequence[str], part: str) -> list[str]:
    """The files of a part."""
    _, split = layout(names)
    return list(names) if part == "all" or not len(split.numbers) else [names[row] for row in split.rows(part)]
