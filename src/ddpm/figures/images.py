"""Images as a value that a person can look at, index, save and hand on: what sampling gives, and what data arguments take."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm.data.decoding.picture import READ_ERRORS, as_shown
from ddpm.data.imageset import ImageSet, no_labels, to_levels
from ddpm.data.inputs import from_picture, on_levels, read_mask, read_unscaled, to_mask
from ddpm.data.open import open_source
from ddpm.data.sources.npz import from_array
from ddpm.data.splits import DEFAULT, Options
from ddpm.errors import CannotCreate, DataError, Mismatch, UsageError
from ddpm.figures.pictures import numbered, save_each, square, tile, to_pictures, to_pil
from ddpm.tensors import ImageBatch

SHOWN = 64
"""So many images are in the picture that a notebook shows."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images on the CPU.

    Args:
        tensor: (N, C, H, W) float32 in [-1, 1].
        levels: how many values a pixel's channel can have: 256 for 8 bits.
        labels: the class of each image, (N,) int64; None where there are none.
        classes: what the labels 0, 1, ... are called, where they have names.
        texts: how each was drawn, as JSON: `save` writes it into the files. None for images that were not drawn here.
        first: the number of the first image: `save` begins with it.

    Example:
        >>> import ddpm
        >>> digits = ddpm.images("digits")
        >>> len(digits), digits[3].numpy().shape
        (1797, (1, 8, 8, 1))
    """

    tensor: Tensor
    levels: int = 256
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    texts: Sequence[str] | None = field(default=None, repr=False)
    first: int = 0

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.tensor.shape[1:]))
        return f"Images({len(self)} of {shape}, {self.levels} levels)"

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, which: int | slice | Sequence[int]) -> "Images":
        """One image, or several, as Images."""
        rows = list(range(len(self)))[which] if isinstance(which, int | slice) else which
        rows = [rows] if isinstance(rows, int) else list(rows)
        return Images(
            self.tensor[rows],
            self.levels,
            None if self.labels is None else self.labels[rows],
            self.classes,
            None if self.texts is None else [self.texts[row] for row in rows],
            self.first + rows[0] if rows else self.first,
        )

    def __iter__(self) -> Iterator["Images"]:
        return (self[row] for row in range(len(self)))

    def numpy(self) -> np.ndarray:
        """(N, H, W, C), the data's own integers 0..levels-1: uint8, or uint16 above 256 levels."""
        values = to_levels(self.tensor, self.levels).movedim(1, 3).numpy()
        return values if self.levels <= 256 else values.astype(np.uint16)

    def pil(self) -> list[Image.Image]:
        """Pillow images of 8 bits, grey or RGB."""
        return [to_pil(picture) for picture in to_pictures(self.tensor, self.levels)]

    def save(self, folder: str | Path) -> list[Path]:
        """One PNG for each, as `ddpm sample` writes them: 000000.png, 000001.png, ...

        Raises:
            CannotCreate: one of these files is there already.
        """
        place = Path(folder).expanduser()
        rows = range(self.first, self.first + len(self))
        if taken := next((name for name in map(numbered, rows) if (place / name).exists()), None):
            raise CannotCreate(f"there is a {taken} in {str(folder)!r} already", "give another folder")
        place.mkdir(parents=True, exist_ok=True)
        return save_each(to_pictures(self.tensor, self.levels), place, self.first, self._text())

    def _text(self) -> Callable[[int], str] | None:
        texts = self.texts
        return None if texts is None else lambda row: texts[row - self.first]

    def grid(self, path: str | Path | None = None, columns: int | None = None) -> Image.Image:
        """All of them in one picture, small ones enlarged; written to `path`, if there is one.

        Args:
            path: a file; its ending says which kind.
            columns: how many in a row; about as many as there are rows, if not given.
        """
        pictures = to_pictures(self.tensor, self.levels)
        sheet = tile(pictures, columns) if columns else square(pictures)
        if path is not None:
            sheet.save(Path(path).expanduser())
        return sheet

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the first ones in a grid."""
        if not len(self):
            return None
        data = io.BytesIO()
        self[:SHOWN].grid().save(data, format="PNG")
        return data.getvalue()


Data: TypeAlias = str | Path | np.ndarray | Tensor | Images | Image.Image | Sequence[Image.Image]
"""What may be given as data: a source's name or path, an array, a tensor, Pillow images, or Images."""


