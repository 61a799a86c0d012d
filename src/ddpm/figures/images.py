"""Images as a value that a person can look at, index, save and hand on: what sampling gives, and what data arguments take."""

import io
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm.checks import check_images
from ddpm.data.decoding.exact import BYTES, MAX_LEVELS, Meaning
from ddpm.data.decoding.picture import fit
from ddpm.data.imageset import ImageSet, no_labels, to_levels, to_model
from ddpm.data.inputs import Photo, on_levels, photo_of, read_photo
from ddpm.data.labels import fault_of, labels_of
from ddpm.data.masks import Mask, mask_of, read_mask
from ddpm.data.open import open_source
from ddpm.data.sources.npz import FEW_CHANNELS, from_array
from ddpm.data.splits import DEFAULT, Options, SizesDiffer, converted
from ddpm.errors import SHOWN as SHOWN_OF_VALUE
from ddpm.errors import CannotCreate, DataError, Mismatch, RunWarning, UsageError, chosen, warn
from ddpm.figures.paste import WAYS
from ddpm.figures.pictures import meanings, numbered, save_npz, save_one, save_pil, square, tile, to_pictures, to_pil
from ddpm.tensors import ImageBatch

SHOWN = 64
"""So many images are in the picture that a notebook shows."""
INDICES = "give a whole number, a slice, several numbers, or true or false for each"
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class Images:
    """Images on the CPU.

    Args:
        tensor: (N, C, H, W), real numbers in [-1, 1]; kept as float32.
        levels: how many values a pixel's channel can have: 256 for 8 bits.
        labels: the class of each image, (N,) whole numbers, -1 where it is not known; None where there are none.
        classes: what the labels 0, 1, ... are called, where they have names.
        texts: how each was drawn, as JSON: `save` writes it into the files. None for images that were not drawn here.
        numbers: the number of each image, after which `save` names its file; None for 0, 1, ..., N - 1.

    Raises:
        UsageError: one of these is something else, or they do not fit together.

    Example:
        >>> import ddpm
        >>> digits = ddpm.images("digits")
        >>> len(digits), digits[3].numpy().shape
        (1797, (1, 8, 8, 1))
    """

    tensor: Tensor
    levels: int = BYTES
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    texts: Sequence[str] | None = field(default=None, repr=False)
    numbers: tuple[int, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensor", _checked(self.tensor))
        object.__setattr__(self, "levels", _checked_levels(self.levels))
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.labels is not None:
            labels, classes = _checked_labels(self.labels, len(self), self.classes)
            object.__setattr__(self, "labels", labels)
            object.__setattr__(self, "classes", classes)
        if fault := fault_of(self.labels, self.classes):
            raise UsageError(fault)
        for what, given in (("texts", self.texts), ("numbers", self.numbers)):
            if given is not None and len(given) != len(self):
                raise UsageError(f"there are {len(given)} {what} for {len(self)} images")

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.tensor.shape[1:]))
        return f"Images({len(self)} of {shape}, {self.levels} levels)"

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, which: SupportsIndex | slice | Sequence[Any] | np.ndarray | Tensor) -> "Images":
        """One image, or several, as Images, which keep their numbers.

        Args:
            which: a whole number, a slice, several numbers in any order, or a mask: true or false for each image.

        Raises:
            IndexError: there is no such image.
            UsageError: it is none of these.
        """
        rows = _rows_of(which, len(self))
        each: list[int] = rows.tolist()
        numbers = range(len(self)) if self.numbers is None else self.numbers
        texts = None if self.texts is None else [self.texts[row] for row in each]
        some = Images(self.tensor[rows], self.levels, None, self.classes, texts, tuple(numbers[row] for row in each))
        return some if self.labels is None else _labelled(some, self.labels[rows])

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
        """One PNG for each, as `ddpm sample` writes them: 000000.png, 000001.png, ...; named after the images' numbers.

        A folder of them is read back as these images: levels, channels and classes stand in the files.

        Raises:
            UsageError: two of the images have the same number.
            CannotCreate: one of these files is there already.
        """
        place, numbers, texts = self._place(folder)
        values, channels = to_levels(self.tensor, self.levels), self.tensor.shape[1]
        said = [Meaning(self.levels, channels)] * len(self)
        if self.labels is not None:
            said = meanings(self.levels, channels, self.labels.tolist(), self.classes)
        each = zip(values, numbers, said, texts, strict=True)
        return [save_one(image, place, number, meaning, text) for image, number, meaning, text in each]

    def paste(
        self,
        photo: "Data",
        mask: str | Path | Image.Image | np.ndarray | Tensor | None = None,
        folder: str | Path | None = None,
        *,
        what: str = "all",
    ) -> list[Image.Image]:
        """The photograph that the images were drawn from, at its own size, with each of them in the place that the model saw.

        Args:
            photo: a path or a Pillow image, of any size; an array, a tensor or Images of the size of these, as they were edited.
            mask: where it was filled; every other pixel of the photograph stays as it is. None is all that the model saw.
            folder: where to write them, as `ddpm inpaint | edit --paste` does; None for nowhere.
            what: "all", or "colour" for the photograph's own brightness with the colours of the images.

        Raises:
            UsageError: there is no such way, the photograph is none, or as `save`.
            Mismatch: an array or a tensor has another size.
            NotFound, DataError: photograph or mask cannot be read.
            CannotCreate: as `save`.

        Example:
            >>> import ddpm
            >>> from PIL import Image
            >>> images = ddpm.images("digits")[:2]
            >>> [picture.size for picture in images.paste(Image.new("L", (60, 40)))]
            [(60, 40), (60, 40)]
        """
        way, (channels, height, width) = chosen(WAYS, what, "way to paste"), self.tensor.shape[1:]
        grey = what == "colour" and isinstance(photo, np.ndarray | Tensor) and math.prod(photo.shape) == height * width
        whole = _photograph(photo, (1 if grey else channels, height, width), BYTES if grey else self.levels)
        hole = None if mask is None else a_mask(mask).over(whole.size, height, width)
        found = [way(whole.picture, picture, hole) for picture in self.pil()]
        if folder is not None:
            place, numbers, texts = self._place(folder)
            for picture, number, text in zip(found, numbers, texts, strict=True):
                save_pil(picture, place, number, text)
        return found

    def _place(self, folder: str | Path) -> tuple[Path, tuple[int, ...], Sequence[str | None]]:
        """The folder for a file of each image, which is made; their numbers, and how each was drawn.

        Raises:
            UsageError, CannotCreate: as `save`.
        """
        place = Path(folder).expanduser()
        numbers = tuple(range(len(self))) if self.numbers is None else self.numbers
        if len(set(numbers)) < len(numbers):
            raise UsageError(
                f"two of the images have the same number, {max(numbers, key=numbers.count)}: their files have one name"
            )
        if taken := next((name for name in map(numbered, numbers) if (place / name).exists()), None):
            raise CannotCreate(f"there is a {taken} in {str(folder)!r} already", "give another folder")
        place.mkdir(parents=True, exist_ok=True)
        return place, numbers, [None] * len(self) if self.texts is None else self.texts

    def save_npz(self, path: str | Path) -> Path:
        """All in one file, as `ddpm sample --npz` writes them: (N, H, W, C) integers under arr_0, and what they mean.

        Raises:
            UsageError: the name does not end in .npz.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() != ".npz":
            raise UsageError(f"the file must end in .npz: {str(path)!r}")
        labels = () if self.labels is None else self.labels.tolist()
        place.parent.mkdir(parents=True, exist_ok=True)
        save_npz(to_levels(self.tensor, self.levels), place, labels, self.levels, self.classes)
        return place

    def grid(self, path: str | Path | None = None, columns: int | None = None) -> Image.Image:
        """All of them in one picture, small ones enlarged; written to `path`, if there is one.

        Args:
            path: a file; its ending says which kind. Its folder is made where it is missing.
            columns: how many in a row; about as many as there are rows, if not given.

        Raises:
            UsageError: there are no images, less than one column, or the ending is that of no picture.
        """
        if columns is not None and columns < 1:
            raise UsageError(f"a grid has at least 1 column, not {columns}")
        if not len(self):
            raise UsageError("there are no images for a grid")
        place = None if path is None else Path(path).expanduser()
        if place is not None and Image.registered_extensions().get(place.suffix.lower()) not in Image.SAVE:
            raise UsageError(f"a picture's name ends in .png, .jpg, .webp, ..., not {place.suffix!r}: {str(path)!r}")
        pictures = to_pictures(self.tensor, self.levels)
        sheet = square(pictures) if columns is None else tile(pictures, columns)
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            sheet.save(place)
        return sheet

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the first ones in a grid."""
        if not len(self):
            return None
        data = io.BytesIO()
        self[:SHOWN].grid().save(data, format="PNG")
        return data.getvalue()


