"""Data that do not fill the range that their file's type gives them: 10 bits in 16, or masks of 0 and 1 in bytes.

Nobody can tell 10 bits in 16 from dark pictures of 16. So it is said what was understood, and a run on images that are all but
black is refused until the caller says that they are meant.
"""

import numpy as np

from ddpm.data.imageset import ImageSet
from ddpm.data.indexing.lazy_images import LazyImages
from ddpm.data.pixels import InMemory

BLACK = 128
"""Images that use less than one in so many of their levels can hardly be meant."""


def highest(images: ImageSet) -> int | None:
    """The highest value of all images; None where that is not known without reading them all."""
    pixels = images.images
    if isinstance(pixels, InMemory):
        return int(pixels.tensor().max()) if len(pixels) else None
    if isinstance(pixels, LazyImages) and images.levels == 256 and len(pixels):
        used = np.bitwise_or.reduce(pixels.index.entries["values"][pixels.rows], axis=0)
        return int(np.flatnonzero(np.unpackbits(used)).max(initial=0))
    return None


def unfilled(images: ImageSet) -> str | None:
    """What was understood of images that leave the upper half of their levels empty, in words; None of others."""
    top = highest(images)
    if top is None or not 0 < top < images.levels // 2:
        return None
    brightest = 2 * top / (images.levels - 1) - 1
    return f"the images have values up to {top} of {images.levels} levels: the brightest of -1..1 is {brightest:.2f}"


def is_black(images: ImageSet) -> bool:
    """Whether images are all but black, and not wholly."""
    top = highest(images)
    return top is not None and top > 0 and (top + 1) * BLACK <= images.levels
