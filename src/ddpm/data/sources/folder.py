"""A folder of image files, with all folders below it: `parts` looks through it once; what its folders mean is said by `data.folders`.

Files come in the order of the bytes of their paths, which is the same on every machine. Links to folders are followed, after
the folders themselves, so that nothing is read twice and no circle has an end. Hidden files and folders are left out, and so
are run folders of ddpm: their pictures are no data.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

from ddpm.data.decoding.formats import HEAD, SUFFIXES
from ddpm.data.decoding.span import WholeFile
from ddpm.data.folders import Folder, folders_of
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import HIDDEN, Accounts, Listing, Parts, by_name, laid_out, no_split, nothing_in
from ddpm.errors import DataError

RUN = ("config.json", "checkpoints")
"""The file and the folder by which a run folder is known."""
Entry: TypeAlias = "os.DirEntry[str]"
Identity = tuple[int, int]
"""A folder, whatever its names: the device and the number that the system knows it by."""


def parts(path: Path) -> Parts:
    """The parts of the folder. It is looked through once, here; no image is opened.

    Raises:
        NotFound: there are no images.
        DataError: a folder cannot be read.
    """
    found = walk(path)
    if not found.names:
        raise nothing_in(path, found.accounts)
    layout, places, split = laid_out(folders_of(found.names))

    def listing(part: str) -> Listing:
        rows = range(len(found.names)) if part == "all" else split.rows(part)
        top = () if part == "all" else _only(layout.folders_of(part))
        start = len("/".join(top)) + 1 if top else 0
        root = path.joinpath(*top)
        sources = [_source(root, found.names[row][start:]) for row in rows]
        labels = [places[row].label for row in rows]
        numbers = split.numbers if part == "all" else no_split()
        return Listing(root, "all" if top else part, sources, by_name(labels), numbers, tuple(found.accounts.unread))

    return Parts(split.parts, listing, layout, found.accounts)


def _only(tops: list[Folder]) -> Folder:
    """The folder of a part, which its images are named from; the top, where there are several."""
    return tops[0] if len(tops) == 1 else ()


def _source(root: Path, name: str) -> Source:
    path = os.path.join(root, name)
    try:
        about = os.stat(path)
        size, time = about.st_size, about.st_mtime_ns
    except OSError:  # reading the file will find out what is wrong, and say it
        size, time = 0, 0
    return Source(name, WholeFile(path), size, time)


@dataclass
class Walk:
    """The image files below `root`: `names` are their paths from there, with "/", in the order of their bytes."""

    root: Path
    names: list[str] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    seen: set[Identity] = field(default_factory=set)
    links: list[str] = field(default_factory=list)


def walk(root: Path) -> Walk:
    """The image files below a folder.

    Raises:
        DataError: a folder cannot be read. Its images would be missing, and nobody would notice.
    """
    found = Walk(root)
    _enter(found, "")
    while found.links:
        links, found.links = sorted(found.links, key=os.fsencode), []
        for link in links:
            _follow(found, link)
    found.names.sort(key=os.fsencode)
    found.accounts.unread.sort(key=lambda one: os.fsencode(one.file))
    return found


def has_pictures(root: Path) -> bool:
    """Whether a file below a folder has a suffix of pictures; links to folders are not followed.

    Raises:
        DataError: as `walk`.
    """
    for _, folders, files in os.walk(root, onerror=_refuse):
        inside = is_run(folders, files)
        folders[:] = [] if inside else [name for name in folders if not name.startswith(".")]
        names = [] if inside else [name for name in files if not name.startswith(".")]
        if any(os.path.splitext(name)[1].lower() in SUFFIXES for name in names):
            return True
    return False


def is_run(folders: list[str], files: list[str]) -> bool:
    """Whether a folder that holds these is a run of ddpm."""
    return RUN[0] in files and RUN[1] in folders


def _enter(found: Walk, top: str) -> None:
    """All folders at and below `top`; links are kept for later."""
    waiting = [top]
    while waiting:
        place = waiting.pop()
        path = os.path.join(found.root, place)
        folders, files = _entries(path)
        if place and is_run([one.name for one in folders], [one.name for one in files]):
            found.accounts.pass_over("run folder of ddpm", place)
        elif (identity := _identity(path)) in found.seen:
            found.accounts.pass_over("link to a folder that is read already", place)
        else:
            found.seen.add(identity)
            prefix = f"{place}/" if place else ""
            for entry in (*folders, *files):
                if entry.name.startswith("."):
                    found.accounts.pass_over(HIDDEN, prefix + entry.name)
            shown = [entry for entry in folders if not entry.name.startswith(".")]
            found.links += [prefix + entry.name for entry in shown if entry.is_symlink()]
            waiting += [prefix + entry.name for entry in shown if not entry.is_symlink()]
            for entry in files:
                if not entry.name.startswith("."):
                    _add(found, prefix + entry.name, entry)


def names_in(path: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and of the regular files in a folder, in no particular order.

    Raises:
        DataError: it cannot be read.
    """
    folders, others = _entries(path)
    return [one.name for one in folders], [one.name for one in others if _leads_to_a(one.is_file)]


def _entries(path: str | Path) -> tuple[list[Entry], list[Entry]]:
    """The folders in a folder, links to folders among them, and all else in it.

    Raises:
        DataError: it cannot be read.
    """
    folders: list[Entry] = []
    others: list[Entry] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                (folders if _leads_to_a(entry.is_dir) else others).append(entry)
    except OSError as error:
        _refuse(error)
    return folders, others


def _leads_to_a(kind: Callable[[], bool]) -> bool:
    """`entry.is_dir` or `entry.is_file`, asked; of a link in a circle neither is so."""
    try:
        return kind()
    except OSError:
        return False


def _add(found: Walk, name: str, entry: Entry) -> None:
    """What is no folder. With a suffix of pictures it is an image, though a pipe or a link to nothing, which is broken."""
    picture = os.path.splitext(name)[1].lower() in SUFFIXES
    if picture or _leads_to_a(entry.is_file):
        if found.accounts.admits(name, partial(_head, entry.path)):
            found.names.append(name)
    else:
        found.accounts.pass_over("link to nothing" if entry.is_symlink() else "no regular file", name)


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD)


def _follow(found: Walk, link: str) -> None:
    path = os.path.join(found.root, link)
    target = os.path.realpath(path)
    above = {os.path.realpath(found.root), os.path.realpath(os.path.dirname(path))}
    if any(os.path.commonpath([target, place]) == target for place in above):
        found.accounts.pass_over("link to a folder that it lies in", link)
    else:
        _enter(found, link)


def _identity(path: str) -> Identity:
    try:
        about = os.stat(path)
    except OSError as error:
        _refuse(error)
    return about.st_dev, about.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"cannot read a folder of the data: {error.filename}: {error.strerror}") from error
