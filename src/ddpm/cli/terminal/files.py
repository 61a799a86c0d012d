"""Files and folders that a command is asked to write, checked before any work is done."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpm.cli.terminal.console import TERMINAL, say
from ddpm.errors import CannotCreate, UsageError
from ddpm.parallel.launch import number

DEVICES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders of which nothing is a file, though a link in them may lead to one."""


def existing_folder(path: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        CannotCreate: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if path.is_file() else error.strerror
        raise CannotCreate(f"cannot create {str(path)!r}: {why}") from error


def fresh_folder(name: str, rows: range = range(1)) -> Path:
    """A folder to write images of these numbers to: without any, or, if they are not the first, without these.

    Raises:
        CannotCreate: it holds images already, or cannot be made.
    """
    path = Path(name).expanduser()
    existing_folder(path)
    there = {file.name for file in path.glob("[0-9]*.png")}
    if there and (rows.start == 0 or there & {f"{row:06d}.png" for row in rows}):
        raise CannotCreate(f"there are images in {name!r} already", "give another --output-dir, or empty this one")
    return path


def file_for(name: str | None, *suffixes: str) -> Path | None:
    """A file to write, if one was asked for; nothing is made yet.

    Raises:
        UsageError: the name is empty, or has none of the suffixes.
        CannotCreate: it is a folder or a device, or would lie in a file or in a folder that cannot be written to.
    """
    if name is None:
        return None
    if not name:
        raise UsageError(f"the name of a file to write is empty: {name!r}")
    path = Path(name).expanduser()
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"the file must end in {' or '.join(suffixes)}: {name!r}")
    if path.is_dir():
        raise CannotCreate(f"{name!r} is a folder, not a file to write")
    # A file is written beside its place and moved there: a device, or a link to one, would be gone.
    if path.absolute().parent in DEVICES or (path.exists() and not path.is_file()):
        raise CannotCreate(f"{name!r} is a device or a pipe, not a file to write", "`--json -` is standard output")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "is read-only" if above.is_dir() else "is a file"
        raise CannotCreate(f"cannot write {name!r}: {str(above)!r} {why}")
    return path


def new_files(output: str, names: Sequence[str], ending: str) -> list[Path]:
    """A new file for each of these names: `output` itself, where it has this ending, or in the folder `output`.

    Nothing is made yet: `write_new` makes the folder.

    Raises:
        UsageError: several would be one file.
        CannotCreate: one is there already, or cannot be written.
    """
    whole = Path(output).expanduser()
    if whole.suffix.lower() == ending and not whole.is_dir():
        if len(names) != 1:
            raise UsageError(f"{len(names):,} images do not go into one file: {output!r}", "--output DIR takes them")
        paths = [whole]
    else:
        paths = [whole / f"{name}{ending}" for name in names]
    for path, often in Counter(paths).items():
        if often > 1:
            raise UsageError(
                f"{often:,} images would be one file: {str(path)!r}", "run it once for each, with another --output"
            )
        if path.exists():
            raise CannotCreate(f"it is there already: {str(path)!r}", "give another --output, or remove it")
    file_for(str(paths[0]))
    return paths


def write_new(path: Path, data: bytes) -> None:
    """Write one of `new_files`, whole or not at all; folders that are made for it go again if it is not written.

    Raises:
        CannotCreate: its folder cannot be made.
        StorageError: the disk does not take it.
    """
    from ddpm.storage.atomic import write_bytes

    made = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        existing_folder(path.parent)
        write_bytes(path, data)
    except BaseException:
        for folder in made:  # the innermost first
            with suppress(OSError):  # another's file may be in it by now
                folder.rmdir()
        raise


class JsonTarget:
    """Where `--json` goes: a file, standard output (-), or nowhere; checked before any work is done."""

    def __init__(self, name: str | None) -> None:
        self._to_terminal = name == TERMINAL
        self._path = None if self._to_terminal else file_for(name)

    def write(self, values: Mapping[str, Any]) -> None:
        """Write the values: before anything is said of them."""
        from ddpm.storage.atomic import to_strict_json, write_json

        if self._to_terminal:
            if not number():
                print(to_strict_json(values), flush=True)
        elif self._path:
            write_json(self._path, values)

    def tell(self) -> None:
        """Say where they are."""
        if self._path:
            say(f"json: {self._path}")
