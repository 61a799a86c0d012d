"""What 16 bits inside the network do to a bound: its bias against float32, measured on a few images."""

from dataclasses import dataclass
from typing import Any

import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, labels_at
from ddpm.errors import UsageError
from ddpm.evaluation.cheap import difference_of, estimate
from ddpm.models.precision import FULL
from ddpm.parallel.world import ALONE, World
from ddpm.sampling.images import evenly
from ddpm.trained.loaded import LoadedModel

IMAGES, EVALUATIONS = 64, 16
"""On at most so many images, with so many evaluations of each, in both precisions."""


@dataclass(frozen=True)
class Bias:
    """The bound in `precision` less that in fp32, bits/dim: an unbiased estimate on `images` images, and its standard error."""

    precision: str
    mean: float
    stderr: float
    images: int

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"against": FULL, "mean": self.mean, "stderr": self.stderr, "images": self.images}


def bias(
    trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None, world: World = ALONE
) -> Bias | None:
    """That of the model's precision; None of a model in fp32.

    Both networks see the same x_t, t and noise, so what the noise adds to either bound cancels.

    Args:
        trained: the model, on the chain of the bound.
        images: those that are scored; some of them are taken, evenly.
        seed: of t and noise.
        batch_size: images at a time.
        labels: of the images, if the model is told them.
        world: the processes that share the work.
    """
    if trained.precision == FULL:
        return None
    rows = torch.tensor(evenly(len(images), min(IMAGES, len(images))))
    target = difference_of(
        trained.in_precision(FULL).process, trained.process, labels_at(labels, rows, torch.device("cpu"))
    )
    found = estimate(target, images.take(rows), seed, EVALUATIONS, batch_size, trained.device, world=world)
    return Bias(trained.precision, found.total, found.stderr, found.images)


def require_full(trained: LoadedModel, metric: str) -> None:
    """Refuse a metric in which errors of rounding are taken for something else.

    Raises:
        UsageError: the model is not in fp32.
    """
    if trained.precision != FULL:
        raise UsageError(f"{metric} is measured in fp32 alone: {trained.precision}", "`precision=fp32` measures it")
