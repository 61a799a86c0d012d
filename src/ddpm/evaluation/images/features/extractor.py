"""One protocol for all that makes features of images: bytes in, one row of numbers for each image out.

An extractor says its name, a digest of its weights and what it does to the bytes: distances by different extractors, or by one
with another rule for scaling images, are different numbers and must not be compared.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from ddpm.data.imageset import ImageSet

Bytes = UInt8[Tensor, "batch channels height width"]
NO_WEIGHTS = "none"
"""The digest of an extractor without weights."""
GREY = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in a grey value (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """Of a batch of images: `features` (batch, D) float32, and `logits` (batch, K) of K classes, where the network has classes."""

    features: Float[Tensor, "batch D"]
    logits: Float[Tensor, "batch K"] | None = None


class Extractor(ABC):
    """Makes features of images.

    `name` is what it is called, `digest` the SHA-256 of its weights (`NO_WEIGHTS` where it has none), and `how` says in words what
    is done to the bytes of an image before the network sees them. The features of an image do not depend on the others.
    """

    name: str
    digest: str
    how: str

    @abstractmethod
    def outputs(self, images: Bytes) -> Outputs:
        """Features and logits of uint8 images (batch, C, H, W), without gradients, on the images' device.

        Raises:
            Mismatch: the network cannot take so many channels.
        """

    def features(self, images: Bytes) -> Float[Tensor, "batch D"]:
        """The features alone."""
        return self.outputs(images).features

    def to(self, device: torch.device) -> "Extractor":
        """The same on another device; itself, where it has no weights."""
        return self


def as_bytes(values: Tensor, levels: int) -> Bytes:
    """Integers 0..levels-1 spread over 0..255 and rounded to the nearest; of 256 levels they stay as they are."""
    if levels == 256:
        return values.to(torch.uint8)
    return (values.double() * (255 / (levels - 1))).round().to(torch.uint8)


def with_channels(images: Tensor, wanted: int) -> Tensor:
    """Real images (batch, C, H, W) with 1 or 3 channels: grey is repeated, colours become their grey value."""
    if images.shape[1] == wanted:
        return images
    if wanted == 3:
        return images.expand(-1, 3, -1, -1)
    return (images * images.new_tensor(GREY).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


def resized(images: Tensor, side: int) -> Tensor:
    """Real images scaled to side x side, bilinear, with antialiasing where they shrink (as Pillow does)."""
    if tuple(images.shape[2:]) == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def extract(extractor: Extractor, images: ImageSet, batch_size: int, device: torch.device) -> Iterator[Outputs]:
    """The features of all images in their order, batch by batch, on the CPU.

    Raises:
        Mismatch: the images are none for this extractor.
    """
    with torch.no_grad():
        for rows in torch.arange(len(images)).split(batch_size):
            found = extractor.outputs(as_bytes(images.images[rows].to(device), images.levels))
            logits = None if found.logits is None else found.logits.float().cpu()
            yield Outputs(found.features.float().cpu(), logits)


def gathered(parts: Iterator[Outputs]) -> Outputs:
    """The batches in one.

    Raises:
        ValueError: there are none.
    """
    features, logits = zip(*((part.features, part.logits) for part in parts), strict=True)
    known = [part for part in logits if part is not None]
    return Outputs(torch.cat(features), torch.cat(known) if len(known) == len(logits) else None)
