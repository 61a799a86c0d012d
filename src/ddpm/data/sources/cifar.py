"""CIFAR-10 in its binary version: data_batch_1..5.bin and test_batch.bin, or one such file."""

from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import labels_of
from ddpm.data.splits import Options
from ddpm.errors import DataError

PREFIXES = {"train": "data_batch", "test": "test_batch"}
NAMES = "batches.meta.txt"
RECORD = 1 + 3 * 32 * 32


def _batches(folder: Path, prefix: str) -> list[Path]:
    return sorted(folder.glob(f"{prefix}*.bin"))


def has_split(path: Path) -> bool:
    """Whether there are both data batches and a test batch."""
    return path.is_dir() and all(_batches(path, prefix) for prefix in PREFIXES.values())


def read(path: Path, part: str, _options: Options) -> ImageSet:
    """A part of the folder, or the one file."""
    if path.is_file():
        return _load(path.name, [path])
    prefixes = PREFIXES.values() if part == "all" else [PREFIXES[part]]
    return _load(path.name, [file for prefix in prefixes for file in _batches(path, prefix)])


def _load(name: str, files: list[Path]) -> ImageSet:
    records = []
    for file in files:
        data = np.fromfile(file, dtype=np.uint8)
        if not len(data) or len(data) % RECORD:
            raise DataError(f"{str(file)!r} is not whole: {len(data)} bytes are no multiple of {RECORD}")
        records.append(data.reshape(-1, RECORD))
    rows = np.concatenate(records)
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy())
    labels, classes = labels_of(name, rows[:, 0], len(rows), _names(files[0].parent))
    return ImageSet(name, images, 256, labels, classes=classes)


def _names(folder: Path) -> tuple[str, ...]:
    """The names of the classes; () without the file that holds them."""
    file = folder / NAMES
    return tuple(file.read_text(encoding="utf-8", errors="surrogateescape").split()) if file.is_file() else ()
