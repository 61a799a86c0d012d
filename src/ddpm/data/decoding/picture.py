"""One image file to one picture, as a person expects to see it, whatever its mode.

The order is the same for all modes: upright (EXIF), 8 bits a channel (16 bits are scaled), the colours of sRGB
(`decoding.colours`), transparent parts on white, then L or RGB. A change of size never squashes.
Only the formats of `decoding.formats` are opened. Nothing here imports torch, so that the worker processes start quickly.
"""

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ddpm.data.decoding.colours import in_srgb
from ddpm.data.decoding.formats import AVIF, FORMATS, HEAD, HEIF, format_of, is_read, not_read

SUFFIXES = frozenset(
    [
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
    ]
    + [".avif"] * (AVIF in FORMATS)
)
"""Files whose names end so are taken for pictures without a look at them."""
MAX_PIXELS = 64_000_000
BACKGROUND = (255, 255, 255)

GREY_OF_SIXTEEN = "LA;16B"
"""How Pillow reads grey of 16 bits with transparency: as RGBA, in which it would no longer be known that it is grey."""

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


def opened(file: Path | io.BytesIO, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The header of an image file, and the file open behind it: nothing is decoded yet.

    Of the `formats`, HEIF is opened where all of `FORMATS` are allowed and the extra is installed.

    Raises:
        One of `READ_ERRORS`.
    """
    known = format_of(_head(file)) if formats == FORMATS else None
    if known is not None and not is_read(known):
        raise UnidentifiedImageError(not_read(known))
    if known == HEIF:
        _learn_heif()
        formats = (*formats, HEIF)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


def _head(file: Path | io.BytesIO) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getbuffer()[:HEAD].tobytes()
    with file.open("rb") as opened_file:
        return opened_file.read(HEAD)


@cache
def _learn_heif() -> None:
    """Pillow reads HEIF from here on, where the extra is installed: only once there is such a picture, as it takes a while."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    register_heif_opener()


def decode(file: Path | io.BytesIO) -> Image.Image:
    """The first frame of an image file (or of its bytes), upright, in mode L or RGB with 8 bits, in the colours of sRGB.

    Raises:
        One of `READ_ERRORS`: the file is no image, is damaged, is larger than 64 megapixels, or holds floating point
        pixels, whose range nobody knows.
    """
    with opened(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        return as_shown(image)


def as_shown(image: Image.Image) -> Image.Image:
    """A Pillow image as a viewer shows it: upright, in mode L or RGB with 8 bits, in the colours of sRGB.

    Raises:
        One of `READ_ERRORS`: its file is damaged, or it holds floating point pixels, whose range nobody knows.
    """
    grey = any(tile.args == GREY_OF_SIXTEEN for tile in getattr(image, "tile", ()))
    image.load()
    upright = ImageOps.exif_transpose(image)
    return _over_white(in_srgb(_eight_bit(upright.convert("LA") if grey else upright), image.info))


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture in mode L, LA, RGB, RGBA, CMYK or LAB: with an alpha channel where its file says that parts are transparent."""
    if image.mode == "F":
        raise ValueError("floating point pixels have no known range; save the image with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bit(np.asarray(image).astype(np.int64), image.info.get("transparency"))
    if image.mode in ("CMYK", "LAB"):
        return image
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB")
    if (
        image.mode == "RGB" and max(image.info["transparency"]) > 255
    ):  # of a file of 16 bits, of which the upper 8 are left
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
    return image.convert("RGBA" if image.mode != "La" else "LA").convert("LA" if grey else "RGBA")


def _from_sixteen_bit(values: np.ndarray, transparent: object) -> Image.Image:
    """0..65535 to 0..255: 257 steps of the one are one of the other. One of the values may be transparent."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"grey values {values.min()}..{values.max()} are not 16-bit")
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if not isinstance(transparent, int):
        return grey
    return Image.merge("LA", [grey, Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))])


def _over_white(image: Image.Image) -> Image.Image:
    """A picture without transparency: what was transparent is white."""
    if image.mode in ("L", "RGB"):
        return image
    backed = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    backed.alpha_composite(image.convert("RGBA"))
    return backed.convert("L" if image.mode == "LA" else "RGB")


def fit(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale until the frame is covered, then cut the centre: nothing is squashed."""
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, box=frame(image.size, height, width))


def frame(size: tuple[int, int], height: int, width: int) -> tuple[float, float, float, float]:
    """The part of a picture of `size` (width, height) that `fit` shows: left, top, right, bottom."""
    given_width, given_height = size
    ratio, given = width / height, given_width / given_height
    if given == ratio:
        return 0, 0, given_width, given_height
    across, down = (ratio * given_height, given_height) if given >= ratio else (given_width, given_width / ratio)
    left, top = (given_width - across) * 0.5, (given_height - down) * 0.5
    return left, top, left + across, top + down


def place(size: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """`frame` in whole pixels, at least one in each direction."""
    left, top, right, bottom = map(round, frame(size, height, width))
    left, top = min(left, size[0] - 1), min(top, size[1] - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)
