"""Scales whole sets and changes their channels, for sources whose images are not picture files."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ddpm.data.decoding.picture import fit
from ddpm.data.imageset import ImageSet
from ddpm.data.splits import Options
from ddpm.errors import DataError

GREY = torch.tensor([0.299, 0.587, 0.114])
"""How much red, green and blue add to the brightness of a grey picture (ITU-R BT.601, as in Pillow)."""


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
