"""One of the two sets of a comparison: the features of its images, or, of others' files, their mean and covariance alone."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ddpm.evaluation.images.features.extractor import Outputs
from ddpm.evaluation.images.moments import Moments


@dataclass(frozen=True, eq=False)
class Side:
    """A set: its moments; its features (N, D) and logits (N, K), where they are known."""

    moments: Moments
    features: Float[Tensor, "N D"] | None = None
    logits: Float[Tensor, "N K"] | None = None

    @classmethod
    def of(cls, features: Float[Tensor, "N D"], logits: Float[Tensor, "N K"] | None = None) -> "Side":
        """Of images."""
        return cls(Moments.of(features), features, logits)

    @classmethod
    def from_outputs(cls, outputs: Outputs) -> "Side":
        """Of what an extractor made of them."""
        return cls.of(outputs.features, outputs.logits)

    def rows(self, which: Tensor) -> Moments:
        """The moments of some of the images.

        Raises:
            ValueError: the images are not known.
        """
        if self.features is None:
            raise ValueError("of moments alone no part can be taken")
        return Moments.of(self.features[which])
