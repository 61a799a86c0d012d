"""Images in the formats that everybody has, beside which our bytes stand: each image a file of its own, as Pillow writes it."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image, features

from ddpm.codec.tables import Whole
from ddpm.data.decoding.exact import BYTES
from ddpm.figures.pictures import png_size

QUALITIES = (0, 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98, 100)
"""Those at which a lossy format is asked."""


@dataclass(frozen=True)
class Format:
    """How Pillow is asked for a format.

    Args:
        name: of the format there.
        lossy: what goes with each quality.
        lossless: what makes it lossless; None where it cannot be.
        best: the highest quality that is lossy.
    """

    name: str
    lossy: Mapping[str, Any]
    lossless: Mapping[str, Any] | None = None
    best: int = 100

    @property
    def qualities(self) -> Sequence[int]:
        """At which it is asked."""
        return sorted({min(quality, self.best) for quality in QUALITIES})

    def file(self, picture: Image.Image, how: Mapping[str, Any]) -> bytes:
        """A picture as a file."""
        stream = io.BytesIO()
        picture.save(stream, self.name, **how)
        return stream.getvalue()

    def at(self, picture: Image.Image, quality: int) -> tuple[int, float]:
        """Bytes of a picture at a quality, and the mean square of what is lost, in squares of 0..255."""
        size, back = self.back(picture, quality)
        return size, float(np.square(back - np.asarray(picture, dtype=np.float64)).mean())

    def back(self, picture: Image.Image, quality: int) -> tuple[int, np.ndarray]:
        """Bytes of a picture at a quality, and its pixels as they are read back, (H, W) or (H, W, 3) on 0..255."""
        file = self.file(picture, {**self.lossy, "quality": quality})
        with Image.open(io.BytesIO(file)) as opened:
            return len(file), np.asarray(opened.convert(picture.mode), dtype=np.float64)


FORMATS: Mapping[str, Format] = {
    "WebP": Format("WEBP", {"method": 6}, {"lossless": True, "quality": 100, "method": 6, "exact": True}),
    "JPEG": Format("JPEG", {"optimize": True}),
    "JPEG XL": Format("JXL", {"effort": 9}, {"lossless": True, "effort": 10}, best=99),
}
"""Those that are asked where Pillow has them, JPEG XL by pillow-jxl-plugin."""


def known() -> Mapping[str, Format]:
    """The formats that this Pillow writes."""
    with suppress(ImportError):
        import_module("pillow_jxl")
    Image.init()
    there = {"WEBP": features.check("webp"), "JPEG": features.check("jpg")}
    return {name: one for name, one in FORMATS.items() if there.get(one.name, one.name in Image.SAVE)}


def lossless_sizes(image: Whole, levels: int, formats: Mapping[str, Format]) -> dict[str, int]:
    """Bytes of an image (C, H, W) in the lossless formats, PNG among them; of many levels, or of 2 channels, PNG's alone."""
    sizes = {"PNG": png_size(image, levels)}
    if (picture := picture_of(image, levels)) is not None:
        ways = {name: one for name, one in formats.items() if one.lossless is not None}
        sizes |= {name: len(one.file(picture, one.lossless or {})) for name, one in ways.items()}
    return sizes


def lossy_points(image: Whole, levels: int, one: Format) -> Sequence[tuple[int, float]]:
    """Of each of its qualities an image's bytes, and the mean square of what is lost; none where the format has no such images."""
    picture = picture_of(image, levels)
    return [] if picture is None else [one.at(picture, quality) for quality in one.qualities]


def picture_of(image: Whole, levels: int) -> Image.Image | None:
    """An image (C, H, W) as 8 bits; None where it has more, or 2 or 4 channels."""
    if levels > BYTES or len(image) not in (1, 3):
        return None
    shown = np.rint(image * (255 / (levels - 1))).astype(np.uint8)
    return Image.fromarray(shown[0] if len(shown) == 1 else np.ascontiguousarray(np.moveaxis(shown, 0, 2)))
