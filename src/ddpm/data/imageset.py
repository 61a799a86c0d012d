"""A set of images as integers, and the one map between integers and [-1, 1] (section 3.3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm.data.indexing.lazy_images import AHEAD, LazyImages
from ddpm.tensors import ImageBatch

Pixels = Tensor | LazyImages
"""(N, C, H, W): in memory, or in files that are read when they are indexed."""


class Broken(NamedTuple):
    """A file that was left out: its name, what kind of fault it has, and a line that says more."""

    file: str
    fault: str
    reason: str


def no_labels() -> Tensor:
    """Labels of a set that has none."""
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images: (N, C, H, W) uint8 (or int32 above 256 levels), values 0..levels-1, in memory or in their files.

    `labels` is (N,) int64, and `names` one for each image, empty where there are none; `classes` are what the labels
    0, 1, ... are called, where they have names. `broken` lists what could not be read. `lost` says which rows could be
    read when a run began and no longer can, and why: nobody may look at these.
    """

    name: str
    images: Pixels
    levels: int = 256
    labels: Tensor = field(default_factory=no_labels)
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    lost: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def take(self, rows: Tensor) -> "ImageSet":
        """The images at `rows`, in that order."""
        labels = self.labels[rows] if len(self.labels) else self.labels
        names = tuple(self.names[row] for row in rows.tolist()) if self.names else ()
        images = self.images.take(rows) if isinstance(self.images, LazyImages) else self.images[rows]
        lost = {new: self.lost[row] for new, row in enumerate(rows.tolist()) if row in self.lost} if self.lost else {}
        return replace(self, images=images, labels=labels, names=names, lost=lost)

    def tensor(self) -> Tensor:
        """All pixels, in memory.

        Raises:
            Lost: a file can no longer be read.
        """
        return self.images.in_memory() if isinstance(self.images, LazyImages) else self.images

    def in_memory(self) -> "ImageSet":
        """The same, without files."""
        return replace(self, images=self.tensor())

    def load_readable(self) -> "ImageSet":
        """The same without files; what can no longer be read is `lost`, not an error."""
        if not isinstance(self.images, LazyImages):
            return self
        images, lost = self.images.left(self.lost)
        return replace(self, images=images, lost=lost)

    def close(self) -> None:
        """End the processes that read files, where there are any."""
        if isinstance(self.images, LazyImages):
            self.images.reader.close()

    def near(self, device: torch.device, most: int) -> "ImageSet":
        """The same on `device`, unless that takes more than `most` bytes or they are in files: these come batch by batch."""
        if isinstance(self.images, LazyImages):
            return self
        return replace(self, images=self.images.to(device if self.images.nbytes <= most else "cpu"))

    @property
    def ahead(self) -> int:
        """How many batches it helps to announce (`expect`): none, of images in memory."""
        return AHEAD if isinstance(self.images, LazyImages) and self.images.reader.workers else 0

    def expect(self, rows: Tensor) -> None:
        """These will be asked for soon."""
        if isinstance(self.images, LazyImages):
            self.images.expect(rows)

    def digest(self, labels: Tensor | None = None) -> str:
        """A fingerprint of the images in their order, and of labels that belong to them.

        Of pixels in memory; of the hashes of the files' bytes where these are not.
        """
        found = hashlib.blake2b(repr((tuple(self.images.shape), self.levels)).encode(), digest_size=16)
        if isinstance(self.images, LazyImages):
            found.update(self.images.hashes().tobytes())
        else:
            for rows in self.images.cpu().split(4096):
                found.update(rows.contiguous().numpy().tobytes())
        if labels is not None:
            found.update(labels.cpu().numpy().tobytes())
        return found.hexdigest()

    def scaled(self, rows: Tensor | slice = slice(None)) -> ImageBatch:
        """Images as the network sees them, float32 in [-1, 1].

        Raises:
            Lost: of images in files, some can no longer be read.
        """
        return to_model(self.images[rows], self.levels)


def to_model(values: Tensor, levels: int = 256, dtype: torch.dtype = torch.float32) -> ImageBatch:
    """Integers 0..levels-1 to real numbers in [-1, 1] (E1); the ends are exact."""
    return (2 * values.to(dtype) - (levels - 1)) / (levels - 1)


def to_levels(x: ImageBatch, levels: int = 256) -> Tensor:
    """[-1, 1] to the nearest of the integers 0..levels-1 (rounded, never truncated); uint8, or int32 above 256 levels."""
    values = ((x.float() + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1)
    return values.to(torch.uint8 if levels <= 256 else torch.int32)


def to_bytes(x: ImageBatch, levels: int = 256) -> Tensor:
    """[-1, 1] to uint8 for a picture: first to the nearest of the data's levels, then these spread over 0..255."""
    return (to_levels(x, levels).float() * (255 / (levels - 1))).round().to(torch.uint8)
