"""Batches as a function of the step: (seed, step) alone decides which images are in one, and which of them are mirrored.

So training can stop after any step and go on with exactly the batch that would have come next, and any number of processes can
each compute a part of a batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.data.pixels import Lost
from ddpm.errors import DataError
from ddpm.seeds import generator, key
from ddpm.tensors import ImageBatch

Augmentation = Callable[[ImageBatch, Float[Tensor, " batch"]], ImageBatch]
"""Takes images, and for each of them a uniform random number in [0, 1)."""
MAX_LOST = 0.001
"""The fraction of a run's images that may turn out to be unreadable while it goes on; one image always may."""


def too_many(lost: int, number: int) -> bool:
    """Whether a run on `number` images must stop because so many of them are lost."""
    return lost > max(1, MAX_LOST * number)


def as_is(x: ImageBatch, _uniform: Float[Tensor, " batch"]) -> ImageBatch:
    """No augmentation."""
    return x


def horizontal_flip(x: ImageBatch, uniform: Float[Tensor, " batch"]) -> ImageBatch:
    """Each image mirrored with probability 1/2 (the paper, except for LSUN bedrooms); for training only."""
    return torch.where((uniform < 0.5).to(x.device).reshape(-1, 1, 1, 1), x.flip(-1), x)


AUGMENTATIONS: Mapping[str, Augmentation] = {"none": as_is, "horizontal-flip": horizontal_flip}


@dataclass(frozen=True, eq=False)
class Batches:
    """An endless sequence: ``batches[step]`` is (batch_size, C, H, W) float32 in [-1, 1].

    Images come in the order of a new permutation for each epoch; batches run across the ends of epochs, so every image
    is seen equally often and a batch may be larger than the set. `labels` (N,), on the CPU, are what the network is given
    with each image. `places` are the places of the batch that this process computes: processes that have all places between
    them compute the same batch as one process with all of them.

    An image that can no longer be read is replaced by another one, with that one's label; (seed, image) alone decides which.
    `lost` says which images are replaced, and why. Of a run whose batches were of another size before, `first` is how many more
    images were in these than there would be with the present size.
    """

    images: ImageSet
    batch_size: int
    seed: int
    augment: Augmentation = as_is
    labels: Labels = None
    places: slice = field(default_factory=lambda: slice(None))
    lost: dict[int, str] = field(default_factory=dict)
    first: int = 0

    def __getitem__(self, step: int) -> ImageBatch:
        """The images of a step.

        Raises:
            DataError: more images than `MAX_LOST` can no longer be read.
            Unavailable: the processes that read them were lost.
        """
        for later in range(step, step + 1 + self.images.ahead):
            self.images.prefetch(self.rows(later))
        x = self._readable(step)
        uniform = torch.rand(self.batch_size, generator=generator(self.seed, "augmentation", step))
        return self.augment(x, uniform[self.places])

    def labels_of(self, step: int, dropout: float) -> Int[Tensor, " batch"] | None:
        """The labels of step `step`, (batch_size,), each replaced by -1 with probability `dropout`; None without labels.

        Call it after ``self[step]``, which finds out which images have to be replaced.
        """
        if self.labels is None:
            return None
        kept_back = torch.rand(self.batch_size, generator=generator(self.seed, "label dropout", step)) < dropout
        return self.labels[self.rows(step).cpu()].masked_fill(kept_back[self.places], -1)

    def rows(self, step: int) -> Int[Tensor, " batch"]:
        """Which images step `step` sees, (batch_size,) int64."""
        rows = rows_at(step, self.batch_size, len(self.images), self.seed, self.places, self.first)
        if self.lost:
            rows = torch.tensor([self._instead(row) for row in rows.tolist()])
        return rows.to(self.images.images.device)

    def _readable(self, step: int) -> ImageBatch:
        while True:
            try:
                return self.images.scaled(self.rows(step))
            except Lost as error:
                self.lose(error.rows)

    def lose(self, rows: Mapping[int, str]) -> None:
        """Replace these images from now on; `rows` gives the reason for each.

        Raises:
            DataError: more images than `MAX_LOST` can no longer be read.
        """
        self.lost.update({row: reason for row, reason in rows.items() if row not in self.lost})
        number = len(self.images)
        if too_many(len(self.lost), number) or len(self.lost) == number:
            row = next(iter(rows))
            name = self.images.names[row] if self.images.names else row
            raise DataError(
                f"{len(self.lost)} of {number} images could be read before and no longer can: {name}: {rows[row]}",
                "the last checkpoint stands: the same command goes on once they are back",
            )

    def _instead(self, row: int) -> int:
        """The image itself; if it is lost, the first readable one of the sequence that (seed, image) draws for it."""
        if row not in self.lost:
            return row
        others = (key(self.seed, "instead", row, n) % len(self.images) for n in count())
        return next(other for other in others if other not in self.lost)


def rows_at(
    step: int, batch_size: int, number: int, seed: int, places: slice = slice(None), first: int = 0
) -> Int[Tensor, " batch"]:
    """Which of `number` examples step `step` sees, in a new order for each epoch; of the batch those at `places`."""
    begin = first + step * batch_size
    at = torch.arange(begin, begin + batch_size)[places]
    epochs, offsets = at // number, at % number
    rows = torch.empty_like(at)
    for epoch in epochs.unique().tolist():
        rows[epochs == epoch] = _order(number, seed, epoch)[offsets[epochs == epoch]]
    return rows


@lru_cache(maxsize=4)
def _order(number: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(number, generator=generator(seed, "order", epoch))
