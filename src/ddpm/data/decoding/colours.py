"""The colours of a picture in sRGB, the only colours that a model learns: by its profile, else by the gamma of a PNG.

Grey, palette and transparent pictures are treated as the same picture in RGB would be, so that a mode changes no colour.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 4 * 2**20
SPACES: Mapping[str, tuple[str, ...]] = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
"""The kinds of profile that say something of a picture in these modes. A grey picture is one of RGB with equal channels."""
SRGB_GAMMA = 1 / 2.2
"""The gamma that files of sRGB say, and the one that changes nothing."""
NEAR, SANE = 0.05, (0.1, 10.0)
"""A gamma that differs from `SRGB_GAMMA` by less than this share means sRGB, as libpng takes it; one beyond `SANE` is none."""
UNMOVED = 10
"""A profile named sRGB moves no value of 0..255 by more than this, or it is another one (such as "linear sRGB")."""


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
