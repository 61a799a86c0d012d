"""Single images that a user gives to a command or a call, as a model sees them: a file, a picture or an array.

This process reads a file itself, without worker processes: the user named it. Folders are read by `sources.folder`.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.checks import check_images
from ddpm.data.decoding.picture import READ_ERRORS, as_shown, decode, fit
from ddpm.data.imageset import to_levels, to_model
from ddpm.errors import DataError, Mismatch, NotFound, UsageError


def read_image(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """One file as a model of (channels, height, width) images sees it: (1, C, H, W) float32 in [-1, 1], on its levels.

    Raises:
        NotFound: no such file.
        DataError: it cannot be read, or the model's channels are neither grey nor RGB.
    """
    channels, height, width = shape
    return _as_data(fit(_picture(path), height, width), channels, levels, repr(str(path)))


def read_unscaled(path: Path, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """As `read_image`, for a file that already has this height and width: no pixel is scaled or cropped.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    channels, height, width = shape
    return _as_data(_sized(_picture(path), height, width, repr(str(path))), channels, levels, repr(str(path)))


def read_mask(path: Path, height: int, width: int) -> torch.Tensor:
    """A mask, (1, 1, H, W) bool: true where the picture is at least half white. Transparent parts count as white.

    Raises:
        NotFound, DataError: as `read_image`.
        Mismatch: it has another height or width.
    """
    return _as_mask(_sized(_picture(path), height, width, repr(str(path))))


def from_picture(picture: Image.Image, shape: tuple[int, ...], levels: int) -> torch.Tensor:
    """As `read_unscaled`, of a Pillow image.

    Raises:
        Mismatch: it has another height or width.
        DataError: its pixels have no known range, or the model's channels are neither grey nor RGB.
    """
    channels, height, width = shape
    return _as_data(_sized(_shown(picture), height, width, "the image"), channels, levels, "the image")


def to_mask(given: Image.Image | np.ndarray | torch.Tensor, height: int, width: int) -> torch.Tensor:
    """As `read_mask`, of a Pillow image, or of an array (H, W): drawn where it is true, or not 0.

    Raises:
        Mismatch: it has another height or width.
    """
    if isinstance(given, Image.Image):
        return _as_mask(_sized(_shown(given), height, width, "the mask"))
    values = torch.as_tensor(given)
    values = values.reshape(values.shape[-2:]) if values.ndim > 2 and values[..., 0, 0].numel() == 1 else values
    if values.shape != (height, width):
        raise Mismatch(f"the mask has the shape {tuple(values.shape)}, not {(height, width)} (height, width)")
    return (values != 0)[None, None]


def on_levels(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Real images (N, C, H, W) that lie in [-1, 1] on `levels` values, as float32 that lies on them exactly.

    Raises:
        UsageError: they do not.
    """
    check_images(x, levels)
    if x.ndim != 4:
        raise UsageError(f"images are (N, C, H, W), got the shape {tuple(x.shape)}")
    return to_model(to_levels(x, levels), levels)


def _shown(picture: Image.Image) -> Image.Image:
    try:
        return as_shown(picture)
    except READ_ERRORS as error:
        raise DataError(f"cannot use the picture: {error}") from error


def _picture(path: Path) -> Image.Image:
    if not path.is_file():
        raise NotFound(f"{'a folder, not an image' if path.is_dir() else 'no such image'}: {str(path)!r}")
    try:
        return decode(path)
    except READ_ERRORS as error:
        raise DataError(f"cannot read the image {str(path)!r}: {error}") from error


def _sized(picture: Image.Image, height: int, width: int, name: str) -> Image.Image:
    if picture.size != (width, height):
        raise Mismatch(
            f"{name} is {picture.width}x{picture.height} pixels, not {width}x{height} (width x height)",
            f"scale or cut it to {width}x{height} first",
        )
    return picture


def _as_mask(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.convert("L")) >= 128)[None, None]


def _as_data(picture: Image.Image, channels: int, levels: int, name: str) -> torch.Tensor:
    if channels not in (1, 3):
        raise DataError(f"an image file has 1 or 3 channels, the model {channels}: {name}")
    values = torch.from_numpy(np.atleast_3d(np.array(picture.convert("L" if channels == 1 else "RGB")))).movedim(2, 0)
    return to_model(to_levels(to_model(values[None]), levels), levels)
