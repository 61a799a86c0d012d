"""Single images that a user gives to a command or a call, as a model sees them: a file, a picture or an array.

This process reads a file itself, without worker processes: the user named it. Folders are read by `sources.folder`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.checks import check_images
from ddpm.data.decoding.exact import BYTES, meaning_of, nearest, values_of
from ddpm.data.decoding.formats import READ_ERRORS, opened
from ddpm.data.decoding.image_file import MAX_BYTES
from ddpm.data.decoding.picture import as_shown, decode, fit, frame
from ddpm.data.imageset import to_levels, to_model
from ddpm.errors import DataError, Mismatch, NotFound, UsageError


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture that a user gave, of any size: `picture` in mode L or RGB, upright and in sRGB; `name` is for messages.

    `exact` is what a file of our own says that it holds, (channels, height, width) integers 0..levels-1, where that is no picture.
    """

    picture: Image.Image
    name: str
    exact: torch.Tensor | None = None
    levels: int = BYTES

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.picture.size

    def seen(self, shape: tuple[int, ...], levels: int) -> torch.Tensor:
        """As a model of (channels, height, width) images sees it: (1, C, H, W) float32 in [-1, 1], on its levels.

        It is scaled until it covers that height and width, and cut to its middle, as the images that a run learns from. What a
        file holds exactly is taken as it is where it has this shape.

        Raises:
            DataError: the model's channels are neither grey nor RGB, and not those of the file.
            Mismatch: they are those of the file, which has another size.
        """
        channels, height, width = shape
        if self.exact is not None and tuple(self.exact.shape) == tuple(shape):
            return to_model(to_levels(to_model(self.exact[None], self.levels), levels), levels)
        if self.exact is not None and not {len(self.exact), channels} <= {1, 3}:
            if len(self.exact) != channels:
                need = "its grey values are needed" if channels == 1 else f"the model {channels}"
                raise DataError(f"the image has {len(self.exact)} channels, {need}: {self.name}")
            raise Mismatch(
                f"{self.name} is {self.size[0]}x{self.size[1]} pixels, not {width}x{height} (width x height)",
                f"images of {channels} channels are not scaled",
            )
        if channels not in (1, 3):
            raise DataError(f"an image file has 1 or 3 channels, the model {channels}: {self.name}")
        fitted = fit(self.picture, height, width).convert("L" if channels == 1 else "RGB")
        values = torch.from_numpy(np.atleast_3d(np.array(fitted))).movedim(2, 0)
        return to_model(to_levels(to_model(values[None]), levels), levels)

    def scaled(self, height: int, width: int) -> tuple[str, ...]:
        """What `seen` does to its size, in a line; nothing where it has this height and width."""
        if self.size == (width, height):
            return ()
        cut = frame(self.size, height, width) != (0, 0, *self.size)
        sizes = f"{self.size[0]}x{self.size[1]} pixels, not {width}x{height} (width x height)"
        return (
            f"{self.name} is {sizes}: scaled{' and cut to its middle' if cut else ''}, as the run reads its own images",
        )

    def require_smaller(self, height: int, width: int) -> None:
        """Refuse a picture that is to be enlarged to a height and width that it has already.

        Raises:
            Mismatch: it has them.
        """
        if self.size[0] >= width and self.size[1] >= height:
            raise Mismatch(
                f"{self.name} is {self.size[0]}x{self.size[1]} pixels, and would be enlarged to {width}x{height}",
                "the image to give is the small one, the model's size is what it becomes",
            )


def read_photo(path: Path) -> Photo:
    """The picture in a file.

    Raises:
        NotFound: no such file.
        DataError: it cannot be read.
    """
    _require_file(path)
    try:
        return _exact(path) or Photo(decode(path), repr(str(path)))
    except READ_ERRORS as error:
        raise DataError(f"cannot read the image {str(path)!r}: {error}") from error


def _exact(path: Path) -> Photo | None:
    """What a file of our own holds; None of a file that is a picture."""
    if (
        path.stat().st_size > MAX_BYTES
        or (meaning := meaning_of(data := path.read_bytes())) is None
        or meaning.is_picture
    ):
        return None
    values = values_of(data, meaning)
    seen = nearest(values, BYTES, meaning.levels - 1)
    picture = Image.fromarray(np.moveaxis(seen[:3], 0, 2).copy() if len(seen) >= 3 else seen[0])
    return Photo(picture, repr(str(path)), torch.from_numpy(values.astype(np.int32)), meaning.levels)


def photo_of(picture: Image.Image, name: str = "the image") -> Photo:
    """A picture of Pillow's.

    Raises:
        DataError: its pixels have no known range, or its file is damaged.
    """
    try:
        return Photo(as_shown(picture), name)
    except READ_ERRORS as error:
        raise DataError(f"cannot use the picture: {error}") from error


def raw_picture(path: Path) -> Image.Image:
    """The picture in a file as it is stored, in its own mode.

    Raises:
        NotFound, DataError: as `read_photo`.
    """
    _require_file(path)
    try:
        with opened(path) as image:
            image.load()
            return image
    except READ_ERRORS as error:
        raise DataError(f"cannot read the image {str(path)!r}: {error}") from error


def on_levels(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Real images (N, C, H, W) that lie in [-1, 1] on `levels` values, as float32 that lies on them exactly.

    Raises:
        UsageError: they do not.
    """
    check_images(x, levels)
    if x.ndim != 4:
        raise UsageError(f"images are (N, C, H, W), got the shape {tuple(x.shape)}")
    return to_model(to_levels(x, levels), levels)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise NotFound(f"{'a folder, not an image' if path.is_dir() else 'no such image'}: {str(path)!r}")
