"""Checkpoints: a folder of safetensors and JSON that is either complete and unharmed, or not there.

Written beside, flushed to the disk, read back, then renamed; a manifest holds the SHA-256 of all, and all is checked on
reading. What is damaged is set aside under another name, never used and never deleted.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm import __version__
from ddpm.errors import DataError, Diverged, Mismatch, StorageError
from ddpm.storage import durable, plain, strict, tensorfile
from ddpm.storage.tensorfile import Layout
from ddpm.training import manifest as manifests
from ddpm.training.manifest import ENDING, STATE, Facts, Manifest, Watched
from ddpm.training.trainer import State

MANIFEST = manifests.NAME
NAMED = re.compile(r"step-\d{9,15}")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: named tensors in groups ("model", "ema", "optimizer"), and a few numbers."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    numbers: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(
            tensor.numel() * tensor.element_size() for named in self.tensors.values() for tensor in named.values()
        )


Layouts = Mapping[str, Layout]
"""Groups of tensors as the headers of their files describe them."""


def anything(_layouts: Layouts) -> None:
    """Any tensors are welcome."""


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
        if odd := _not_finite(named):
            raise Diverged(f"the weights are no longer finite at step {step}: {group}: {odd[0]}", hint)
    try:
        manifests.to_json(content.numbers)
    except ValueError as error:
        raise Diverged(f"the numbers of the run are no longer finite at step {step}: {error}", hint) from error


def _not_finite(named: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that hold NaN or infinity. A sum that is finite has only finite terms: one pass, no copy."""
    sums = [tensor.detach().sum().float() for tensor in named.values()]
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in named.items() if not bool(tensor.isfinite().all())]


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


def read(folder: Path, accept: Callable[[Layouts], None] = anything) -> Checkpoint:
    """Read a checkpoint, checking every byte. `accept` is shown the headers before any tensor is read, and may raise.

    Raises:
        DataError: it is incomplete, damaged or hostile; the message names the file, and the tensor where it can.
        Mismatch: it was written by a later version.
    """
    manifest = _manifest(folder)
    layouts = {name.removesuffix(ENDING): _layout(folder / name, manifest) for name in manifest.files if ENDING in name}
    try:
        accept(layouts)
    except Mismatch:
        if reason := damage(folder):  # a damaged header must not look like another network
            raise DataError(reason) from None
        raise
    tensors: dict[str, Mapping[str, Tensor]] = {}
    numbers: Mapping[str, Any] = {}
    for name in manifest.files:
        data = _content(folder / name, manifest)
        if name == STATE:
            numbers = _numbers(folder / name, data)
        elif name.endswith(ENDING):
            _, tensors[name.removesuffix(ENDING)] = tensorfile.tensors_in(data)
    for group, named in tensors.items():
        if odd := _not_finite(named):
            raise DataError(f"damaged checkpoint: {folder / group}{ENDING}: {odd[0]} is not finite")
    return Checkpoint(tensors, numbers)


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = manifests.read_manifest(folder)
    except manifests.Newer as error:
        raise Mismatch(f"{folder}: {error}") from error
    except manifests.Unreadable as error:
        raise DataError(f"incomplete checkpoint: {folder}: {error}") from error
    except ValueError as error:
        raise DataError(f"damaged checkpoint: {folder}: {error}") from error
    if NAMED.fullmatch(folder.name) and step_of(folder) != manifest.step:
        raise DataError(f"damaged checkpoint: {folder}: it is that of step {manifest.step}")
    return manifest


def _layout(path: Path, manifest: Manifest) -> Layout:
    """What the header of a file says, once its size is right."""
    try:
        with plain.opened(path) as file:
            size = file.size
        if size != manifest.files[path.name].bytes:
            raise DataError(f"damaged checkpoint: {path} is not what was written: {size:,} bytes")
        return tensorfile.layout_of(path)
    except OSError as error:
        raise DataError(f"incomplete checkpoint: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"damaged checkpoint: {path}: {error}") from error


def _content(path: Path, manifest: Manifest) -> bytearray:
    """A file, if it is what was written."""
    facts, digests = manifest.files[path.name], manifest.tensors.get(path.name.removesuffix(ENDING))
    try:
        data = plain.contents(path, facts.bytes)
    except OSError as error:
        raise DataError(f"incomplete checkpoint: {path} cannot be read: {error.strerror}") from error
    whole = len(data) == facts.bytes and hashlib.sha256(data).hexdigest() == facts.sha256
    odd: list[str] = []
    if digests is not None:
        with suppress(ValueError):
            odd = manifests.odd_tensors(data, digests)
    if odd or not whole:
        more = f" and {len(odd) - 1} more tensors" if len(odd) > 1 else ""
        raise DataError(f"damaged checkpoint: {path} is not what was written{f': {odd[0]}{more}' if odd else ''}")
    return data


def _numbers(path: Path, data: bytearray) -> Mapping[str, Any]:
    try:
        numbers = strict.parse(data)
    except ValueError as error:
        raise DataError(f"damaged checkpoint: {path}: {error}") from error
    if not isinstance(numbers, dict):
        raise DataError(f"damaged checkpoint: {path} is no object")
    return numbers


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint, or "": every byte is read from the disk, none is kept.

    Raises:
        Mismatch: it was written by a later version.
    """
    try:
        manifest = _manifest(folder)
        for name, facts in manifest.files.items():
            if plain.digest(folder / name) != (facts.bytes, facts.sha256):
                return f"damaged checkpoint: {folder / name} is not what was written"
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"incomplete checkpoint: {error.filename or folder} cannot be read: {error.strerror}"
    return ""


def step_of(folder: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(folder.name.removeprefix("step-"))


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
        except DataError as error:
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
