"""npy and npz files of integer images: (N, H, W), (N, H, W, C) or (N, C, H, W), unsigned.

In an npz the array of images is called "images", "arr_0" or "x", or there are "x_train" and "x_test", which are then the
split. Labels ("labels", "arr_1", "y", "y_train", ...; numbers or texts), "classes" (their names), a number "levels" and a
"layout" are optional. Where neither the file nor the caller says the layout, channels are 1 to 4, and a shape that could be read
in two ways is refused. Nothing is unpickled.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ddpm.data.decoding.exact import BYTES, MAX_LEVELS
from ddpm.data.imageset import ImageSet, no_labels
from ddpm.data.labels import fault_of, labels_of
from ddpm.data.splits import LAYOUTS, Options, check_values
from ddpm.errors import SHOWN, DataError

IMAGES = {"train": ("x_train", "train_images"), "test": ("x_test", "test_images"), "all": ("images", "arr_0", "x")}
LABELS = {"train": ("y_train", "train_labels"), "test": ("y_test", "test_labels"), "all": ("labels", "arr_1", "y")}
FEW_CHANNELS = 4
"""An axis this short is taken for that of the channels, where nothing says which one that is; there may be more channels."""


def has_split(path: Path) -> bool:
    """Whether the file holds a train and a test part."""
    names = _names(path)
    return all(names & set(IMAGES[part]) for part in ("train", "test"))


def read(path: Path, part: str, options: Options) -> ImageSet:
    """A part of the file."""
    possible = [part] if part != "all" else list(IMAGES)
    wanted = {"levels", "classes", "layout", *(name for p in possible for name in (*IMAGES[p], *LABELS[p]))}
    arrays = _load(path, wanted)
    parts = [name for name in possible if _named(arrays, IMAGES[name]) is not None]
    if not parts:
        raise DataError(f"no images in {str(path)!r}: it holds {', '.join(sorted(_names(path))) or 'nothing'}")
    said, layout = _levels(arrays, path), _said_layout(arrays, path)
    if layout and options.layout not in (None, layout):
        raise DataError(f'{str(path)!r} says "layout" {layout}, not {options.layout}')
    found = [(_named(arrays, IMAGES[name]), _named(arrays, LABELS[name])) for name in parts]
    sets = [
        from_array(
            str(path),
            images,
            said or _possible(options.levels, images.dtype),
            layout
            or options.layout
            or _kept_by_us(arrays, images.shape)
            or _a_set(images, labels, told=said is not None or parts != ["all"]),
        )
        for images, labels in found
        if images is not None
    ]
    told = [labels for _, labels in found if labels is not None]
    labels, classes = no_labels(), _classes(arrays, path)
    if len(told) == len(sets):
        columns = [_column(str(path), one, len(part)) for one, part in zip(told, sets, strict=True)]
        labels, classes = labels_of(str(path), np.concatenate(columns), sum(map(len, sets)), classes)
    elif fault := fault_of(labels, classes):
        raise DataError(f"in {str(path)!r} {fault}")
    return ImageSet(path.name, torch.cat([s.tensor() for s in sets]), sets[0].levels, labels, classes=classes)


def _levels(arrays: Mapping[str, np.ndarray], path: Path) -> int | None:
    """How many values the file says that a pixel can have."""
    said = arrays.get("levels")
    if said is None:
        return None
    if said.size != 1 or said.dtype.kind not in "iuf" or said.item() not in range(2, MAX_LEVELS + 1):
        shown = repr(said.item()) if said.size == 1 else f"an array of the shape {said.shape}"
        raise DataError(f'"levels" in {str(path)!r} must be a whole number, 2..{MAX_LEVELS}, not {shown[:SHOWN]}')
    return int(said.item())


def _possible(levels: int | None, dtype: np.dtype) -> int | None:
    """The levels that the caller says a file has that says none, if it can have them: uint8 has 256 at most."""
    return None if levels is None or (levels > BYTES and dtype == np.uint8) else levels


def _said_layout(arrays: Mapping[str, np.ndarray], path: Path) -> str | None:
    """What the file says its axes are."""
    said = arrays.get("layout")
    if said is None:
        return None
    if said.size != 1 or said.item() not in LAYOUTS:
        shown = repr(said.item()) if said.size == 1 else f"an array of the shape {said.shape}"
        raise DataError(f'"layout" in {str(path)!r} must be one of {", ".join(LAYOUTS)}, not {shown[:SHOWN]}')
    return str(said.item())


def _kept_by_us(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> str | None:
    """The layout of images that a run kept before files said it: they stand with "levels", under "images"."""
    return "NCHW" if {"images", "levels"} <= arrays.keys() and len(shape) == 4 and _layout(shape) is None else None


def _a_set(images: np.ndarray, labels: np.ndarray | None, *, told: bool) -> str | None:
    """The layout of grey images in a file that is a set: it has a split or says its levels (`told`), or has labels for its rows."""
    labelled = labels is not None and labels.shape[:1] == images.shape[:1]
    one_picture = images.shape[-1] <= FEW_CHANNELS
    return "NHW" if images.ndim == 3 and (labelled or (told and not one_picture)) else None


def arrays_of(
    values: torch.Tensor, levels: int, labels: Sequence[int] = (), classes: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """What a file holds of images (N, C, H, W) of 0..levels-1, so that `read` gives them back: with all that it must know."""
    pixels = values.movedim(1, 3).numpy()
    found = {
        "arr_0": pixels if levels <= BYTES else pixels.astype(np.uint16),
        "levels": np.array(levels),
        "layout": np.array("NHWC"),
    }
    if len(labels):
        found["arr_1"] = np.array(labels, dtype=np.int64)
    if len(classes):
        found["classes"] = np.array(classes)
    return found


def _classes(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[str, ...]:
    """The names of the labels 0, 1, ...; empty where there are none."""
    said = arrays.get("classes")
    if said is None or not said.size:
        return ()
    if said.ndim != 1 or said.dtype.kind != "U":
        raise DataError(
            f'"classes" in {str(path)!r} must be a list of texts, not {said.dtype} of the shape {said.shape}'
        )
    return tuple(map(str, said))


def _names(path: Path) -> set[str]:
    """The arrays in a file, without reading them."""
    if path.suffix == ".npy":
        return {"images"}
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


def _load(path: Path, wanted: set[str]) -> Mapping[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"images": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files if name in wanted}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


def _named(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def from_array(
    name: str,
    images: np.ndarray,
    levels: int | None = None,
    layout: str | None = None,
) -> ImageSet:
    """An array of integer images, (N, H, W), (N, H, W, C) or (N, C, H, W), as a set.

    Args:
        name: for messages.
        images: uint8 or uint16.
        levels: how many values a pixel can have; None is 256, or 65536.
        layout: of `LAYOUTS`; None where the shape says it, channels being 1 to 4.

    Raises:
        DataError: it is of another type or shape, holds values beyond the levels, has too few for them, or could be read in
            several layouts.
    """
    if images.dtype.kind == "u" and images.dtype.itemsize == 2:
        images = images.astype(np.uint16, copy=False)  # of either byte order
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images in {name!r} are {images.dtype}; they must be uint8 or uint16",
            "a model of pixels needs the original integers",
            _way_to(images, levels),
        )
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise DataError(f"images in {name!r} have shape {images.shape}; expected (N, H, W[, C]) or (N, C, H, W)")
    if levels is not None and levels > BYTES and images.dtype == np.uint8:
        raise DataError(f"images in {name!r} are uint8, which has at most 256 levels, not {levels}")
    layout = layout or _layout(images.shape)
    if layout is None:
        raise _ambiguous(name, images.shape)
    if len(layout) != images.ndim:
        raise DataError(f"images in {name!r} have shape {images.shape}, which is not {layout}")
    if images.ndim == 3:
        images = images[:, None]
    elif layout == "NHWC":
        images = np.moveaxis(images, 3, 1)
    levels = levels or (256 if images.dtype == np.uint8 else 65536)
    tensor = torch.from_numpy(np.ascontiguousarray(images if images.dtype == np.uint8 else images.astype(np.int32)))
    return check_values(ImageSet(name, tensor, levels))


def _way_to(images: np.ndarray, levels: int | None) -> str:
    """How whole numbers that lie within the levels become images; nothing of others."""
    if images.dtype.kind not in "biu" or not images.size or images.min() < 0 or images.max() >= (levels or 2**16):
        return ""
    wide = images.max() >= BYTES or (levels or 0) > BYTES
    return f"array.astype(numpy.{'uint16' if wide else 'uint8'}) has the same values"


def _ambiguous(name: str, shape: tuple[int, ...]) -> DataError:
    """The refusal of a shape that could be two things."""
    if len(shape) == 3:
        axes = "(H, W, C)" if shape[-1] <= FEW_CHANNELS else "(C, H, W)"
        one, two = "(N, H, W)", f"one image {axes}"
        way = "array[None] is one image, array[:, None] are grey images"
    else:
        one, two = "(N, C, H, W)", "(N, H, W, C)"
        way = "a uint8 tensor is (N, C, H, W): torch.from_numpy(array); pictures say it themselves"
    return DataError(
        f"images in {name!r} have shape {shape}, which could be {one} and {two}",
        f'of a file `data.layout={"NHW" if len(shape) == 3 else "NCHW"}` says it, or an array "layout" in the npz',
        way,
    )


def _layout(shape: tuple[int, ...]) -> str | None:
    """What the axes are, by the number of channels, 1 to 4; None where they could be two things."""
    first, last = shape[1] <= FEW_CHANNELS, shape[-1] <= FEW_CHANNELS
    if len(shape) == 3:
        few = shape[0] in (3, FEW_CHANNELS) and not first and not last
        return None if few or (last and not first and shape[0] > FEW_CHANNELS) else "NHW"
    if first and last and shape[1:] != (1, 1, 1):
        return None
    if not first and not last and shape[3] < min(shape[1:3]):  # many channels, which are more likely the last axis
        return None
    return "NHWC" if last and not first else "NCHW"


def _column(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """The labels of one array of images, (n,)."""
    return labels.reshape(-1) if labels.shape in ((count,), (count, 1)) else labels_of(name, labels, count)[0].numpy()
