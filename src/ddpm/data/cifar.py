"""CIFAR-10 in its binary version: data_batch_1..5.bin and test_batch.bin, or one such file."""

from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.splits import Options, hold_out
from ddpm.errors import DataError

RECORD = 1 + 3 * 32 * 32


def matches(path: Path) -> bool:
    """A .bin file, or a folder with batches of CIFAR."""
    return (
        path.suffix == ".bin" if path.is_file() else bool(_batches(path, "data_batch") or _batches(path, "test_batch"))
    )


def _batches(folder: Path, prefix: str) -> list[Path]:
    return sorted(folder.glob(f"{prefix}*.bin"))


def read(path: Path, split: str, options: Options) -> ImageSet:
    """One split; where there is no test batch, by the common rule."""
    train, test = ([path], []) if path.is_file() else (_batches(path, "data_batch"), _batches(path, "test_batch"))
    if split != "all" and train and test:
        return _load(path.name, train if split == "train" else test)
    whole = _load(path.name, [*train, *test])
    return hold_out(whole, [str(i) for i in range(len(whole))], split, options.held_out)


def _load(name: str, files: list[Path]) -> ImageSet:
    records = []
    for file in files:
        data = np.fromfile(file, dtype=np.uint8)
        if not len(data) or len(data) % RECORD:
            raise DataError(f"{str(file)!r} is not whole: {len(data)} bytes are no multiple of {RECORD}")
        records.append(data.reshape(-1, RECORD))
    rows = np.concatenate(records)
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy())
    return ImageSet(name, images, 256, torch.from_numpy(rows[:, 0].astype(np.int64)))