def _rows_of(which: SupportsIndex | slice | Sequence[Any] | np.ndarray | Tensor, count: int) -> Tensor:
    """The rows, (n,) int64, of `count` that an index means: a whole number, a slice, several numbers or a mask.

    Raises:
        IndexError: a number is beyond them.
        UsageError: it is no index.
    """
    try:
        if isinstance(which, slice):
            return torch.tensor(range(count)[which], dtype=torch.int64)
        given = which.detach().cpu().numpy() if isinstance(which, Tensor) else np.asarray(which)
    except (TypeError, ValueError) as error:
        raise UsageError(f"images have no index {repr(which)[:SHOWN_OF_VALUE]}: {INDICES}") from error
    if given.dtype.kind == "b" and given.ndim == 1:
        if len(given) != count:
            raise UsageError(f"a mask is true or false for each of the {count} images, not for {len(given)}")
        return torch.from_numpy(given.nonzero()[0])
    if given.ndim > 1 or (given.dtype.kind not in "iu" and given.shape != (0,)):
        raise UsageError(f"images have no index {repr(which)[:SHOWN_OF_VALUE]}: {INDICES}")
    rows = given.reshape(-1).astype(np.int64)
    beyond = rows[(rows < -count) | (rows >= count)]
    if len(beyond):
        raise IndexError(f"there is no image {beyond[0]} among {count}")
    return torch.from_numpy(np.where(rows < 0, rows + count, rows))


