"""What a checkpoint must hold, to the bit: a list of its files and tensors with their SHA-256, which seals itself.

Version 1 had no digests of tensors; it is still read.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ddpm.errors import SHOWN
from ddpm.storage import plain, strict
from ddpm.storage.tensorfile import NAMES, tensor_digest, tensors_in, written

NAME = "manifest.json"
STATE = "state.json"
ENDING = ".safetensors"
OTHERWISE = "not what was written"
VERSION = 2
FILES = 64
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
"""Names of files: nothing that leads out of the folder, nothing hidden."""
DIGEST = re.compile(r"[0-9a-f]{64}")


class Newer(ValueError):
    """A later version wrote it."""


@dataclass(frozen=True)
class Facts:
    """A file's length in bytes and its SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The step, the files by name, the SHA-256 of tensors by group and name (none in version 1), and what made it."""

    step: int
    files: Mapping[str, Facts]
    tensors: Mapping[str, Mapping[str, str]]
    made_by: Mapping[str, Any]
    version: int = VERSION

    def text(self) -> bytes:
        """The file: JSON with its own digest at the end, so that no byte of a checkpoint is unguarded."""
        values = {"version": self.version, "step": self.step, "made_by": dict(self.made_by)}
        files = {name: asdict(facts) for name, facts in self.files.items()}
        return sealed({**values, "files": files, "tensors": self.tensors})


def sealed(values: Mapping[str, Any]) -> bytes:
    """JSON that ends with the SHA-256 of the rest."""
    return to_json({**values, "seal": hashlib.sha256(to_json(values)).hexdigest()})


def to_json(value: object) -> bytes:
    """JSON as checkpoints hold it.

    Raises:
        ValueError: a number that is none.
    """
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        OSError: there is none, or it cannot be read.
        Newer: a later version wrote it.
        ValueError: its seal is broken, or it is none that this version can trust: of an unknown version, with odd names.
    """
    data = plain.contents(folder / NAME, strict.BYTES)
    values = strict.parse(data)
    if not isinstance(values, dict):
        raise ValueError("it is no object")
    rest = {name: value for name, value in values.items() if name != "seal"}
    if sealed(rest) != data:
        raise ValueError(f"it is {OTHERWISE}: its seal is broken")
    version = rest.get("version")
    if type(version) is int and version > VERSION:
        raise Newer(f"written by a later version of ddpm, as version {version} of a checkpoint")
    if version not in (1, VERSION):
        raise ValueError(f"it is of an unknown version {str(version)[:SHOWN]!r}")
    return _manifest(rest)


def _manifest(values: Mapping[str, Any]) -> Manifest:
    step, files, tensors = values.get("step"), values.get("files"), values.get("tensors", {})
    if type(step) is not int or not isinstance(files, dict) or not isinstance(tensors, dict) or len(files) > FILES:
        raise ValueError("it lacks step, files or tensors")
    for name in files:
        if not PLAIN.fullmatch(name) or name == NAME:
            raise ValueError(f"it names a file outside itself: {name[:SHOWN]!r}")
        if name != STATE and not name.endswith(ENDING):
            raise ValueError(f"it names a file that no checkpoint has: {name[:SHOWN]!r}")
    if any(not isinstance(f, dict) or f.keys() != {"bytes", "sha256"} or not _is_facts(f) for f in files.values()):
        raise ValueError("it names a file without its bytes and sha256")
    if STATE in files and files[STATE]["bytes"] > strict.BYTES:
        raise ValueError(f"it names a {STATE} of {files[STATE]['bytes']:,} bytes")
    groups = {name.removesuffix(ENDING) for name in files if name.endswith(ENDING)}
    if values["version"] > 1 and (tensors.keys() != groups or STATE not in files):
        raise ValueError("its groups of tensors are not its files")
    if any(not isinstance(named, dict) or not all(map(_is_digest, named.values())) for named in tensors.values()):
        raise ValueError("it names a tensor without its sha256")
    made_by = values.get("made_by", {})
    listed = {name: Facts(found["bytes"], found["sha256"]) for name, found in files.items()}
    return Manifest(step, listed, tensors, made_by if isinstance(made_by, dict) else {}, values["version"])


def _is_facts(found: Mapping[str, Any]) -> bool:
    return type(found["bytes"]) is int and found["bytes"] >= 0 and _is_digest(found["sha256"])


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def odd_tensors(data: bytearray, digests: Mapping[str, str]) -> list[str]:
    """The tensors in a file's bytes that are not what the manifest says, or are only in one of both.

    Raises:
        ValueError: the header is not sound.
    """
    layout, _ = tensors_in(data)
    view = memoryview(data)
    found = {
        name: tensor_digest(name, entry.dtype, entry.shape, view[entry.begin : entry.end])
        for name, entry in layout.items()
    }
    return sorted(name for name in {**found, **digests} if found.get(name) != digests.get(name))


class Watched:
    """The pieces of a file of tensors; once they were taken, their length and digests."""

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self._named, self._whole, self._length = named, hashlib.sha256(), 0
        self.digests: dict[str, str] = {}

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """The pieces in their order; to be taken once."""
        for name, piece in written(self._named):
            self._whole.update(piece)
            self._length += len(piece)
            if name:
                tensor = self._named[name]
                self.digests[name] = tensor_digest(name, NAMES[tensor.dtype], tuple(tensor.shape), piece)
            yield piece

    @property
    def facts(self) -> Facts:
        """Of the whole file."""
        return Facts(self._length, self._whole.hexdigest())
