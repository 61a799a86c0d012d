"""Several models on the same images with the same noise: the difference of their bounds, image by image.

What images have in common (easy ones, hard ones, the noise) cancels in the difference: its standard error is often many times
smaller than that of each bound.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ddpm.evaluation.rate import Bound, stderr


@dataclass(frozen=True)
class Difference:
    """By how much the bound of a model is above that of another, in bits/dim: the mean over images and its standard error.

    `per_image` are the differences of the images, in the data's order. Of one image the standard error is 0: it cannot be known.
    """

    mean: float
    stderr: float
    per_image: Tensor

    @property
    def in_errors(self) -> float | None:
        """In standard errors; None where there is none."""
        return self.mean / self.stderr if self.stderr else None


@dataclass(frozen=True)
class Paired:
    """The bounds of several models on the same images with the same noise. `differences` are to the first model.

    At the same t the models see the same noise, where their chains have as many steps (`same_noise`); else only the images
    are the same.
    """

    names: tuple[str, ...]
    bounds: tuple[Bound, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Of the second model and those after it."""
        first, *others = self.bounds
        return tuple(difference(first, other) for other in others)

    @property
    def same_noise(self) -> bool:
        """Whether all chains have as many steps."""
        return all(a.T == b.T for a, b in pairwise(self.bounds))


def difference(a: Bound, b: Bound) -> Difference:
    """How much more bits b needs than a, of the same images.

    Raises:
        ValueError: they are of differently many images.
    """
    if a.images != b.images:
        raise ValueError(f"bounds of {a.images} and of {b.images} images have no pairs")
    per_image = b.per_image - a.per_image
    return Difference(float(per_image.mean()), stderr(per_image), per_image)
