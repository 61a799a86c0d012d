"""Files that a command is asked to write: none in the place of another, of what is read, or of what a run needs."""

import os
import re
from argparse import Namespace
from pathlib import Path

from ddpm.cli.terminal.beside_data import check_beside_data
from ddpm.data.decoding.formats import SUFFIXES
from ddpm.errors import CannotCreate, UsageError
from ddpm.run.folder import RunFolder

WRITTEN = (
    "grid",
    "compare",
    "animation",
    "progressive",
    "npz",
    "plot",
    "csv",
    "html",
    "json",
    "save_moments",
    "output",
)
READ = ("image", "mask", "first", "second", "name", "source", "data", "file")
DRAWING = ("sample", "inpaint", "edit", "interpolate")
IMAGE = re.compile(r"\d{6,}\.png")


def check_outputs(options: Namespace) -> None:
    """Before any work is done.

    Raises:
        UsageError: two flags name one file, or one that is read, or one of the images that are drawn.
        CannotCreate: it is a run's own, or a picture that would be among the data.
    """
    read = {_resolved(value) for value in _named(options, READ).values()}
    folder = _resolved(options.output_dir) if options.command in DRAWING else None
    if folder:
        _check_owner(folder, options.output_dir)
    flags: dict[Path, str] = {}
    for attribute, name in _named(options, WRITTEN).items():
        flag = attribute.replace("_", "-")
        path = _resolved(name)
        if path in flags:
            raise UsageError(f"--{flags[path]} and --{flag} are one file: {name!r}")
        if path in read:
            raise UsageError(f"--{flag} would be written over what is read: {name!r}")
        if path.parent == folder and IMAGE.fullmatch(path.name):
            raise UsageError(f"--{flag} has the name of an image that is drawn: {name!r}")
        _check_owner(path, name)
        flags[path] = flag
    pictures = {name: _resolved(name) for name in _named(options, WRITTEN).values()}
    pictures = {name: path for name, path in pictures.items() if path.suffix.lower() in SUFFIXES}
    if options.command == "decompress":
        pictures[options.output] = _resolved(options.output)
    check_beside_data(options, pictures | ({options.output_dir: folder} if folder else {}))


def _check_owner(path: Path, name: str) -> None:
    for folder in (path, *path.parents):
        if RunFolder(folder).needs(path):
            raise CannotCreate(f"{name!r} belongs to the run {str(folder)!r}", "write it elsewhere")


def _named(options: Namespace, flags: tuple[str, ...]) -> dict[str, str]:
    """What these flags name; not what they have no name for, and not the terminal."""
    values = {flag: getattr(options, flag, None) for flag in flags}
    return {flag: value for flag, value in values.items() if isinstance(value, str) and value not in ("", "-")}


def _resolved(name: str) -> Path:
    return Path(os.path.realpath(Path(name).expanduser()))  # unlike Path.resolve, no error of links in a circle
