"""A set of images as integers, and the one map between integers and [-1, 1] (section 3.3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm.data.pixels import InMemory, Pixels
from ddpm.tensors import ImageBatch


class Broken(NamedTuple):
    """A file that was left out because it cannot be read: its name, the kind of fault in a word, and a line that says more."""

    file: str
    fault: str
    reason: str


def no_labels() -> Tensor:
    """Labels of a set that has none."""
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False, init=False)
class ImageSet:
    """Images as integers 0..levels-1, (N, C, H, W) uint8 (int32 above 256 levels), in memory or in their files.

    A tensor that is given as `images` becomes `InMemory`. `labels` is (N,) int64, and `names` has one for each image; both
    are empty where there are none. `classes` are the names of the labels 0, 1, ..., where they have names. `broken` are the
    files that were left out because they cannot be read. `lost` are rows that could be read when a run began and no longer
    can, each with the reason; their pixels must not be used.
    """

    name: str
    images: Pixels
    levels: int
    labels: Tensor
    names: tuple[str, ...]
    classes: tuple[str, ...]
    broken: tuple[Broken, ...]
    lost: Mapping[int, str]

    def __init__(
        self,
        name: str,
        images: Pixels | Tensor,
        levels: int = 256,
        labels: Tensor | None = None,
        names: tuple[str, ...] = (),
        classes: tuple[str, ...] = (),
        broken: tuple[Broken, ...] = (),
        lost: Mapping[int, str] | None = None,
    ) -> None:
        pixels = InMemory(images) if isinstance(images, Tensor) else images
        labels = no_labels() if labels is None else labels
        values = (name, pixels, levels, labels, names, classes, broken, {} if lost is None else lost)
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)

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
        lost = {new: self.lost[row] for new, row in enumerate(rows.tolist()) if row in self.lost} if self.lost else {}
        return replace(self, images=self.images.take(rows), labels=labels, names=names, lost=lost)

    def tensor(self) -> Tensor:
        """All pixels, (N, C, H, W), in memory.

        Raises:
            Lost: an image can no longer be read.
        """
        return self.images.tensor()

    def in_memory(self) -> "ImageSet":
        """The same set with its pixels in memory.

        Raises:
            Lost: an image can no longer be read.
        """
        return replace(self, images=self.tensor())

    def load_readable(self) -> "ImageSet":
        """The same set with its pixels in memory; an image that can no longer be read is added to `lost`."""
        images, lost = self.images.read_all_readable(self.lost)
        return replace(self, images=images, lost=lost)

    def close(self) -> None:
        """End the processes that read files, where there are any."""
        self.images.close()

    def moved_to(self, device: torch.device, most: int) -> "ImageSet":
        """The same set with its pixels on `device`, if they are in memory and take at most `most` bytes; else on the CPU."""
        return replace(self, images=self.images.moved_to(device, most))

    @property
    def ahead(self) -> int:
        """How many batches should be announced with `prefetch` before they are used; 0 for images in memory."""
        return self.images.ahead

    def prefetch(self, rows: Tensor) -> None:
        """Begin to read the images at `rows`, which will be asked for soon."""
        self.images.prefetch(rows)

    @property
    def has_fingerprint(self) -> bool:
        """Whether `digest` can be computed: not for images in memory of which some are `lost`, as it needs their pixels."""
        return self.images.known_by_hash or not self.lost

    def digest(self, labels: Tensor | None = None) -> str:
        """A fingerprint of the images in their order, and of labels that belong to them.

        It is made of the pixels if they are in memory, and of the hashes of the files' bytes otherwise.
        """
        found = hashlib.blake2b(repr((tuple(self.images.shape), self.levels)).encode(), digest_size=16)
        for part in self.images.fingerprint_parts():
            found.update(part)
        if labels is not None:
            found.update(labels.cpu().numpy().tobytes())
        return found.hexdigest()

    def scaled(self, rows: Tensor | slice = slice(None)) -> ImageBatch:
        """Images as the network sees them, float32 in [-1, 1].

        Raises:
            Lost: some of them can no longer be read.
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