def _checked(x: Tensor) -> Tensor:
    """Images as they are kept: float32 on the CPU, without a gradient."""
    expected = "images are a tensor (N, C, H, W) of real numbers in [-1, 1]"
    if not isinstance(x, Tensor):
        raise UsageError(f"{expected}, not {type(x).__name__}", "ddpm.images takes arrays, pictures and sources")
    if not x.is_floating_point():
        raise UsageError(f"{expected}, not {x.dtype}", "ddpm.images takes integers")
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise UsageError(f"{expected}, not of the shape {tuple(x.shape)}")
    return x.detach().to("cpu", torch.float32)


def _checked_levels(levels: SupportsIndex) -> int:
    try:
        number = 0 if isinstance(levels, bool) else operator.index(levels)
    except TypeError:
        number = 0
    if not 2 <= number <= MAX_LEVELS:
        raise UsageError(f"levels are a whole number, 2..{MAX_LEVELS}, not {levels!r}")
    return number


def _labelled(images: Images, labels: Tensor) -> Images:
    """The images with labels that were read by the rule of all sources already: few of many keep the numbers they had."""
    labelled = replace(images)
    object.__setattr__(labelled, "labels", labels)
    return labelled


def _checked_labels(labels: Tensor, count: int, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """By the rule of all sources (`labels_of`), and the names of the classes."""
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise UsageError(f"labels are a tensor (N,) of whole numbers, not {kind}")
    if tuple(labels.shape) not in ((count,), (count, 1)):
        raise UsageError(f"labels of {count} images have the shape ({count},), not {tuple(labels.shape)}")
    try:
        return labels_of("images", labels.detach().cpu().numpy(), count, classes)
    except DataError as error:
        raise UsageError(str(error)) from error


Data: TypeAlias = str | Path | np.ndarray | Tensor | Images | Image.Image | Sequence[Image.Image]
"""What may be given as data: a source's name or path, an array, a tensor, Pillow images, or Images."""


def images_of(found: ImageSet) -> Images:
    """An image set as images in memory."""
    found = found.in_memory()
    images = Images(found.scaled(), found.levels, classes=found.classes)
    return _labelled(images, found.labels) if len(found.labels) else images


def image_set(data: Data, split: str, options: Options = DEFAULT, levels: int = BYTES) -> ImageSet:
    """What was given as data, as integers.

    Args:
        data: see `Data`. Integers are (N, H, W), (N, H, W, C) or (N, C, H, W), of a uint8 tensor (N, C, H, W) where that can
            be; real numbers are (N, C, H, W) in [-1, 1].
        split: of a source: "train", "test", "all", or "validation" where there is one beside the two. Other data are one part.
        options: how a source is read; the resolution and the channels are those of other data too.
        levels: of arrays and tensors, which do not say it. Pillow images have 256, and are brought to the nearest of these.

    Raises:
        UsageError: real numbers outside [-1, 1] or off the levels, or something that is no data.
        NotFound, DataError: as `open_source`; or integers whose shape can be read in two ways.
    """
    if isinstance(data, str | Path):
        return open_source(str(data), split, options)
    if isinstance(data, Image.Image):
        data = [data]
    if isinstance(data, Images):
        labels = no_labels() if data.labels is None else data.labels
        found = ImageSet("images", to_levels(data.tensor, data.levels), data.levels, labels, classes=data.classes)
        return converted(found, options)
    if isinstance(data, np.ndarray | Tensor):
        return converted(_of_array(data, levels, options.layout), options)
    if levels > BYTES:
        raise DataError(f"Pillow images have at most 256 levels, not {levels}", "an array of uint16 has more")
    if isinstance(data, Sequence) and data and all(isinstance(one, Image.Image) for one in data):
        pictures = converted(ImageSet("pictures", _stacked(data, options)), options)
        return (
            pictures
            if levels == BYTES
            else replace(pictures, images=to_levels(pictures.scaled(), levels), levels=levels)
        )
    raise UsageError(
        f"no images: {type(data).__name__}",
        "data is the name of a source, a path, an array, a tensor, Pillow images or ddpm.Images",
    )


def _of_array(data: np.ndarray | Tensor, levels: int, layout: str | None = None) -> ImageSet:
    """An array or a tensor as integers. `layout` is where its channels are, if that is known."""
    if isinstance(data, Tensor):
        data = data.detach().cpu()
        if not data.is_floating_point():
            by_convention = "NCHW" if data.ndim == 4 and 1 <= data.shape[1] <= FEW_CHANNELS else None
            return from_array("tensor", data.numpy(), levels=levels, layout=layout or by_convention)
        real = data.float()
    elif np.issubdtype(data.dtype, np.floating):
        real = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32))
    else:
        return from_array("array", data, levels=levels, layout=layout)
    return ImageSet("tensor", to_levels(on_levels(real, levels), levels), levels)


