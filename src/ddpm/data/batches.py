"""Batches as a function of the step: which images, and how flipped, is decided by (seed, step) alone.

So training can stop after any step and go on with the next batch it would have had, whatever happened in between.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.seeds import generator
from ddpm.tensors import Images

Augmentation = Callable[[Images, torch.Generator], Images]


def as_is(x: Images, _random: torch.Generator) -> Images:
    """No augmentation."""
    return x


def horizontal_flip(x: Images, random: torch.Generator) -> Images:
    """Each image mirrored with probability 1/2 (the paper, except for LSUN bedrooms); for training only."""
    flips = torch.rand(len(x), generator=random) < 0.5
    return torch.where(flips.to(x.device).reshape(-1, 1, 1, 1), x.flip(-1), x)


AUGMENTATIONS: Mapping[str, Augmentation] = {"none": as_is, "horizontal-flip": horizontal_flip}


@dataclass(frozen=True, eq=False)
class Batches:
    """An endless sequence: ``batches[step]`` is (batch_size, C, H, W) float32 in [-1, 1].

    Images come in the order of a new permutation for each epoch; batches run across the ends of epochs, so every image
    is seen equally often and a batch may be larger than the set. `labels` (N,), on the CPU,
    are what the network is told of each image.
    """

    images: ImageSet
    batch_size: int
    seed: int
    augment: Augmentation = as_is
    labels: Labels = None
    part: range = range(0)

    @property
    def places(self) -> range:
        """TEMP."""
        return self.part or range(self.batch_size)

    def __getitem__(self, step: int) -> Images:
        x = self.images.scaled(self.rows(step))
        return self.augment(x, generator(self.seed, "augmentation", step))[self.places.start : self.places.stop]

    def told(self, step: int, dropout: float) -> Int[Tensor, " batch"] | None:
        """The labels of step `step`, (batch_size,), each kept back (-1) with probability `dropout`; None without labels."""
        if self.labels is None:
            return None
        kept_back = torch.rand(self.batch_size, generator=generator(self.seed, "label dropout", step)) < dropout
        return self.labels[self.rows(step).cpu()].masked_fill(kept_back, -1)[self.places.start : self.places.stop]

    def rows(self, step: int) -> Tensor:
        """Which images step `step` sees, (batch_size,) int64."""
        count = len(self.images)
        places = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = places // count, places % count
        rows = [_order(count, self.seed, epoch)[offsets[epochs == epoch]] for epoch in epochs.unique().tolist()]
        return torch.cat(rows).to(self.images.images.device)


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "order", epoch))
