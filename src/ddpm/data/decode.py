"""One image file to one array, as a person would expect to see it, whatever its mode.

16-bit grey is scaled, transparency is laid over white, EXIF rotation is applied, sizes change without squashing.
Only formats that browsers and cameras write are tried: the others of Pillow are a wide door.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps

from ddpm.data.imageset import to_levels, to_model
from ddpm.errors import DataError, Mismatch, NotFound

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"})
MAX_PIXELS = 64_000_000
BACKGROUND = (255, 255, 255)

READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for a file that it cannot read."""


def decode(path: Path) -> Image.Image:
    """The first frame of an image file, upright, in mode L or RGB with 8 bits.

    Raises:
        One of `READ_ERRORS`: the file is no image, is damaged, is larger than 64 megapixels, or holds floating point
        pixels, whose range nobody knows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(path, formats=FORMATS)
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        image.load()
        return _eight_bit(ImageOps.exif_transpose(image))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating point pixels have no known range; save the image with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bit(np.asarray(image).astype(np.int64))
    if image.has_transparency_data:
        return _over_background(image)
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode == "LAB":
        to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        converted = ImageCms.applyTransform(image, to_rgb)
        assert converted is not None
        return converted
    return image.convert("RGB")


def _from_sixteen_bit(values: np.ndarray) -> Image.Image:
    """0..65535 to 0..255: 257 steps of the one are one of the other."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"grey values {values.min()}..{values.max()} are not 16-bit")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _over_background(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA", "La")
    backed = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    backed.alpha_composite(image.convert("RGBA"))
    return backed.convert("L" if grey else "RGB")


def fit(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale until the frame is covered, then cut the centre: nothing is squashed."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def read_image(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """One file as a model of (channels, height, width) images sees it: (1, C, H, W) float32 in [-1, 1], on its levels.

    Raises:
        NotFound: no such file.
        DataError: it cannot be read, or the model's channels are neither grey nor RGB.
    """
    channels, height, width = shape
    picture = _picture(path)
    return _as_data(fit(picture, height, width), channels, levels, path)


def read_unscaled(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """As `read_image`, of a file that has this height and width: not a pixel is moved.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    channels, height, width = shape
    return _as_data(_sized(path, height, width), channels, levels, path)


def read_mask(path: Path, height: int, width: int) -> torch.Tensor:
    """A mask, (1, 1, H, W) bool: true where the picture is white, by half or more; transparent is white.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    return torch.from_numpy(np.array(_sized(path, height, width).convert("L")) >= 128)[None, None]


def _picture(path: Path) -> Image.Image:
    if not path.is_file():
        raise NotFound(f"{'a folder, not an image' if path.is_dir() else 'no such image'}: {str(path)!r}")
    try:
        return decode(path)
    except READ_ERRORS as error:
        raise DataError(f"cannot read the image {str(path)!r}: {error}") from error


def _sized(path: Path, height: int, width: int) -> Image.Image:
    picture = _picture(path)
    if picture.size != (width, height):
        raise Mismatch(
            f"{str(path)!r} is {picture.width}x{picture.height} pixels, not {width}x{height} (width x height)",
            f"scale or cut it to {width}x{height} first",
        )
    return picture


def _as_data(picture: Image.Image, channels: int, levels: int, path: Path) -> torch.Tensor:
    if channels not in (1, 3):
        raise DataError(f"an image file has 1 or 3 channels, the model {channels}: {str(path)!r}")
    values = torch.from_numpy(np.atleast_3d(np.array(picture.convert("L" if channels == 1 else "RGB")))).movedim(2, 0)
    return to_model(to_levels(to_model(values[None]), levels), levels)
