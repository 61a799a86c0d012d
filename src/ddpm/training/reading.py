"""A checkpoint read back: every byte is checked, and its headers are shown to whoever may refuse it before a tensor is read."""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm.errors import DataError, Mismatch
from ddpm.storage import plain, strict, tensorfile
from ddpm.storage.tensorfile import Layout
from ddpm.training import manifest as manifests
from ddpm.training.manifest import ENDING, STATE, Manifest

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


def step_of(folder: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(folder.name.removeprefix("step-"))


def read(folder: Path, accept: Callable[[Layouts], None] = anything) -> Checkpoint:
    """Read a checkpoint, checking every byte. `accept` is shown the headers before any tensor is read, and may raise.

    Raises:
        DataError: it is incomplete, damaged or hostile; the message names the file, and the tensor where it can.
        Mismatch: it was written by a later version.
    """
    manifest = _manifest(folder)
    layouts = {
        name.removesuffix(ENDING): _layout(folder / name, manifest) for name in manifest.files if name.endswith(ENDING)
    }
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
        if odd := not_finite(named):
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


def not_finite(named: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that hold NaN or infinity. A sum that is finite has only finite terms: one pass, no copy."""
    sums = [tensor.detach().sum().float() for tensor in named.values()]
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in named.items() if not bool(tensor.isfinite().all())]
