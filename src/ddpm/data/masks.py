"""Masks: where an image is to be drawn. A picture of any size and kind, or an array.

White is drawn, black is kept. A mask is scaled and cut as its image is, and what its white touches is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from ddpm.data.decoding.formats import READ_ERRORS
from ddpm.data.decoding.picture import as_shown, frame, place
from ddpm.data.inputs import raw_picture
from ddpm.errors import DataError, Mismatch

WHITES = (1, 255, 65535)
"""The white of masks of 0 and 1, of 8 bits and of 16 bits."""
STROKE = 250
"""Where all that is opaque is at least so bright (of 255), it is white strokes on a transparent layer."""


@dataclass(frozen=True, eq=False)
class Mask:
    """`drawn` (height, width) bool at the mask's own size; `notes` say how it was understood, where that is not plain."""

    drawn: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.drawn.shape
        return width, height

    def seen(self, height: int, width: int) -> torch.Tensor:
        """Where a model of this height and width draws, (1, 1, H, W) bool: all that the white touches."""
        share = _image(self.drawn).resize((width, height), Image.Resampling.BOX, box=frame(self.size, height, width))
        return torch.from_numpy(np.array(share) > 0)[None, None]

    def over(self, photo: tuple[int, int], height: int, width: int) -> np.ndarray:
        """Where it draws in a photograph of this (width, height), (height, width) bool, of which a model sees H x W."""
        if self.size == photo:
            return self.drawn
        if self._covers(photo):
            return _scaled(self.drawn, photo, (0, 0, *self.size))
        left, top, right, bottom = place(photo, height, width)
        whole = np.zeros(photo[::-1], bool)
        whole[top:bottom, left:right] = _scaled(
            self.drawn, (right - left, bottom - top), frame(self.size, height, width)
        )
        return whole

    def said(self, photo: tuple[int, int], height: int, width: int) -> tuple[str, ...]:
        """What is to be told of it, in lines: how it was understood, and where it has another shape than its image."""
        if self._covers(photo) or _alike(self.size, (width, height)):
            return self.notes
        sizes = f"{self.size[0]}x{self.size[1]} pixels, the image {photo[0]}x{photo[1]}"
        return (*self.notes, f"the mask is {sizes}, of another shape: both are cut to their middle")

    def _covers(self, photo: tuple[int, int]) -> bool:
        """Whether it is of the whole photograph, at its own size or another."""
        return _alike(self.size, photo)


def read_mask(path: Path) -> Mask:
    """The mask in a picture file.

    Raises:
        NotFound, DataError: as `read_photo`.
    """
    return mask_of(raw_picture(path))


def mask_of(given: Image.Image | np.ndarray | torch.Tensor) -> Mask:
    """Of a Pillow image: white is at least half of the brightest that its kind has, 1 where it holds 0 and 1 only.

    Transparent parts are what is drawn, as erased ones are, unless all that is opaque is white: then the white is. Of an array
    (H, W), drawn is what is true, or not 0.

    Raises:
        Mismatch: an array has another number of dimensions.
        DataError: the picture cannot be read, or the array holds no numbers, or some that are not finite.
    """
    if not isinstance(given, Image.Image):
        return Mask(_of_array(given))
    try:
        given.load()
        return _of_picture(ImageOps.exif_transpose(given))
    except READ_ERRORS as error:
        raise DataError(f"cannot use the mask: {error}") from error


def _of_array(given: np.ndarray | torch.Tensor) -> np.ndarray:
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        given = (given.float() if given.dtype == torch.bfloat16 else given).numpy()
    values = given
    shape = tuple(values.shape)
    if values.ndim > 2 and values[..., 0, 0].size == 1:
        values = values.reshape(shape[-2:])
    elif values.ndim == 3 and shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or 0 in values.shape:
        raise Mismatch(f"a mask is (height, width), not of the shape {shape}")
    if values.dtype.kind not in "biuf":
        raise DataError(f"a mask is true or false, or numbers, not {values.dtype}")
    if not np.isfinite(values).all():
        raise DataError(
            f"a mask says of each pixel whether it is drawn, and {values[~np.isfinite(values)][0]} says neither"
        )
    return values != 0


def _of_picture(image: Image.Image) -> Mask:
    wide = image.mode in ("I", "F") or image.mode.startswith("I;16")
    if image.has_transparency_data and not wide:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() < 128:
            return _of_layer(np.asarray(as_shown(image.convert("RGBA").convert("RGB")).convert("L")), alpha >= 128)
    values = np.asarray(image) if wide else np.asarray(as_shown(image).convert("L"))
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > WHITES[-1]:
        raise ValueError(f"it holds the values {values.min()}..{values.max()}")
    white = next(white for white in WHITES if values.max() <= white)
    bits = white == 1 and image.mode != "F" and values.any()
    notes = ("the mask holds 0 and 1 only: 1 is what is drawn",) if bits else ()
    return Mask(2 * values.astype(np.float64) >= white, notes)


def _of_layer(grey: np.ndarray, opaque: np.ndarray) -> Mask:
    """A mask that is transparent in parts."""
    if opaque.any() and grey[opaque].min() >= STROKE:
        return Mask(opaque, ("the mask is white strokes on a transparent layer: the strokes are what is drawn",))
    return Mask(~opaque, ("the mask is transparent in parts: these are what is drawn",))


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes are one shape: scaled to the width or the height of the other it has the other's size."""
    (w, h), (width, height) = one, other
    return round(w * height / h) == width or round(h * width / w) == height


def _scaled(drawn: np.ndarray, size: tuple[int, int], box: Sequence[Any]) -> np.ndarray:
    left, top, right, bottom = box
    share = _image(drawn).resize(size, Image.Resampling.BOX, box=(left, top, right, bottom))
    return np.array(share) > 0


def _image(drawn: np.ndarray) -> Image.Image:
    return Image.fromarray(drawn.astype(np.float32))
