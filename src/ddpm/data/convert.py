"""Whole sets brought to a size and a number of channels, for the sources that are not files of pictures."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ddpm.data.decoding.picture import fit
from ddpm.data.imageset import ImageSet
from ddpm.data.splits import Options
from ddpm.errors import DataError

GREY = torch.tensor([0.299, 0.587, 0.114])
"""How bright red, green and blue look (ITU-R BT.601, as Pillow has it)."""


def converted(images: ImageSet, options: Options) -> ImageSet:
    """The set at the resolution and with the channels asked for; itself, if it is so already.

    Raises:
        DataError: it cannot be: images of more than 256 levels are not resized, and 2 or 4 channels are no colour.
    """
    channels, height, width = images.shape
    if options.channels and options.channels != channels:
        images = replace(images, images=_with_channels(images, options.channels))
    if options.resolution and options.resolution != (height, width):
        if images.levels > 256:
            raise DataError(f"images of {images.levels} levels are not resized: {images.name}")
        images = replace(images, images=_resized(images.tensor(), *options.resolution))
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
