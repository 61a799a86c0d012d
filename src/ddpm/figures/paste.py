"""Images that were drawn from a photograph, written back into it: at its own size, in the place that the model saw."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from ddpm.data.decoding.picture import place

Way = Callable[[Image.Image, Image.Image, np.ndarray | None], Image.Image]
"""(the photograph, the drawn picture, where it is drawn in the photograph) -> the photograph with it."""


LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""How much red, green and blue add to the brightness (ITU-R BT.601, as in Pillow)."""


def pasted(photo: Image.Image, drawn: Image.Image, hole: np.ndarray | None) -> Image.Image:
    """The photograph with the drawn picture, enlarged, in its place; only where `hole` (height, width) is true, if there is one.

    Every other pixel stays as it is. The result is grey or RGB as the drawn picture is.
    """
    box, enlarged = _in_place(photo, drawn)
    whole = photo.convert(drawn.mode)
    region = np.ones(photo.size[::-1], bool) if hole is None else hole
    left, top, right, bottom = box
    whole.paste(
        enlarged, (left, top), Image.fromarray(np.where(region[top:bottom, left:right], 255, 0).astype(np.uint8))
    )
    return whole


def coloured(photo: Image.Image, drawn: Image.Image, _hole: np.ndarray | None) -> Image.Image:
    """The photograph's own brightness at its own size, with the colours of the drawn picture; grey where the model saw nothing.

    A colour that would leave 0..255 at this brightness is made as much paler as it takes to stay inside.
    """
    box, enlarged = _in_place(photo, drawn)
    tones = photo.convert("L")
    bright = np.asarray(tones.crop(box), np.float32)[..., None]
    colours = np.asarray(enlarged.convert("RGB"), np.float32)
    away = colours - (colours @ LUMA)[..., None]
    room = np.where(away > 0, 255 - bright, bright)
    share = np.min(room / np.maximum(np.abs(away), np.maximum(room, 1e-6)), axis=2, keepdims=True)
    whole = tones.convert("RGB")
    whole.paste(Image.fromarray(np.rint(bright + share * away).astype(np.uint8)), box[:2])
    return whole


WAYS: Mapping[str, Way] = {"all": pasted, "colour": coloured}
"""What of a drawn picture goes into the photograph."""


def _in_place(photo: Image.Image, drawn: Image.Image) -> tuple[tuple[int, int, int, int], Image.Image]:
    """Where the drawn picture lies in the photograph, in whole pixels, and the picture at that size."""
    left, top, right, bottom = found = place(photo.size, drawn.height, drawn.width)
    size = (right - left, bottom - top)
    return found, drawn if drawn.size == size else drawn.resize(size, Image.Resampling.LANCZOS)