def _stacked(pictures: Sequence[Image.Image], options: Options) -> Tensor:
    """(N, C, H, W) uint8, grey where all are; of the size that is asked for, if one is.

    Raises:
        SizesDiffer: they differ in size, and none is asked for.
        DataError: one cannot be read.
    """
    shown = [photo_of(picture).picture for picture in pictures]
    mode = "L" if all(picture.mode == "L" for picture in shown) else "RGB"
    sizes = {picture.size for picture in shown}
    if len(sizes) > 1 and options.resolution is not None:
        shown = [fit(picture, *options.resolution) for picture in shown]
    elif len(sizes) > 1:
        raise SizesDiffer(f"pictures differ in size: {', '.join(f'{w}x{h}' for w, h in sorted(sizes)[:3])}")
    stacked = np.stack([np.atleast_3d(np.array(picture.convert(mode))) for picture in shown])
    return torch.from_numpy(stacked).movedim(3, 1).contiguous()


def one_image(given: Data, shape: tuple[int, ...], levels: int) -> ImageBatch:
    """One image as a model of `shape` and `levels` sees it, (1, C, H, W): a path, a picture, an array, a tensor or Images.

    Pictures of any size are scaled and cut (`Photo.seen`). Where 256 levels are asked for, Images are taken as the file is that
    `save` writes of them. Real numbers in [-1, 1] are taken to the nearest level, as a file of them is; those of 0..1 are refused.

    Warns:
        RunWarning: it was scaled.

    Raises:
        UsageError: several images, real numbers of 0..1, or something else.
        Mismatch: an array or a tensor has another height, width or number of channels.
        NotFound, DataError: it cannot be read.
    """
    photo = a_photo(given, shape, levels)
    if photo is not None:
        x = photo.seen(shape, levels)
        tell(*photo.scaled(*shape[1:]))
        return x
    if isinstance(given, np.ndarray | Tensor):
        one = torch.as_tensor(_as_batch(given, shape)).detach().cpu()
        if one.is_floating_point():
            return _on_a_model(one.float(), levels)
        return _of_array(one, levels, "NCHW").scaled()
    found = image_set(given, "all", levels=levels)
    if len(found) != 1:
        raise UsageError(f"one image is needed, not {len(found)}")
    if found.shape == tuple(shape) and found.levels == levels:
        return found.scaled()
    raise Mismatch(f"the model is for an image {tuple(shape)} of {levels} levels, not {found.shape} of {found.levels}")


