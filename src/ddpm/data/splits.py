"""The options that every kind of source shares, and the rule that holds images out where a source has no test set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError
from ddpm.seeds import key

SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class Options:
    """How to read a source.

    `resolution` (height, width) scales and crops image files, () keeps their size; `channels` 1 or 3 converts them, 0
    takes grey where all are grey; `levels` 0 takes what the storage says (256, or 65536); `held_out` is the fraction
    for "test" where the source has no test set; more than the fraction `max_broken` of unreadable files is an error.
    """

    resolution: tuple[int, ...] = ()
    channels: int = 0
    levels: int = 0
    held_out: float = 0.05
    max_broken: float = 0.01


DEFAULT = Options()


def hold_out(images: ImageSet, fraction: float) -> dict[str, ImageSet]:
    """The "train" and "test" parts of a set that has no split of its own; without names, by number."""
    mask = held_out(images.names or [str(i) for i in range(len(images))], fraction)
    return {"train": images.take((~mask).nonzero().flatten()), "test": images.take(mask.nonzero().flatten())}


def held_out(names: Sequence[str], fraction: float) -> Tensor:
    """True for the names held out: those with the smallest hashes; none of fewer than 20."""
    count = math.ceil(len(names) * fraction) if len(names) >= 20 else 0
    chosen = sorted(range(len(names)), key=lambda i: key("held out", names[i]))[:count]
    mask = torch.zeros(len(names), dtype=torch.bool)
    mask[chosen] = True
    return mask


def check_values(images: ImageSet) -> ImageSet:
    """Refuse values beyond the levels that the source claims to have."""
    highest = int(images.images.max()) if len(images) else 0
    if highest >= images.levels or images.levels < 2:
        raise DataError(
            f"{images.name} holds the value {highest}, but has {images.levels} levels (0..{images.levels - 1})"
        )
    return images
