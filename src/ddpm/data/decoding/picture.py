"""One image file to one picture, as a person expects to see it, whatever its mode.

16-bit grey is scaled to 8 bits, transparent parts show white, EXIF rotation is applied, colours of another profile become
sRGB (where nothing is transparent), and a change of size never squashes.
Only formats that browsers and cameras write are opened: Pillow's many others are a risk. Nothing here imports torch, so that
the worker processes start quickly.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"})
MAX_PIXELS = 64_000_000
BACKGROUND = (255, 255, 255)
MAX_PROFILE = 4 * 2**20

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

    Raises:
        One of `READ_ERRORS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


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
    image.load()
    return _eight_bit(ImageOps.exif_transpose(image))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating point pixels have no known range; save the image with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bit(np.asarray(image).astype(np.int64))
    if image.has_transparency_data:
        return _over_background(image)
    if (shown := _by_its_profile(image)) is not None:
        return shown
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode == "LAB":
        return _as_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


def _by_its_profile(image: Image.Image) -> Image.Image | None:
    """RGB or CMYK of another colour profile in sRGB. None where there is none but sRGB, or, as browsers do, a useless one."""
    data = image.info.get("icc_profile")
    if not data or image.mode not in ("RGB", "CMYK") or len(data) > MAX_PROFILE:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        fits = profile.profile.xcolor_space.strip() == image.mode  # pyright: ignore[reportAttributeAccessIssue]
        return _as_srgb(image, profile) if fits and "sRGB" not in ImageCms.getProfileDescription(profile) else None
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _as_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """The colours that the profile means, as 8-bit sRGB (relative colorimetric)."""
    to_rgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    converted = ImageCms.applyTransform(image, to_rgb)
    assert converted is not None
    return converted


def _from_sixteen_bit(values: np.ndarray) -> Image.Image:
    """0..65535 to 0..255: 257 steps of the one are one of the other."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"grey values {values.min()}..{values.max()} are not 16-bit")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _over_background(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA", "La")
    backed = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    backed.alpha_composite((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
    return backed.convert("L" if grey else "RGB")


def fit(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale until the frame is covered, then cut the centre: nothing is squashed."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
