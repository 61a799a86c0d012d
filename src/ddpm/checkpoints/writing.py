"""Checkpoints: a folder of safetensors and JSON that is either complete and unharmed, or not there.

Written beside, flushed to the disk, read back, then renamed; a manifest holds the SHA-256 of all, and all is checked on
reading. What is damaged is set aside under another name, never used and never deleted.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ddpm.checkpoints import manifest as manifests
from ddpm.checkpoints.manifest import ENDING, STATE, Facts, Manifest, Watched
from ddpm.checkpoints.reading import Checkpoint, damage, folder_name, not_finite
from ddpm.errors import Diverged, StorageError
from ddpm.storage import durable
from ddpm.version import VERSION


def write(checkpoints: Path, step: int, content: Checkpoint) -> Path:
    """Write a checkpoint; once this returns it is whole, on the disk, and was read back.

    A whole one of the same step stays as it is; a damaged one is set aside.

    Raises:
        StorageError: the disk is full or fails. Nothing half-written stays; older checkpoints are untouched.
        Diverged: a number is not finite; nothing is written.
    """
    require_finite(content, step)
    target = checkpoints / folder_name(step)
    temporary = checkpoints / f".tmp-{folder_name(step)}-{os.getpid()}"
    try:
        if target.exists():
            if not damage(target):
                durable.sync_folder(checkpoints)  # whoever wrote it may have failed just here
                return target
            _set_aside(target)
        if temporary.exists():
            durable.remove(temporary)
        durable.make_folder(temporary)
        _write_files(temporary, step, content)
        durable.sync_folder(temporary)
        if reason := damage(temporary):
            raise OSError(f"it was written, and read back otherwise: {reason}")
        durable.rename(temporary, target)
        durable.sync_folder(checkpoints)
    except OSError as error:
        durable.discard(temporary)
        raise StorageError(f"cannot write a checkpoint: {target}: {error.strerror or error}") from error
    except BaseException:
        durable.discard(temporary)
        raise
    return target


def require_finite(content: Checkpoint, step: int) -> None:
    """No checkpoint holds what nobody can go on from.

    Raises:
        Diverged: a tensor holds NaN or infinity, or a number is one of these.
    """
    hint = "begin anew with a smaller `lr`, or with `precision=fp32` if it was another, in another `output_dir`"
    for group, named in content.tensors.items():
        if odd := not_finite(named):
            raise Diverged(f"the weights are no longer finite at step {step}: {group}: {odd[0]}", hint)
    try:
        manifests.to_json(content.numbers)
    except ValueError as error:
        raise Diverged(f"the numbers of the run are no longer finite at step {step}: {error}", hint) from error


def _write_files(folder: Path, step: int, content: Checkpoint) -> None:
    """One file after the other, the manifest last."""
    files: dict[str, Facts] = {}
    tensors: dict[str, Mapping[str, str]] = {}
    for group, named in content.tensors.items():
        watched = Watched(named)
        durable.write(folder / f"{group}{ENDING}", watched)
        files[f"{group}{ENDING}"], tensors[group] = watched.facts, watched.digests
    numbers = manifests.to_json(content.numbers)
    durable.write(folder / STATE, [numbers])
    files[STATE] = Facts(len(numbers), hashlib.sha256(numbers).hexdigest())
    made_by = {"ddpm": VERSION, "torch": torch.__version__, "threads": torch.get_num_threads()}
    durable.write(folder / manifests.NAME, [Manifest(step, files, tensors, made_by).text()])


def tidy(checkpoints: Path, damaged: Sequence[Path]) -> None:
    """Before a run goes on: rename damaged checkpoints to .bad-*, and remove what an interrupted save or removal left."""
    for folder in damaged:
        _set_aside(folder)
    for pattern in (".tmp-*", ".trash-*"):
        for rest in checkpoints.glob(pattern):
            durable.discard(rest)


def _set_aside(folder: Path) -> None:
    aside = folder.with_name(f".bad-{folder.name}")
    while aside.exists():
        aside = aside.with_name(aside.name + "~")
    durable.rename(folder, aside)
