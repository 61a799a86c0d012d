"""npy and npz files of integer images: (N, H, W), (N, H, W, C) or (N, C, H, W), unsigned.

In an npz the array of images is called "images", "arr_0" or "x", or there are "x_train" and "x_test", which are then the
split. Labels ("labels", "arr_1", "y", "y_train", ...), "classes" (their names) and a number "levels" are optional. Nothing is
unpickled.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet, no_labels
from ddpm.data.splits import Options, check_values
from ddpm.errors import DataError

IMAGES = {"train": ("x_train", "train_images"), "test": ("x_test", "test_images"), "all": ("images", "arr_0", "x")}
LABELS = {"train": ("y_train", "train_labels"), "test": ("y_test", "test_labels"), "all": ("labels", "arr_1", "y")}
MAX_CHANNELS = 4


def matches(path: Path) -> bool:
    """A file named .npy or .npz."""
    return path.is_file() and path.suffix in (".npy", ".npz")


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
    levels = options.levels or int(arrays.get("levels", np.array(0))) or None
    found = [(_named(arrays, IMAGES[name]), _named(arrays, LABELS[name])) for name in parts]
    sets = [from_array(str(path), images, labels, levels) for images, labels in found if images is not None]
    labels = torch.cat([s.labels for s in sets]) if all(len(s.labels) for s in sets) else sets[0].labels[:0]
    classes = tuple(map(str, arrays.get("classes", ())))
    return ImageSet(path.name, torch.cat([s.tensor() for s in sets]), sets[0].levels, labels, classes=classes)


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


def from_array(name: str, images: np.ndarray, labels: np.ndarray | None = None, levels: int | None = None) -> ImageSet:
    """An array of integer images, (N, H, W), (N, H, W, C) or (N, C, H, W), and labels (N,), as a set; `name` is for messages.

    Raises:
        DataError: it is of another type or shape, or holds values beyond the levels.
    """
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images in {name!r} are {images.dtype}; they must be uint8 or uint16",
            "a model of pixels needs the original integers",
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] > MAX_CHANNELS >= images.shape[3]:
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(f"images in {name!r} have shape {images.shape}; expected (N, H, W[, C]) or (N, C, H, W)")
    if labels is not None and labels.shape != (len(images),):
        raise DataError(f"{name!r} holds {labels.shape} labels for {len(images)} images")
    levels = levels or (256 if images.dtype == np.uint8 else 65536)
    tensor = torch.from_numpy(np.ascontiguousarray(images if images.dtype == np.uint8 else images.astype(np.int32)))
    found = no_labels() if labels is None else torch.from_numpy(labels.astype(np.int64))
    return check_values(ImageSet(name, tensor, levels, found))
