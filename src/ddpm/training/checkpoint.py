"""Checkpoints: a folder of safetensors and JSON that is either complete and unharmed, or not there.

Written beside, flushed to the disk, read back, then renamed; a manifest holds the SHA-256 of all, and all is checked on
reading. What is damaged is set aside under another name, never used and never deleted.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ddpm import __version__
from ddpm.distributed import meant_for
from ddpm.errors import Diverged, Mismatch, StorageError
from ddpm.storage import durable
from ddpm.training import manifest as manifests
from ddpm.training.manifest import ENDING, STATE, Facts, Manifest, Watched
from ddpm.training.reading import NAMED, Checkpoint, Damaged, Layouts, anything, damage, not_finite, read, step_of
from ddpm.training.trainer import State

MANIFEST = manifests.NAME


def folder_name(step: int) -> str:
    """step-000012000."""
    return f"step-{step:09d}"


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
    hint = "a smaller --lr, or --precision fp32"
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
    made_by = {"ddpm": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    durable.write(folder / MANIFEST, [Manifest(step, files, tensors, made_by).text()])


def found(checkpoints: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first; they may still be damaged."""
    named = (path for path in checkpoints.glob("step-*") if NAMED.fullmatch(path.name) and path.is_dir())
    return sorted(named, key=step_of)


def newest(
    checkpoints: Path, accept: Callable[[Layouts], None] = anything
) -> tuple[Checkpoint | None, list[tuple[Path, str]]]:
    """The newest checkpoint that is whole, and each newer one with why it was passed over."""
    damaged = []
    for folder in reversed(found(checkpoints)):
        try:
            return read(folder, accept), damaged
        except Damaged as error:
            damaged.append((folder, str(error)))
    return None, damaged


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


def pack(state: State) -> Checkpoint:
    """The state of training as a checkpoint's content; in shards, where the network is."""
    moments = {
        f"{moment}.{name}": state.optimizer.state[parameter][moment]
        for name, parameter in state.network.named_parameters()
        for moment in ("exp_avg", "exp_avg_sq")
        if parameter in state.optimizer.state
    }
    model = {name: parameter.detach() for name, parameter in state.network.named_parameters()}
    counts = {float(held["step"]) for held in state.optimizer.state.values()}
    numbers = {"step": state.step, "adam_step": max(counts, default=0.0), "scaler": state.scaler.state_dict()}
    numbers |= {"skipped": state.skipped, "in_a_row": state.in_a_row}
    return Checkpoint({"model": model, **state.averages, "optimizer": moments}, numbers)


def unpack(content: Checkpoint, state: State) -> None:
    """Put a checkpoint's content into the state of a network of the same shape, or this process' part of it.

    Raises:
        Mismatch: its tensors are not this network's.
    """
    load_weights(state.network, content.tensors["model"])
    for average, weights in state.averages.items():
        for name, tensor in content.tensors[average].items():
            weights[name].copy_(meant_for(weights[name], tensor))
    moments = content.tensors["optimizer"]
    for name, parameter in state.network.named_parameters():
        if f"exp_avg.{name}" in moments:
            state.optimizer.state[parameter] = {
                "step": torch.tensor(content.numbers["adam_step"], device=parameter.device),
                **{moment: meant_for(parameter, moments[f"{moment}.{name}"]) for moment in ("exp_avg", "exp_avg_sq")},
            }
    state.scaler.load_state_dict(content.numbers["scaler"])
    state.step = int(content.numbers["step"])
    state.skipped, state.in_a_row = (int(content.numbers.get(name, 0)) for name in ("skipped", "in_a_row"))


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
        parameter.copy_(meant_for(parameter, weights[name]))
