"""Batches as a function of the step: which images, and how flipped, is decided by (seed, step) alone.

So training can stop after any step and go on with the next batch it would have had, whatever happened in between, and any
number of processes can compute a part of it each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.indexing.lazy_images import Lost
from ddpm.data.labels import Labels
from ddpm.errors import DataError
from ddpm.seeds import generator, key
from ddpm.tensors import ImageBatch

Augmentation = Callable[[ImageBatch, Float[Tensor, " batch"]], ImageBatch]
"""Images, and for each a number of its own that is uniform in [0, 1)."""
MAX_LOST = 0.001
"""Of a run's images: what may turn out unreadable while it goes on; one may in any case."""


def too_many(lost: int, number: int) -> bool:
    """Whether a run of so many images cannot do without those that are lost."""
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
    is seen equally often and a batch may be larger than the set. `labels` (N,), on the CPU,
    are what the network is told of each image. `places` are those of the batch that this process computes: several with
    all the places between them have the same batch.

    An image that can no longer be read is replaced by one that (seed, image) alone decides, with its label; `lost` says
    which these are, and why.
    """

    images: ImageSet
    batch_size: int
    seed: int
    augment: Augmentation = as_is
    labels: Labels = None
    places: slice = field(default_factory=lambda: slice(None))
    lost: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, step: int) -> ImageBatch:
        """The images of a step.

        Raises:
            DataError: more images than `MAX_LOST` can no longer be read.
            Unavailable: the processes that read them were lost.
        """
        for later in range(step, step + 1 + self.images.ahead):
            self.images.expect(self.rows(later))
        x = self._readable(step)
        uniform = torch.rand(self.batch_size, generator=generator(self.seed, "augmentation", step))
        return self.augment(x, uniform[self.places])

    def labels_of(self, step: int, dropout: float) -> Int[Tensor, " batch"] | None:
        """The labels of step `step`, (batch_size,), each kept back (-1) with probability `dropout`; None without labels.

        Of the images that ``self[step]`` gave, if some of them had to be replaced.
        """
        if self.labels is None:
            return None
        kept_back = torch.rand(self.batch_size, generator=generator(self.seed, "label dropout", step)) < dropout
        return self.labels[self.rows(step).cpu()].masked_fill(kept_back[self.places], -1)

    def rows(self, step: int) -> Int[Tensor, " batch"]:
        """Which images step `step` sees, (batch_size,) int64."""
        rows = rows_at(step, self.batch_size, len(self.images), self.seed, self.places)
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
        """From now on these images are replaced; `rows` says why.

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
        """The image itself, or the first that can be read of those that (seed, image) puts in a row for it."""
        if row not in self.lost:
            return row
        others = (key(self.seed, "instead", row, n) % len(self.images) for n in count())
        return next(other for other in others if other not in self.lost)


def rows_at(step: int, batch_size: int, number: int, seed: int, places: slice = slice(None)) -> Int[Tensor, " batch"]:
    """Which of `number` examples step `step` sees, in a new order for each epoch; of the batch those at `places`."""
    at = torch.arange(step * batch_size, (step + 1) * batch_size)[places]
    epochs, offsets = at // number, at % number
    rows = torch.empty_like(at)
    for epoch in epochs.unique().tolist():
        rows[epochs == epoch] = _order(number, seed, epoch)[offsets[epochs == epoch]]
    return rows


@lru_cache(maxsize=4)
def _order(number: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(number, generator=generator(seed, "order", epoch))
