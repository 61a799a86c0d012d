"""The options that every kind of source shares, and what they do to a set: its size and channels, and which images are held out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm.checks import check_whole
from ddpm.data.decoding.picture import fit
from ddpm.data.decoding.scaled import SCALED, Reading
from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError, UsageError
from ddpm.seeds import key


class SizesDiffer(DataError):
    """Images that must be of one size are of several, and none was asked for."""


SPLITS = ("train", "test", "all", "validation")
"""The parts of a source by name. Of train, test and validation, "validation" is left out of the other two; it is in "all"."""


LARGEST = 64
"""The side up to which a network of a preset trains in hours on one machine; proposed for images that are larger."""


def proposed_side(smaller: float) -> tuple[int, str]:
    """A side for images of several sizes, and why: a power of two near the `smaller` of their median sides, at most `LARGEST`.

    A network halves it evenly. It is no more than 1/7 above: 28 becomes 32, and hardly an image loses by being scaled up.
    """
    side = 2 ** max(int(math.log2(smaller * 8 / 7)), 0)
    if side > LARGEST:
        return LARGEST, f"the smaller of their median sides is {smaller:g}, which allows more and takes longer to train"
    return side, f"the power of two near the smaller of their median sides, which is {smaller:g}"


GREY = torch.tensor([0.299, 0.587, 0.114])
"""How much red, green and blue add to the brightness of a grey picture (ITU-R BT.601, as in Pillow)."""


@dataclass(frozen=True)
class Options:
    """How to read a source. None means that it is decided by what is there.

    Args:
        resolution: (height, width) that images are scaled to cover and then cropped to; None keeps their size.
        channels: 1 or 3, to which images are converted; None keeps theirs (a folder is grey if all its images are).
        levels: how many values a pixel can have, of files that do not say it; None takes 256, or 65536 of uint16.
        decoding: by which rule of `scaled.DECODINGS` a picture in a file becomes a smaller one.
        layout: what the axes of an array in a file are: "NHW", "NCHW" or "NHWC"; None takes what the file or its shape says.
        held_out: the fraction of the images for "test", if the source has no test set.
        max_broken: the fraction of the files that may be unreadable; more is an error.
        in_memory: bytes. Pictures in files that take more are read batch by batch.
        workers: how many processes read those; 0 is this process, None is the number of cores less one, from 1 to 8.
    """

    resolution: tuple[int, int] | None = None
    channels: int | None = None
    levels: int | None = None
    held_out: float = 0.05
    max_broken: float = 0.01
    in_memory: int = 2**30
    workers: int | None = None
    layout: str | None = None
    decoding: str = SCALED

    @property
    def reading(self) -> Reading:
        """What the files of pictures are asked for."""
        return Reading(self.decoding, self.resolution)


DEFAULT = Options()
LAYOUTS = ("NHW", "NCHW", "NHWC")
"""What the axes of an array of images can be: images, channels, height and width."""


def asked(
    resolution: int | tuple[int, int] | None,
    channels: int | None,
    levels: int | None,
    layout: str | None,
    max_broken: float,
) -> Options:
    """The options that a call asks for: one number is both sides.

    Raises:
        UsageError: there is no such layout, number of levels or fraction.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"unknown layout: {layout!r}", f"choose from {', '.join(LAYOUTS)}")
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    told = None if levels is None else check_whole("levels", levels, 2)
    if isinstance(max_broken, bool) or not isinstance(max_broken, int | float) or not 0 <= max_broken <= 1:
        raise UsageError(f"max_broken is a fraction, 0..1, not {max_broken!r}")
    return Options(resolution=size, channels=channels, levels=told, layout=layout, max_broken=max_broken)


def converted(images: ImageSet, options: Options) -> ImageSet:
    """The set with the resolution and the channels that the options ask for; the set itself if it has them already.

    Raises:
        DataError: images of more than 256 levels are not resized, and 2 or 4 channels cannot become 1 or 3.
    """
    channels, height, width = images.shape
    if options.channels is not None and options.channels != channels:
        images = replace(images, images=_with_channels(images, options.channels))
    if options.resolution is not None and options.resolution != (height, width):
        if images.levels > 256:
            raise DataError(f"images of {images.levels} levels are not resized: {images.name}")
        images = replace(images, images=_resized(images.tensor(), *options.resolution).clamp(max=images.levels - 1))
    return images


def _with_channels(images: ImageSet, wanted: int) -> torch.Tensor:
    pixels, channels = images.tensor(), images.shape[0]
    if (channels, wanted) == (1, 3):
        return pixels.repeat(1, 3, 1, 1)
    if (channels, wanted) == (3, 1):
        grey = (pixels.float() * GREY.reshape(1, 3, 1, 1)).sum(1, keepdim=True)
        return grey.round().to(pixels.dtype)
    raise DataError(f"{channels} channels cannot become {wanted}: {images.name}")


def _resized(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Each channel as a grey picture, scaled and cropped."""
    planes = pixels.flatten(0, 1).numpy()
    fitted = np.stack([np.asarray(fit(Image.fromarray(plane), height, width)) for plane in planes])
    return torch.from_numpy(fitted).reshape(*pixels.shape[:2], height, width)


def hold_out(images: ImageSet, fraction: float) -> dict[str, ImageSet]:
    """The "train" and "test" parts of a set that has no split of its own. Images without names are known by their number."""
    mask = held_out(images.names or [str(i) for i in range(len(images))], fraction)
    return {"train": images.take((~mask).nonzero().flatten()), "test": images.take(mask.nonzero().flatten())}


def held_out(names: Sequence[str], fraction: float) -> Tensor:
    """True for about `fraction` of the names, (N,) bool. Each is decided by its own hash, so no other name can change it.

    If that holds out none of several, the one with the smallest hash is held out.
    """
    hashes = [key("held out", name) for name in names]
    chosen = torch.tensor([value < fraction * 2**63 for value in hashes], dtype=torch.bool)
    if fraction and len(hashes) > 1 and not chosen.any():
        chosen[hashes.index(min(hashes))] = True
    return chosen


def check_values(images: ImageSet) -> ImageSet:
    """Refuse values beyond the levels that the source claims to have."""
    highest = int(images.tensor().max()) if len(images) else 0
    if images.levels < 2 or highest >= images.levels:
        raise DataError(
            f"{images.name} holds the value {highest}, but has {images.levels} levels (0..{images.levels - 1})"
        )
    return images
