"""A folder of image files, with all folders below it. What its folders mean is decided by their names (`folders.layout`).

Files come in the order of the bytes of their paths, which is the same on every machine. Files that cannot be read are listed;
they are an error only if there are many.
"""

import os
from pathlib import Path

from ddpm.data.decoding.span import WholeFile
from ddpm.data.folders.layout import Folder, folders_of
from ddpm.data.folders.parts import Parts, laid_out, nothing_in
from ddpm.data.folders.walk import walk
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import Listing, by_name, no_split


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
