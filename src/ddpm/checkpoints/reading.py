"""A checkpoint read back: every byte is checked, and its headers are shown to whoever may refuse it before a tensor is read."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm.checkpoints import manifest as manifests
from ddpm.checkpoints.manifest import ENDING, OTHERWISE, STATE, Manifest
from ddpm.errors import SHOWN, DataError, Mismatch
from ddpm.storage import plain, strict, tensorfile
from ddpm.storage.tensorfile import Layout

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


class Damaged(DataError):
    """A checkpoint is not what was written. `place` is its file, or its folder, `reason` what is wrong with that."""

    def __init__(self, place: Path, reason: str) -> None:
        super().__init__(f"damaged checkpoint: {place}: {reason}")
        self.place, self.reason = place, reason


Layouts = Mapping[str, Layout]
"""Groups of tensors as the headers of their files describe them."""


@dataclass(frozen=True)
class Headers:
    """What is known of the checkpoint in `folder` before a tensor is read: how the tensors lie, and the numbers."""

    folder: Path
    layouts: Layouts
    numbers: Mapping[str, Any]


Accept = Callable[[Headers], None]
"""Is shown the headers of a checkpoint, and raises if it is not to be read."""


def anything(_headers: Headers) -> None:
    """Any checkpoint is welcome."""


def step_of(folder: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(folder.name.removeprefix("step-"))


def folder_name(step: int) -> str:
    """step-000012000."""
    return f"step-{step:09d}"


def read(folder: Path, accept: Accept = anything) -> Checkpoint:
    """Read a checkpoint, checking every byte. `accept` is shown the headers before any tensor is read, and may raise.

    Raises:
        Damaged: it is incomplete, damaged or hostile; the reason names the tensor where it can.
        Mismatch: it was written by a later version.
    """
    manifest = _manifest(folder)
    layouts = {
        name.removesuffix(ENDING): _layout(folder / name, manifest) for name in manifest.files if name.endswith(ENDING)
    }
    numbers = _numbers_in(folder, manifest)
    try:
        accept(Headers(folder, layouts, numbers))
    except Mismatch:
        _require_digests(folder, manifest)  # a damaged header must not look like another network
        raise
    tensors: dict[str, Mapping[str, Tensor]] = {}
    for name in manifest.files:
        if name.endswith(ENDING):
            _, tensors[name.removesuffix(ENDING)] = tensorfile.tensors_in(_content(folder / name, manifest))
    for group, named in tensors.items():
        if odd := not_finite(named):
            raise Damaged(folder / f"{group}{ENDING}", f"{_first(odd)} is not finite")
    return Checkpoint(tensors, numbers)


def numbers_of(folder: Path) -> Mapping[str, Any]:
    """The numbers of a checkpoint alone, which cost little to read.

    Raises:
        Damaged, Mismatch: as `read`.
    """
    return _numbers_in(folder, _manifest(folder))


def found(checkpoints: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first; they may still be damaged."""
    named = (path for path in checkpoints.glob("step-*") if NAMED.fullmatch(path.name) and path.is_dir())
    return sorted(named, key=step_of)


def newest(checkpoints: Path, accept: Accept = anything) -> tuple[Checkpoint | None, list[tuple[Path, str]]]:
    """The newest checkpoint that is whole, and each newer one with why it was passed over."""
    damaged = []
    for folder in reversed(found(checkpoints)):
        try:
            return read(folder, accept), damaged
        except Damaged as error:
            damaged.append((folder, str(error)))
    return None, damaged


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = manifests.read_manifest(folder)
    except manifests.Newer as error:
        raise Mismatch(f"{error}: {str(folder)!r}") from error
    except OSError as error:
        raise Damaged(folder / manifests.NAME, plain.why(error)) from error
    except ValueError as error:
        raise Damaged(folder / manifests.NAME, str(error)) from error
    if NAMED.fullmatch(folder.name) and step_of(folder) != manifest.step:
        raise Damaged(folder / manifests.NAME, f"it is that of step {manifest.step}")
    return manifest


def _layout(path: Path, manifest: Manifest) -> Layout:
    """What the header of a file says, once its size is right."""
    try:
        with plain.opened(path) as file:
            _require_size(path, file.size, manifest)
        return tensorfile.layout_of(path)
    except OSError as error:
        raise Damaged(path, plain.why(error)) from error
    except ValueError as error:
        raise Damaged(path, str(error)) from error


def _require_size(path: Path, size: int, manifest: Manifest) -> None:
    written = manifest.files[path.name].bytes
    if size != written:
        raise Damaged(path, f"it has {size:,} bytes; {written:,} were written")


def _content(path: Path, manifest: Manifest) -> bytearray:
    """A file, if it is what was written."""
    facts, digests = manifest.files[path.name], manifest.tensors.get(path.name.removesuffix(ENDING))
    try:
        with plain.opened(path) as file:
            _require_size(path, file.size, manifest)
        data = plain.contents(path, facts.bytes)
    except OSError as error:
        raise Damaged(path, plain.why(error)) from error
    whole = len(data) == facts.bytes and hashlib.sha256(data).hexdigest() == facts.sha256
    odd: list[str] = []
    if digests is not None:
        with suppress(ValueError):
            odd = manifests.odd_tensors(data, digests)
    if odd or not whole:
        raise Damaged(path, f"it is {OTHERWISE}{f': {_first(odd)}' if odd else ''}")
    return data


def _first(names: Sequence[str]) -> str:
    """One of some tensors, whose names anybody may have written, and how many more there are."""
    return f"{names[0][:SHOWN]!r}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def _numbers_in(folder: Path, manifest: Manifest) -> Mapping[str, Any]:
    if STATE not in manifest.files:
        return {}
    path = folder / STATE
    data = _content(path, manifest)
    try:
        numbers = strict.parse(data)
    except ValueError as error:
        raise Damaged(path, str(error)) from error
    if not isinstance(numbers, dict):
        raise Damaged(path, "it is no object")
    return numbers


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint, or "": every byte is read from the disk, none is kept.

    Raises:
        Mismatch: it was written by a later version.
    """
    try:
        _require_digests(folder, _manifest(folder))
    except Damaged as error:
        return str(error)
    return ""


def _require_digests(folder: Path, manifest: Manifest) -> None:
    """The files are what was written."""
    for name, facts in manifest.files.items():
        path = folder / name
        try:
            size, sha256 = plain.digest(path)
        except OSError as error:
            raise Damaged(path, plain.why(error)) from error
        _require_size(path, size, manifest)
        if sha256 != facts.sha256:
            raise Damaged(path, f"it is {OTHERWISE}")


def not_finite(named: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that hold NaN or infinity. A sum that is finite has only finite terms: one pass, no copy."""
    sums = [tensor.detach().sum().float() for tensor in named.values()]
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in named.items() if not bool(tensor.isfinite().all())]
