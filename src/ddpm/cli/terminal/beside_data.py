"""Pictures that a command is asked to write into a folder of data: they would be images of it from then on."""

import os
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddpm.data.sources.folder import RUN
from ddpm.errors import CannotCreate, Failure
from ddpm.run.folder import folder_of


def check_beside_data(options: Namespace, outputs: Mapping[str, Path]) -> None:
    """Refuse, before any work is done, pictures below the folder of the data, or of those that the model was trained on.

    A hidden folder, or one in a run, is no part of the data.

    Args:
        options: of the command: `data`, and `run` (one, or several), whose data are those of its config.json.
        outputs: pictures and folders for them, whole paths, each by its name as the user gave it.

    Raises:
        CannotCreate: one of them would be among the images.
    """
    for source in _sources(options) if outputs else []:
        for name, path in outputs.items():
            _check(name, path, source)


def _sources(options: Namespace) -> list[Path]:
    """The folders that hold the data."""
    named = [getattr(options, "data", None)]
    given = getattr(options, "run", None) or []
    for run in given if isinstance(given, list) else [given]:
        with suppress(Failure, OSError):  # opening the run says what is wrong with it
            named.append(folder_of(Path(run).expanduser()).read_experiment().data.source)
    folders = [Path(os.path.realpath(Path(name).expanduser())) for name in named if name and name != "digits"]
    return [folder for folder in folders if folder.is_dir()]


def _check(name: str, path: Path, source: Path) -> None:
    if path != source and source not in path.parents:
        return
    inside = path.relative_to(source).parts
    above = [source.joinpath(*inside[:depth]) for depth in range(1, len(inside) + 1)]
    if any(part.startswith(".") for part in inside) or any(_is_run(folder) for folder in above):
        return
    raise CannotCreate(
        f"{name!r} lies in the data {str(source)!r}: its pictures would be images of it", "write it elsewhere"
    )


def _is_run(folder: Path) -> bool:
    config, checkpoints = (folder / part for part in RUN)
    return config.is_file() and checkpoints.is_dir()
