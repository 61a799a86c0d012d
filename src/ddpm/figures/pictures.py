"""Images to files: grids, sheets with one row an image, animations, numbered PNGs. Values are rounded, never truncated."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ddpm.data.decoding.picture import READ_ERRORS, opened
from ddpm.data.imageset import to_bytes
from ddpm.tensors import ImageBatch

GAP = 4
BACKGROUND = 148
"""Between dark and light: pictures of both kinds end where they end."""
TILE = 48
"""Small images are enlarged, pixel by pixel, to at least this side."""
TEXT = "ddpm"
"""The key of a PNG's text that says how the image was drawn."""


def to_pictures(x: ImageBatch, levels: int) -> Tensor:
    """[-1, 1] to uint8 pictures, (B, C, H, W) with 1 or 3 channels: through the data's levels, 2 or 4 channels cut."""
    pictures = to_bytes(x, levels).cpu()
    return pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1]


def tile(pictures: Tensor, columns: int) -> Image.Image:
    """Pictures in rows of `columns`, small ones enlarged."""
    count, channels, height, width = pictures.shape
    scale = max(1, math.ceil(TILE / max(height, width)))
    rows = math.ceil(count / columns)
    sheet = torch.full(
        (channels, rows * (height * scale + GAP) - GAP, columns * (width * scale + GAP) - GAP),
        BACKGROUND,
        dtype=torch.uint8,
    )
    enlarged = pictures.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    for i, picture in enumerate(enlarged):
        top, left = (i // columns) * (height * scale + GAP), (i % columns) * (width * scale + GAP)
        sheet[:, top : top + height * scale, left : left + width * scale] = picture
    return to_pil(sheet)


def square(pictures: Tensor, period: int = 1) -> Image.Image:
    """Pictures in a grid about as wide as high; those that repeat after `period` pictures stand in columns, if they can."""
    return tile(pictures, _columns(len(pictures), period))


def whole_rows(count: int, period: int = 1) -> int:
    """The most of `count` pictures that `square` shows in whole rows."""
    return next(most for most in range(count, 0, -1) if most % _columns(most, period) == 0)


def _columns(count: int, period: int) -> int:
    columns = math.ceil(math.sqrt(count))
    if 1 < period <= count:
        columns = period * max(1, round(columns / period))
    return columns


def to_pil(picture: Tensor) -> Image.Image:
    """(C, H, W) uint8 to an image in mode L or RGB."""
    array: np.ndarray = picture.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, 2).copy())


def numbered(row: int) -> str:
    """The file of image `row`."""
    return f"{row:06d}.png"


def save_each(pictures: Tensor, folder: Path, first: int = 0, text: Callable[[int], str] | None = None) -> list[Path]:
    """One PNG for each picture: 000000.png, 000001.png, ...; `text` says of the picture of a number what goes into its file."""
    rows = range(first, first + len(pictures))
    return [
        save_one(picture, folder, row, text(row) if text else None) for row, picture in zip(rows, pictures, strict=True)
    ]


def save_one(picture: Tensor, folder: Path, row: int, text: str | None = None) -> Path:
    """The PNG of image `row`: of its picture, (C, H, W) uint8, and of a text that says how it was drawn."""
    return save_pil(to_pil(picture), folder, row, text)


def save_pil(image: Image.Image, folder: Path, row: int, text: str | None = None) -> Path:
    """As `save_one`, of a Pillow image."""
    about, path = PngInfo(), folder / numbered(row)
    if text is not None:
        about.add_text(TEXT, text)
    _save_whole(image, path, about)
    return path


def _save_whole(image: Image.Image, path: Path, about: PngInfo) -> None:
    """A PNG that has its name once all of it is written: Ctrl-C leaves no half of one."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        image.save(temporary, pnginfo=about)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def text_of(path: Path) -> str | None:
    """What `save_each` wrote into a PNG besides the picture; None if nothing, or if it cannot be read."""
    try:
        with opened(path, ("PNG",)) as image:
            return image.info.get(TEXT)
    except READ_ERRORS:
        return None


def save_npz(pictures: Tensor, path: Path, labels: Sequence[int] = ()) -> None:
    """uint8 NHWC under "arr_0", as evaluators expect it; the labels under "arr_1", if there are any."""
    images = pictures.movedim(1, 3).numpy()
    with path.open("wb") as file:
        if labels:
            np.savez_compressed(file, arr_0=images, arr_1=np.array(labels, dtype=np.int64))
        else:
            np.savez_compressed(file, arr_0=images)


def save_animation(frames: Sequence[Image.Image], path: Path, seconds: float = 6.0) -> None:
    """GIF or WebP, by the file's name, that rests on the last frame for two seconds and starts again."""
    pause = max(20, round(1000 * seconds / len(frames)))
    durations = [pause] * (len(frames) - 1) + [2000]
    first, *rest = [frame.convert("RGB") if path.suffix == ".webp" else frame for frame in frames]
    if path.suffix == ".webp":
        first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, lossless=True)
    else:
        first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
