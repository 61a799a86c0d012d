"""Single image files that a user gives to a command, as a model sees them.

This process reads them itself, without worker processes: the user named the file. Folders are read by `sources.folder`.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.data.decoding.picture import READ_ERRORS, decode, fit
from ddpm.data.imageset import to_levels, to_model
from ddpm.errors import DataError, Mismatch, NotFound


def read_image(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """One file as a model of (channels, height, width) images sees it: (1, C, H, W) float32 in [-1, 1], on its levels.

    Raises:
        NotFound: no such file.
        DataError: it cannot be read, or the model's channels are neither grey nor RGB.
    """
    channels, height, width = shape
    picture = _picture(path)
    return _as_data(fit(picture, height, width), channels, levels, path)


def read_unscaled(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """As `read_image`, for a file that already has this height and width: no pixel is scaled or cropped.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    channels, height, width = shape
    return _as_data(_sized(path, height, width), channels, levels, path)


def read_mask(path: Path, height: int, width: int) -> torch.Tensor:
    """A mask, (1, 1, H, W) bool: true where the picture is at least half white. Transparent parts count as white.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    return torch.from_numpy(np.array(_sized(path, height, width).convert("L")) >= 128)[None, None]


def _picture(path: Path) -> Image.Image:
    if not path.is_file():
        raise NotFound(f"{'a folder, not an image' if path.is_dir() else 'no such image'}: {str(path)!r}")
    try:
        return decode(path)
    except READ_ERRORS as error:
        raise DataError(f"cannot read the image {str(path)!r}: {error}") from error


def _sized(path: Path, height: int, width: int) -> Image.Image:
    picture = _picture(path)
    if picture.size != (width, height):
        raise Mismatch(
            f"{str(path)!r} is {picture.width}x{picture.height} pixels, not {width}x{height} (width x height)",
            f"scale or cut it to {width}x{height} first",
        )
    return picture


def _as_data(picture: Image.Image, channels: int, levels: int, path: Path) -> torch.Tensor:
    if channels not in (1, 3):
        raise DataError(f"an image file has 1 or 3 channels, the model {channels}: {str(path)!r}")
    values = torch.from_numpy(np.atleast_3d(np.array(picture.convert("L" if channels == 1 else "RGB")))).movedim(2, 0)
    return to_model(to_levels(to_model(values[None]), levels), levels)
