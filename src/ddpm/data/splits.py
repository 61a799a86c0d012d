"""The options that every kind of source shares, and the rule that holds images out where a source has no test set."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError
from ddpm.seeds import key

SPLITS = ("train", "test", "all")
TESTS = ("test", "val", "valid", "validation")
"""What a folder or a file of the test split may be called; the first that is there is it."""
AUTOMATIC = -1


@dataclass(frozen=True)
class Options:
    """How to read a source.

    `resolution` (height, width) scales and crops, () keeps the size; `channels` 1 or 3 converts, 0 keeps (a folder is
    grey where all its images are); `levels` 0 takes what the storage says (256, or 65536); `held_out` is the fraction for
    "test" where the source has no test set; more than the fraction `max_broken` of unreadable files is an error.
    A folder's images are held in memory where they take up to `in_memory` bytes, and otherwise read batch by batch, by
    `workers` processes (`AUTOMATIC`: as many as there are cores less one, 1 to 8; 0: by this one).
    """

    resolution: tuple[int, ...] = ()
    channels: int = 0
    levels: int = 0
    held_out: float = 0.05
    max_broken: float = 0.01
    in_memory: int = 2**30
    workers: int = AUTOMATIC


DEFAULT = Options()


def hold_out(images: ImageSet, fraction: float) -> dict[str, ImageSet]:
    """The "train" and "test" parts of a set that has no split of its own; without names, by number."""
    mask = held_out(images.names or [str(i) for i in range(len(images))], fraction)
    return {"train": images.take((~mask).nonzero().flatten()), "test": images.take(mask.nonzero().flatten())}


def held_out(names: Sequence[str], fraction: float) -> Tensor:
    """True for about `fraction` of the names: each by its own hash, so that no other name can change it.

    Where that would be none of several, the one with the least hash is held out.
    """
    hashes = [key("held out", name) for name in names]
    chosen = torch.tensor([value < fraction * 2**63 for value in hashes], dtype=torch.bool)
    if fraction and len(hashes) > 1 and not chosen.any():
        chosen[hashes.index(min(hashes))] = True
    return chosen


def check_values(images: ImageSet) -> ImageSet:
    """Refuse values beyond the levels that the source claims to have."""
    highest = int(images.tensor().max()) if len(images) else 0
    if images.levels < 2 or highest >= images.levels:
        raise DataError(
            f"{images.name} holds the value {highest}, but has {images.levels} levels (0..{images.levels - 1})"
        )
    return images