def _on_a_model(x: Tensor, levels: int) -> ImageBatch:
    """Real images at the nearest of these levels, as a file of them is: a sample's own tensor lies between them.

    Raises:
        UsageError: no value is below 0, and they are neither on these levels nor on those of bytes: they are of 0..1.
    """
    check_images(x)
    if not bool((x < 0).any()):
        try:
            on_levels(x, BYTES)
        except UsageError:
            on_levels(x, levels)
    return to_model(to_levels(x, levels), levels)


def a_photo(given: Data, shape: tuple[int, ...], levels: int) -> Photo | None:
    """What was given, as a picture of any size; None if it is none: an image of this shape and levels already, or a tensor.

    Raises:
        NotFound, DataError: it cannot be read.
    """
    if isinstance(given, str | Path):
        return read_photo(Path(given).expanduser())
    if isinstance(given, Image.Image):
        return photo_of(given)
    if isinstance(given, Images) and len(given) == 1 and levels == BYTES >= given.levels:
        return photo_of(given.pil()[0])
    return None


def _photograph(given: Data, shape: tuple[int, ...], levels: int) -> Photo:
    """The picture into which images of this shape are written: of any size, or a value that `one_image` takes."""
    photo = a_photo(given, shape, BYTES)
    return photo_of(Images(one_image(given, shape, levels), levels).pil()[0]) if photo is None else photo


def size_of(given: Data, shape: tuple[int, ...], levels: int) -> tuple[int, int]:
    """Width and height of an image that `one_image` takes."""
    photo = a_photo(given, shape, levels)
    return (shape[2], shape[1]) if photo is None else photo.size


def tell(*lines: str) -> None:
    """Warn a caller of what became of what was given."""
    for line in lines:
        warn(line, RunWarning)


def _as_batch(given: np.ndarray | Tensor, shape: tuple[int, ...]) -> np.ndarray | Tensor:
    """One image (H, W), (C, H, W) or (H, W, C), or a batch of one, as (1, C, H, W) of this shape."""
    channels, height, width = shape
    one = given
    if one.ndim == 4:
        if len(one) != 1:
            raise UsageError(f"one image is needed, not {len(one)}")
        one = one[0]
    one = one[None] if one.ndim == 2 else one
    if tuple(one.shape) == (height, width, channels) != tuple(shape):
        one = one.movedim(2, 0) if isinstance(one, Tensor) else np.moveaxis(one, 2, 0)
    if tuple(one.shape) != tuple(shape):
        raise Mismatch(
            f"the model is for an image {tuple(shape)}, not for an array of the shape {tuple(given.shape)}",
            "a picture of any size is scaled and cut: PIL.Image.fromarray(array), or its path",
        )
    return one[None]


def a_mask(given: str | Path | Image.Image | np.ndarray | Tensor) -> Mask:
    """Where to draw: white of a picture (a path, or Pillow's), true or not 0 of an array (H, W); of any size.

    Raises:
        Mismatch: an array has another number of dimensions.
        NotFound, DataError: it cannot be read.
    """
    return read_mask(Path(given).expanduser()) if isinstance(given, str | Path) else mask_of(given)