def images_of(found: ImageSet) -> Images:
    """An image set as images in memory."""
    found = found.in_memory()
    labels = found.labels if len(found.labels) else None
    return Images(found.scaled(), found.levels, labels, found.classes)


def image_set(data: Data, split: str, options: Options = DEFAULT, levels: int = 256) -> ImageSet:
    """What was given as data, as integers.

    Args:
        data: see `Data`. Integers are (N, H, W), (N, H, W, C) or (N, C, H, W), real numbers (N, C, H, W) in [-1, 1].
        split: of a source: "train", "test" or "all". Other data are one part.
        options: how a source is read.
        levels: of arrays, tensors and pictures, which do not say it.

    Raises:
        UsageError: real numbers outside [-1, 1] or off the levels, or something that is no data.
        NotFound, DataError: as `open_source`.
    """
    if isinstance(data, str | Path):
        return open_source(str(data), split, options)
    if isinstance(data, Image.Image):
        data = [data]
    if isinstance(data, Images):
        labels = no_labels() if data.labels is None else data.labels
        return ImageSet("images", to_levels(data.tensor, data.levels), data.levels, labels, classes=data.classes)
    if isinstance(data, np.ndarray | Tensor):
        array = data.detach().cpu().numpy() if isinstance(data, Tensor) else data
        if np.issubdtype(array.dtype, np.floating):
            return ImageSet("tensor", to_levels(on_levels(torch.from_numpy(array), levels), levels), levels)
        return from_array("array", array, levels=levels)
    if isinstance(data, Sequence) and data and all(isinstance(one, Image.Image) for one in data):
        return from_array("pictures", _stacked(data), levels=levels)
    raise UsageError(
        f"no images: {type(data).__name__}",
        "data is the name of a source, a path, an array, a tensor, Pillow images or ddpm.Images",
    )


def _stacked(pictures: Sequence[Image.Image]) -> np.ndarray:
    """(N, H, W, C) uint8, grey where all are.

    Raises:
        DataError: they differ in size, or one cannot be read.
    """
    try:
        pictures = [as_shown(picture) for picture in pictures]
    except READ_ERRORS as error:
        raise DataError(f"cannot use a picture: {error}") from error
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    sizes = {picture.size for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"pictures differ in size: {', '.join(f'{w}x{h}' for w, h in sorted(sizes)[:3])}")
    return np.stack([np.atleast_3d(np.array(picture.convert(mode))) for picture in pictures])


def one_image(given: Data, shape: tuple[int, ...], levels: int) -> ImageBatch:
    """One image as a model of `shape` and `levels` sees it, (1, C, H, W): a path, a picture, an array, a tensor or Images.

    Raises:
        UsageError: several images, or something else.
        Mismatch: it has another height, width or number of channels.
        NotFound, DataError: it cannot be read.
    """
    if isinstance(given, str | Path):
        return read_unscaled(Path(given).expanduser(), shape, levels)
    if isinstance(given, Image.Image):
        return from_picture(given, shape, levels)
    if isinstance(given, np.ndarray | Tensor):
        channels, height, width = shape
        if tuple(given.shape) == (height, width, channels) != tuple(shape):
            given = torch.as_tensor(given).movedim(2, 0)
        given = given[None] if given.ndim in (2, 3) else given
    found = image_set(given, "all", levels=levels)
    if len(found) != 1:
        raise UsageError(f"one image is needed, not {len(found)}")
    if found.shape != tuple(shape) or found.levels != levels:
        raise Mismatch(
            f"the model is for an image {tuple(shape)} of {levels} levels, not {found.shape} of {found.levels}"
        )
    return found.scaled()


def a_mask(given: "str | Path | Image.Image | np.ndarray | Tensor", height: int, width: int) -> Tensor:
    """Where to draw, (1, 1, H, W) bool: white of a picture (a path, or Pillow's), true or not 0 of an array (H, W).

    Raises:
        Mismatch: it has another height or width.
        NotFound, DataError: it cannot be read.
    """
    if isinstance(given, str | Path):
        return read_mask(Path(given).expanduser(), height, width)
    return to_mask(given, height, width)
