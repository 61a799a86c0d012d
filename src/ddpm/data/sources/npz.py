"""npy and npz files of integer images: (N, H, W), (N, H, W, C) or (N, C, H, W), unsigned.

In an npz the array of images is called "images", "arr_0" or "x", or there are "x_train" and "x_test", which are then the
split. Labels ("labels", "arr_1", "y", "y_train", ...; numbers or texts), "classes" (their names) and a number "levels" are
optional. Channels are 1 to 4; a file whose axes 1 and 3 both have so many is (N, C, H, W). Nothing is unpickled.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet, no_labels
from ddpm.data.labels import fault_of, labels_of
from ddpm.data.splits import Options, check_values
from ddpm.errors import SHOWN, DataError

IMAGES = {"train": ("x_train", "train_images"), "test": ("x_test", "test_images"), "all": ("images", "arr_0", "x")}
LABELS = {"train": ("y_train", "train_labels"), "test": ("y_test", "test_labels"), "all": ("labels", "arr_1", "y")}
MAX_CHANNELS = 4
MAX_LEVELS = 65536


def has_split(path: Path) -> bool:
    """Whether the file holds a train and a test part."""
    names = _names(path)
    return all(names & set(IMAGES[part]) for part in ("train", "test"))


def read(path: Path, part: str, options: Options) -> ImageSet:
    """A part of the file."""
    possible = [part] if part != "all" else list(IMAGES)
    wanted = {"levels", "classes", *(name for p in possible for name in (*IMAGES[p], *LABELS[p]))}
    arrays = _load(path, wanted)
    parts = [name for name in possible if _named(arrays, IMAGES[name]) is not None]
    if not parts:
        raise DataError(f"no images in {str(path)!r}: it holds {', '.join(sorted(_names(path))) or 'nothing'}")
    levels = options.levels or _levels(arrays, path)
    found = [(_named(arrays, IMAGES[name]), _named(arrays, LABELS[name])) for name in parts]
    sets = [
        from_array(str(path), images, levels, _layout(images.shape) or "NCHW")
        for images, _ in found
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
        layout: "NCHW" or "NHWC"; None where the shape says it, channels being 1 to 4.

    Raises:
        DataError: it is of another type or shape, holds values beyond the levels, or could be read in both layouts.
    """
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images in {name!r} are {images.dtype}; they must be uint8 or uint16",
            "a model of pixels needs the original integers",
        )
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise DataError(f"images in {name!r} have shape {images.shape}; expected (N, H, W[, C]) or (N, C, H, W)")
    layout = layout or _layout(images.shape)
    if layout is None:
        raise DataError(
            f"images in {name!r} have shape {images.shape}, which could be (N, C, H, W) and (N, H, W, C)",
            "a uint8 tensor is (N, C, H, W): torch.from_numpy(array); pictures say it themselves",
        )
    if images.ndim == 3:
        images = images[:, None]
    elif layout == "NHWC":
        images = np.moveaxis(images, 3, 1)
    levels = levels or (256 if images.dtype == np.uint8 else 65536)
    tensor = torch.from_numpy(np.ascontiguousarray(images if images.dtype == np.uint8 else images.astype(np.int32)))
    return check_values(ImageSet(name, tensor, levels))


def _layout(shape: tuple[int, ...]) -> str | None:
    """Where the channels are, by their number, 1 to 4; None where they could be on two axes."""
    first, last = shape[1] <= MAX_CHANNELS, shape[-1] <= MAX_CHANNELS
    if len(shape) == 4 and first and last and shape[1:] != (1, 1, 1):
        return None
    return "NHWC" if last and not first else "NCHW"


def _column(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """The labels of one array of images, (n,)."""
    return labels.reshape(-1) if labels.shape in ((count,), (count, 1)) else labels_of(name, labels, count)[0].numpy()
