"""One image file to one picture, as a person expects to see it, whatever its mode.

The order is the same for all modes: upright (EXIF), 8 bits a channel (16 bits are scaled), the colours of sRGB, which are the only
ones that a model learns, transparent parts on white, then L or RGB. Grey, palette and transparent pictures are treated as the
same picture in RGB would be, so that a mode changes no colour. A change of size never squashes. Nothing here imports torch, so
that the worker processes start quickly.
"""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from ddpm.data.decoding.formats import MAX_PIXELS, opened

BACKGROUND = (255, 255, 255)

GREY_OF_SIXTEEN = "LA;16B"
"""How Pillow reads grey of 16 bits with transparency: as RGBA, in which it would no longer be known that it is grey."""

MAX_PROFILE = 4 * 2**20
SPACES: Mapping[str, tuple[str, ...]] = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
"""The kinds of profile that say something of a picture in these modes. A grey picture is one of RGB with equal channels."""
SRGB_GAMMA = 1 / 2.2
"""The gamma that files of sRGB say, and the one that changes nothing."""
NEAR, SANE = 0.05, (0.1, 10.0)
"""A gamma that differs from `SRGB_GAMMA` by less than this share means sRGB, as libpng takes it; one beyond `SANE` is none."""
UNMOVED = 10
"""A profile named sRGB moves no value of 0..255 by more than this, or it is another one (such as "linear sRGB")."""


def decode(file: Path | io.BytesIO, prepare: Callable[[Image.Image], None] = lambda _image: None) -> Image.Image:
    """The first frame of an image file (or of its bytes), upright, in mode L or RGB with 8 bits, in the colours of sRGB.

    `prepare` is called with the picture of which only the header is read yet.

    Raises:
        One of `READ_ERRORS`: the file is no image, is damaged, is larger than 64 megapixels, or holds floating point
        pixels, whose range nobody knows.
    """
    with opened(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        prepare(image)
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


def in_srgb(image: Image.Image, about: Mapping[Any, Any]) -> Image.Image:
    """A picture in mode L, LA, RGB, RGBA, CMYK or LAB, of 8 bits, with the colours of sRGB: L, LA, RGB or RGBA.

    Transparency is kept as it is. As in browsers, the profile counts before a PNG's note that it is sRGB, this before its gamma,
    and a profile that is damaged, or for another kind of picture, says nothing.

    Args:
        image: the picture.
        about: what its file says: `info` of Pillow.
    """
    if image.mode == "LAB":
        return _applied(image, _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB"))
    if image.mode in ("LA", "RGBA"):
        *colours, alpha = image.split()
        shown = in_srgb(colours[0] if len(colours) == 1 else Image.merge("RGB", colours), about)
        return Image.merge(image.mode, [*shown.split(), alpha])
    data = about.get("icc_profile")
    known, transform = _by_profile(data, image.mode) if isinstance(data, bytes) else (False, None)
    if transform is not None:
        return _applied(image, transform)
    if image.mode == "CMYK":
        return image.convert("RGB")
    gamma = None if known or "srgb" in about else _gamma_of(about)
    return image if gamma is None else image.point(_curve(gamma) * len(image.getbands()))


def _gamma_of(about: Mapping[Any, Any]) -> float | None:
    """The gamma that a file says, where it is another than that of sRGB."""
    gamma = about.get("gamma")
    if not isinstance(gamma, float) or not SANE[0] <= gamma <= SANE[1]:
        return None
    return gamma if abs(gamma / SRGB_GAMMA - 1) > NEAR else None


@lru_cache(maxsize=16)
def _by_profile(data: bytes, mode: str) -> tuple[bool, ImageCms.ImageCmsTransform | None]:
    """Whether a profile says what the colours of this mode are, and how they become sRGB; None where they are."""
    if len(data) > MAX_PROFILE:
        return False, None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()  # pyright: ignore[reportAttributeAccessIssue]
        if space not in SPACES[mode]:
            return False, None
        found = _transform(profile, {"GRAY": "L"}.get(space, space))
        named = "sRGB" in ImageCms.getProfileDescription(profile)
        return True, None if named and _leaves_colours(found) else found
    except (OSError, ValueError, ImageCms.PyCMSError):
        return False, None


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """From the profile to sRGB (relative colorimetric)."""
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """The same picture in sRGB; a grey one stays grey."""
    wanted = transform.input_mode  # pyright: ignore[reportAttributeAccessIssue]
    converted = ImageCms.applyTransform(image if image.mode == wanted else image.convert(wanted), transform)
    assert converted is not None
    return converted.convert("L") if image.mode == "L" else converted


def _leaves_colours(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether colours all over the cube stay nearly what they are."""
    if transform.input_mode != "RGB":  # pyright: ignore[reportAttributeAccessIssue]
        return False
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3), -1).reshape(6, 36, 3).astype(np.uint8)
    moved = np.asarray(_applied(Image.fromarray(cube), transform)).astype(int) - cube
    return int(np.abs(moved).max()) <= UNMOVED


@lru_cache(maxsize=16)
def _curve(gamma: float) -> list[int]:
    """For each of 0..255 in a file of this gamma, the value of sRGB that is as bright."""
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * shown).round().astype(int).tolist()


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
