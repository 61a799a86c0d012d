"""A model of another library as a run: in a folder of one's own, or in the cache for who only reads it.

The run has config.json and one checkpoint, of the step that the model says or 0, with the weights, their moving average, and
nothing of an optimiser. `origin.json` says where it came from and what was found. It can be sampled, scored and compared, and a
new run can begin with it (`init_from`); it cannot go on.
"""

import json
import os
import shutil
from pathlib import Path

import torch

from ddpm import checkpoints, interop
from ddpm.checkpoints import Checkpoint
from ddpm.errors import CannotCreate, UsageError
from ddpm.experiment.binding import KEY, binding
from ddpm.experiment.settings import to_json
from ddpm.interop import Foreign, Told, hub, shipped
from ddpm.run.folder import RunFolder
from ddpm.storage.atomic import write_bytes, write_text
from ddpm.storage.sealed import cache_folder


def place(name: str | Path) -> Path:
    """The path that was typed, or the name of a model, as `read_run` takes it.

    `./ddpm:mnist` is a folder of that name; it becomes a whole path, since pathlib leaves out the `./` that says so.
    """
    path = Path(name).expanduser()
    return path.absolute() if is_name(path) and not is_name(name) else path


def own_folder(name: str | Path) -> Path:
    """A folder for a run of one's own, which may be written to.

    Raises:
        UsageError: it is the name of a model that comes with the package.
    """
    path = place(name)
    if shipped.is_name(path):
        raise UsageError(
            f"{str(path)!r} is a model to read, and no run folder",
            f"`init_from={path}` begins a new run with its weights",
            f"ddpm import {path} RUN makes a run folder of it",
        )
    return path


def is_name(path: object) -> bool:
    """Whether it is the name of a model of the hub, or of one that comes with the package, and no path."""
    return hub.is_name(path) or shipped.is_name(path)


def read_run(path: Path) -> Path:
    """A run to read: the folder itself, or the one that another model becomes, in the cache.

    Of another library, `hf:OWNER/NAME` too; or one that comes with the package, `ddpm:mnist`.

    Raises:
        Failure: as `interop.read`, for what is a model of another library, and as `interop.hub.fetched` and `shipped.read`.
    """
    source = str(path)
    if shipped.is_name(path):
        return in_cache(shipped.read(source), source)
    if hub.is_name(path):
        source, path = hub.fetched(source)
    elif RunFolder(path).checkpoints.is_dir() or not interop.recognised(path):
        return path
    return in_cache(interop.read(path), source)


def lasting(path: Path) -> str:
    """What finds the same model from any folder, and of the hub at any time: a whole path, or a name, with its commit there.

    Raises:
        Failure: as `interop.hub.fetched`.
    """
    if shipped.is_name(path):
        return str(path)
    return hub.fetched(str(path))[0] if hub.is_name(path) else str(path.absolute())


def in_cache(foreign: Foreign, source: str) -> Path:
    """The run of a model, written if it is not there yet: the same weights, read in the same way, are the same run.

    Raises:
        CannotCreate: the cache cannot be written to.
    """
    weights = checkpoints.digest([*foreign.raw.values(), *foreign.ema.values()])
    text = b"".join([to_json(foreign.experiment).encode(), *foreign.beside.values()])
    about = checkpoints.digest([torch.frombuffer(bytearray(text), dtype=torch.uint8)])
    folder = cache_folder("imported") / f"{weights[:20]}{about[:12]}"
    if not RunFolder(folder).begun():
        beside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
        try:
            write(foreign, source, RunFolder(beside))
        except CannotCreate as error:
            raise CannotCreate(str(error), "the environment variable DDPM_CACHE names another folder") from error
        try:
            beside.rename(folder)
        except OSError:
            shutil.rmtree(beside)
            if not RunFolder(folder).begun():  # otherwise another process was faster
                raise
    for name, data in foreign.beside.items():
        if not (folder / name).exists():
            write_bytes(folder / name, data)
    return folder


def import_run(source: Path, folder: RunFolder, told: Told = interop.Told()) -> Foreign:  # noqa: B008
    """Read a model of any format and write it as a run.

    Raises:
        CannotCreate: the folder holds something.
        Failure: as `interop.read`.
        StorageError: the disk is full or fails.
    """
    where, there = hub.fetched(str(source)) if hub.is_name(source) else (lasting(source), source)
    foreign = shipped.read(where) if shipped.is_name(source) else interop.read(there, told)
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise CannotCreate(f"{str(folder.path)!r} is not empty", "give another folder")
    write(foreign, where, folder)
    return foreign


def write(foreign: Foreign, source: str, folder: RunFolder) -> None:
    """The run of a model in a folder that is new or empty; its checkpoint is written last but for origin.json."""
    folder.create()
    folder.write_experiment(foreign.experiment)
    for name, data in foreign.beside.items():
        write_bytes(folder.path / name, data)
    numbers = {"step": foreign.step, "adam_step": 0.0, "scaler": {}, "skipped": 0, "in_a_row": 0}
    numbers |= {"ledger": {}, "images": "", KEY: binding(foreign.experiment, foreign.step)}
    content = Checkpoint({"model": foreign.raw, "ema": foreign.ema, "optimizer": {}}, numbers)
    checkpoints.write(folder.checkpoints, foreign.step, content)
    told = {"format": foreign.format, "source": source, "found": dict(foreign.facts)}
    write_text(folder.origin, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
