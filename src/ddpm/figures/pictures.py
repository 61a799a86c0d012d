"""Images to files: grids, sheets with one row an image, animations, numbered PNGs. Values are rounded, never truncated.

What is read back as data (numbered PNGs, npz) holds the integers 0..levels-1 of every channel, and says how many levels there are
and what each image shows. Grids, sheets and animations are to be looked at: 8 bits, and the first 1 or 3 channels.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ddpm.data.decoding.exact import BYTES, Meaning, png
from ddpm.data.decoding.formats import READ_ERRORS, opened
from ddpm.data.imageset import to_levels
from ddpm.data.sources.npz import arrays_of
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
    return shown(to_levels(x, levels).cpu(), levels)


def shown(values: Tensor, levels: int) -> Tensor:
    """Integers 0..levels-1, (B, C, H, W), to uint8 pictures with 1 or 3 channels: 2 or 4 channels cut."""
    pictures = (values.float() * (255 / (levels - 1))).round().to(torch.uint8)
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


def pairs(above: Tensor, below: Tensor, columns: int = 8) -> Image.Image:
    """Two lists of as many pictures, each of the first above its one of the second, in bands of `columns`."""
    none = above.new_full((-len(above) % columns, *above.shape[1:]), BACKGROUND)
    rows = [torch.cat([pictures, none]).unflatten(0, (-1, columns)) for pictures in (above, below)]
    return tile(torch.stack(rows, 1).flatten(0, 2), columns)


def enlarged(picture: Tensor, side: int) -> Image.Image:
    """One picture, (C, H, W) uint8, pixel by pixel at least so large on its longer side."""
    scale = max(1, math.ceil(side / max(picture.shape[1:])))
    return to_pil(picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2))


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


def meanings(levels: int, channels: int, labels: Sequence[int], classes: Sequence[str]) -> Iterator[Meaning]:
    """What the values of images with these labels mean, one by one."""
    for label in labels:
        yield Meaning(levels, channels, label, classes[label] if classes and label >= 0 else None)


def save_pil(image: Image.Image, folder: Path, row: int, text: str | None = None) -> Path:
    """The PNG of a Pillow image, as `save_one` writes one."""
    about, path, file = PngInfo(), folder / numbered(row), io.BytesIO()
    if text is not None:
        about.add_text(TEXT, text)
    image.save(file, format="PNG", pnginfo=about)
    _save_whole(file.getvalue(), path)
    return path


def save_each(
    values: Tensor,
    folder: Path,
    first: int = 0,
    text: Callable[[int], str] | None = None,
    levels: int = BYTES,
    labels: Sequence[int] = (),
    classes: Sequence[str] = (),
) -> list[Path]:
    """One PNG for each image: 000000.png, 000001.png, ...

    Args:
        values: (B, C, H, W), integers 0..levels-1.
        folder: where.
        first: the number of the first one.
        text: says of the image of a number how it was drawn, which goes into its file.
        levels: how many values a channel can have.
        labels: the classes that the images show, if they show any.
        classes: their names, where they have names.
    """
    rows, channels = range(first, first + len(values)), values.shape[1]
    said = meanings(levels, channels, labels, classes) if labels else [Meaning(levels, channels)] * len(values)
    each = zip(rows, values, said, strict=True)
    return [save_one(image, folder, row, meaning, text(row) if text else None) for row, image, meaning in each]


def save_one(values: Tensor, folder: Path, row: int, meaning: Meaning, text: str | None = None) -> Path:
    """The PNG of image `row`: of its integers, (C, H, W), of what they mean, and of a text that says how it was drawn."""
    path = folder / numbered(row)
    _save_whole(png(values.numpy(), meaning, {} if text is None else {TEXT: text}), path)
    return path


def png_size(values: np.ndarray, levels: int) -> int:
    """Bytes of the smallest PNG that Pillow makes of an image, (C, H, W) integers 0..levels-1: to compare with."""
    data, file = png(values, Meaning(levels, len(values)), {}), io.BytesIO()
    if levels > BYTES:
        return len(data)
    with opened(io.BytesIO(data), ("PNG",)) as image:
        image.save(file, format="PNG", optimize=True)
    return min(len(data), len(file.getvalue()))


def _save_whole(data: bytes, path: Path) -> None:
    """A file that has its name once all of it is written: Ctrl-C leaves no half of one."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        temporary.write_bytes(data)
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


def save_npz(
    values: Tensor, path: Path, labels: Sequence[int] = (), levels: int = BYTES, classes: Sequence[str] = ()
) -> None:
    """Integers 0..levels-1, (N, C, H, W), as NHWC under "arr_0": uint8 as evaluators expect it, or uint16 above 256 levels.

    The labels are under "arr_1", if there are any; "levels", "layout" and "classes" say what all this is.
    """
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays_of(values, levels, labels, classes))


FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
"""Those of animations, by the ending of a file's name."""


def save_animation(frames: Sequence[Image.Image], file: Path | io.BytesIO, seconds: float = 6.0) -> None:
    """GIF, WebP or PNG, by the file's name, that rests on the last frame for two seconds and starts again; without a name PNG."""
    pause = max(20, round(1000 * seconds / len(frames)))
    durations = [pause] * (len(frames) - 1) + [2000]
    kind = FORMATS[file.suffix.lower()] if isinstance(file, Path) else "PNG"
    first, *rest = [frame.convert("RGB") if kind == "WEBP" else frame for frame in frames]
    how = {"lossless": True} if kind == "WEBP" else {"optimize": True}
    first.save(file, format=kind, save_all=True, append_images=rest, duration=durations, loop=0, **how)
