"""The rules by which a picture becomes a smaller one: `DECODINGS`, by the name that a run keeps in its config.json.

"full" decodes every pixel, and scales by LANCZOS. "scaled", the rule of new runs, lets the decoder of a JPEG make the picture 2, 4
or 8 times as small (the inverse DCT of a block then gives 4x4, 2x2 or 1 value instead of 8x8), as long as it stays at least
`MARGIN` times as large as what is wanted; LANCZOS does the rest. Other formats have no such decoder, and are the same by both. A run
keeps its rule: another gives other pixels.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ddpm.data.decoding.picture import decode, fit, frame

MARGIN = 3.0
"""How many times as large as what is wanted a JPEG's decoder leaves a picture, at least.

Pixels of "scaled" differ from those of "full" by less than one grey level of 256 in photographs (root of the mean square, in
three real and three made ones, brought to 24 to 128 pixels: 0.4 to 0.85; a margin of 2 would give up to 1.7, of 1 up to 6.7). For
comparison, BICUBIC differs from LANCZOS by 1.3 to 3.7, and BILINEAR by 3.4 to 9.8.
"""
BY = (8, 4, 2)
"""How many times as small it can make one."""
LARGE = 256
"""Pixels of the smaller side, from which on a JPEG is made as small as it can be where only its faults are looked for."""
MUCH = 4
ORIENTATION = 0x0112
TURNED, FROM_RIGHT, FROM_BELOW = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
"""The EXIF orientations that swap the sides, and those in which the first pixel of a file is shown at the right, or at the bottom."""

Size = tuple[int, int]
"""Width and height of a picture that stands upright."""
Shrink = Callable[[Size], int]
"""By how much the decoder of a JPEG of this size makes it smaller: 1, 2, 4 or 8."""


def not_at_all(_size: Size) -> int:
    """1."""
    return 1


def for_the_index(size: Size) -> int:
    """8 for a large picture: all its bytes are read, but less is computed of them."""
    return BY[0] if min(size) >= LARGE else 1


def to_cover(height: int, width: int) -> Shrink:
    """As much as leaves `MARGIN` times the pixels, in each direction, that a picture of (height, width) needs."""

    def shrink(size: Size) -> int:
        left, _, right, _ = frame(size, height, width)
        return next((by for by in BY if right - left >= MARGIN * by * width), 1)

    return shrink


@dataclass(frozen=True)
class Decoding:
    """A rule: by how much JPEGs are made smaller as they are decoded, for the index and to become (height, width)."""

    index: Shrink
    pixels: Callable[[int, int], Shrink]


DECODINGS: Mapping[str, Decoding] = {
    "scaled": Decoding(for_the_index, to_cover),
    "full": Decoding(not_at_all, lambda _height, _width: not_at_all),
}
SCALED, FULL = DECODINGS
"""The rule of new runs, and that of runs which do not say theirs."""


@dataclass(frozen=True)
class Reading:
    """How pictures are read: by the rule of this name, and to which (height, width), where that is known."""

    decoding: str = SCALED
    size: tuple[int, int] | None = None


DEFAULT = Reading()


@dataclass(frozen=True)
class Decoded:
    """A picture, upright, in L or RGB, which the decoder has made `by` times as small as `size`, rounded up to whole pixels.

    `before` are the parts of a pixel, at the left and at the top, that are not the picture's: where `size` is no multiple of `by`,
    the last pixel of a file is only in part, and the file may lie on its head.
    """

    picture: Image.Image
    size: Size
    by: int = 1
    before: tuple[float, float] = (0.0, 0.0)
    is_jpeg: bool = False

    def fitted(self, height: int, width: int) -> Image.Image:
        """As `fit`, from what the decoder left."""
        if self.by == 1:
            return fit(self.picture, height, width)
        left, top, right, bottom = (value / self.by for value in frame(self.size, height, width))
        (across, down), most = self.before, self.picture.size
        box = left + across, top + down, min(right + across, most[0]), min(bottom + down, most[1])
        return self.picture.resize((width, height), Image.Resampling.LANCZOS, box=box)

    def is_as(self, shrink: Shrink) -> bool:
        """Whether the decoder would have left the same if it had been told this."""
        return self.by == (shrink(self.size) if self.is_jpeg else 1)


def is_much_larger(pixels: Any, height: int, width: int) -> Any:  # noqa: ANN401 (a number, or an array of them)
    """Whether a picture of so many pixels has at least `MUCH` times as many as are wanted: then it pays to keep the small one."""
    return pixels >= MUCH * height * width


def read(file: Path | io.BytesIO, shrink: Shrink = not_at_all) -> Decoded:
    """The picture in an image file (or in its bytes), as `picture.decode` gives it, or smaller.

    Raises:
        One of `READ_ERRORS`: as `picture.decode`.
    """
    jpeg: list[tuple[Size, int, int]] = []

    def prepare(image: Image.Image) -> None:
        if image.format not in ("JPEG", "MPO"):
            return
        orientation = image.getexif().get(ORIENTATION, 1)
        size = (image.height, image.width) if orientation in TURNED else image.size
        by = shrink(size)
        if by > 1:
            image.draft(None, (image.width // by, image.height // by))
        jpeg.append((size, by, orientation))

    picture = decode(file, prepare)
    if not jpeg:
        return Decoded(picture, picture.size)
    size, by, orientation = jpeg[0]
    across, down = (small - whole / by for small, whole in zip(picture.size, size, strict=True))
    before = across * (orientation in FROM_RIGHT), down * (orientation in FROM_BELOW)
    return Decoded(picture, size, by, before, is_jpeg=True)
