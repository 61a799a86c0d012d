"""Checkpoints: a folder of safetensors and JSON that is either complete and unharmed, or not there.

Written beside, flushed to the disk, then renamed; the manifest holds the SHA-256 of every file and seals itself, and all is
checked on reading. What is damaged is set aside under another name, never used and never deleted.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ddpm.errors import DataError, Mismatch, StorageError
from ddpm.training.trainer import State

VERSION = 1
KEPT = 3
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: named tensors in groups ("model", "ema", "optimizer"), and a few numbers."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    numbers: Mapping[str, Any]


def folder_name(step: int) -> str:
    """step-000012000."""
    return f"step-{step:09d}"


def write(checkpoints: Path, step: int, content: Checkpoint) -> Path:
    """Write a checkpoint and, once it is safely there, drop all but the three newest up to it.

    Raises:
        StorageError: the disk is full or fails. Nothing half-written stays; older checkpoints are untouched.
    """
    target = checkpoints / folder_name(step)
    temporary = checkpoints / f".tmp-{folder_name(step)}-{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        _write_files(temporary, step, content)
        _sync_folder(temporary)
        temporary.rename(target)
        _sync_folder(checkpoints)
        _retire(checkpoints, step)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(f"cannot write a checkpoint: {target}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _write_files(folder: Path, step: int, content: Checkpoint) -> None:
    """One file after the other, so that only one group of tensors is in memory twice; the manifest last."""
    listed = {}
    names = [*(f"{name}.safetensors" for name in content.tensors), "state.json"]
    for name in names:
        group = content.tensors.get(name.removesuffix(".safetensors"))
        data = _json(content.numbers) if group is None else safetensors.torch.save(dict(group))
        listed[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        _write_durably(folder / name, data)
    _write_durably(folder / MANIFEST, _sealed({"version": VERSION, "step": step, "files": listed}))


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint, checking every byte.

    Raises:
        DataError: it is incomplete or damaged.
    """
    tensors: dict[str, Mapping[str, Tensor]] = {}
    numbers: Mapping[str, Any] = {}
    for name, data in _verified(folder):
        try:
            if name.endswith(".safetensors"):
                tensors[name.removesuffix(".safetensors")] = safetensors.torch.load(data)
            else:
                numbers = json.loads(data)
        except (safetensors.SafetensorError, ValueError) as error:
            raise DataError(f"damaged checkpoint: {folder / name}: {error}") from error
    return Checkpoint(tensors, numbers)


def _verified(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        manifest = _unsealed((folder / MANIFEST).read_bytes())
        files = {str(name): (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"incomplete checkpoint, no valid manifest: {folder}") from error
    if manifest.get("version") != VERSION:
        raise DataError(f"checkpoint of an unknown version {manifest.get('version')!r}: {folder}")
    for name, (size, digest) in files.items():
        if Path(name).name != name:
            raise DataError(f"checkpoint names a file outside itself: {folder}: {name!r}")
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"incomplete checkpoint: {folder / name} cannot be read: {error.strerror}") from error
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"damaged checkpoint: {folder / name} is not what was written")
        yield name, data


def found(checkpoints: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first; they may still be damaged."""
    return sorted(path for path in checkpoints.glob("step-*") if path.is_dir())


def newest(checkpoints: Path) -> tuple[Checkpoint | None, list[tuple[Path, str]]]:
    """The newest checkpoint that is whole, and each newer one with why it was passed over."""
    damaged = []
    for folder in reversed(found(checkpoints)):
        try:
            return read(folder), damaged
        except DataError as error:
            damaged.append((folder, str(error)))
    return None, damaged


def tidy(checkpoints: Path, damaged: Sequence[Path]) -> None:
    """Before a run goes on: rename damaged checkpoints to .bad-*, and remove what an interrupted save or removal left."""
    for folder in damaged:
        aside = checkpoints / f".bad-{folder.name}"
        while aside.exists():
            aside = aside.with_name(aside.name + "~")
        folder.rename(aside)
    for pattern in (".tmp-*", ".trash-*"):
        for rest in checkpoints.glob(pattern):
            shutil.rmtree(rest, ignore_errors=True)


def pack(state: State) -> Checkpoint:
    """The state of training as a checkpoint's content."""
    moments = {
        f"{moment}.{name}": state.optimizer.state[parameter][moment]
        for name, parameter in state.network.named_parameters()
        for moment in ("exp_avg", "exp_avg_sq")
        if parameter in state.optimizer.state
    }
    model = {name: parameter.detach() for name, parameter in state.network.named_parameters()}
    counts = {float(held["step"]) for held in state.optimizer.state.values()}
    numbers = {"step": state.step, "adam_step": max(counts, default=0.0), "scaler": state.scaler.state_dict()}
    return Checkpoint({"model": model, "ema": state.ema, "optimizer": moments}, numbers)


def unpack(content: Checkpoint, state: State) -> None:
    """Put a checkpoint's content into the state of a network of the same shape.

    Raises:
        Mismatch: its tensors are not this network's.
    """
    load_weights(state.network, content.tensors["model"])
    for name, tensor in content.tensors["ema"].items():
        state.ema[name].copy_(tensor)
    moments = content.tensors["optimizer"]
    for name, parameter in state.network.named_parameters():
        if f"exp_avg.{name}" in moments:
            state.optimizer.state[parameter] = {
                "step": torch.tensor(content.numbers["adam_step"], device=parameter.device),
                **{moment: moments[f"{moment}.{name}"].to(parameter.device) for moment in ("exp_avg", "exp_avg_sq")},
            }
    state.scaler.load_state_dict(content.numbers["scaler"])
    state.step = int(content.numbers["step"])


@torch.no_grad()
def load_weights(network: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a network.

    Raises:
        Mismatch: names or shapes differ.
    """
    parameters = dict(network.named_parameters())
    odd = sorted(parameters.keys() ^ weights.keys()) or sorted(
        n for n in parameters if parameters[n].shape != weights[n].shape
    )
    if odd:
        raise Mismatch(f"the checkpoint's weights do not fit the network: {odd[0]} and {len(odd) - 1} more differ")
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    """A manifest with its own digest, so that no byte of a checkpoint is unguarded."""
    return _json({**manifest, "seal": hashlib.sha256(_json(manifest)).hexdigest()})


def _unsealed(data: bytes) -> dict[str, Any]:
    """The manifest, if it is to the byte what was written.

    Raises:
        ValueError: it is not.
    """
    manifest = json.loads(data)
    content = {name: value for name, value in manifest.items() if name != "seal"}
    if _sealed(content) != data:
        raise ValueError("the seal is broken")
    return content


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _retire(checkpoints: Path, step: int) -> None:
    """Remove the oldest checkpoints up to `step`, each renamed first: a half-removed one is never taken for one."""
    earlier = [folder for folder in found(checkpoints) if folder.name <= folder_name(step)]
    for folder in earlier[:-KEPT]:
        trash = checkpoints / f".trash-{folder.name}"
        shutil.rmtree(trash, ignore_errors=True)
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
