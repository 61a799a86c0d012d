"""IDX files (the format of MNIST), plain or gzipped: a folder with train-* and t10k-* (or test-*) files, or one file."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet, no_labels
from ddpm.data.labels import labels_of
from ddpm.data.splits import Options, check_values
from ddpm.errors import DataError, NotFound

PREFIXES = {"train": ("train",), "test": ("t10k", "test")}
UNSIGNED_BYTE = 8
MAX_VALUES = 2**34


def _is_idx(file: Path) -> bool:
    return file.is_file() and file.name.removesuffix(".gz").endswith(("-ubyte", ".idx"))


def has_split(path: Path) -> bool:
    """Whether there are both train and test images."""
    return path.is_dir() and all(_find(path, prefixes) for prefixes in PREFIXES.values())


def read(path: Path, part: str, options: Options) -> ImageSet:
    """A part of the folder, or the one file."""
    if path.is_file():
        return _images(path.name, [path], options)
    prefixes = PREFIXES.values() if part == "all" else [PREFIXES[part]]
    files = [file for prefix in prefixes for file in _find(path, prefix)]
    if not files:
        raise NotFound(f"no IDX file of images in {str(path)!r}", "expected names such as train-images-idx3-ubyte.gz")
    return _images(path.name, files, options)


def _find(folder: Path, prefixes: tuple[str, ...]) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if _is_idx(f) and f.name.startswith(prefixes) and "images" in f.name)
    return files[:1]


def _images(name: str, files: list[Path], options: Options) -> ImageSet:
    arrays = [load(file) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.ndim not in (3, 4):
            raise DataError(f"{str(file)!r} does not hold images: it has {array.ndim} dimensions")
    images = torch.from_numpy(np.concatenate(arrays))
    images = images[:, None] if images.ndim == 3 else images.movedim(-1, 1)
    told = [found for file in files if (found := _labels_beside(file)) is not None]
    labels, classes = no_labels(), ()
    if len(told) == len(files):
        columns = [_column(*one, len(array)) for one, array in zip(told, arrays, strict=True)]
        labels, classes = labels_of(name, np.concatenate(columns), len(images))
    levels = options.levels if options.levels and options.levels <= 256 else 256  # bytes have no more
    return check_values(ImageSet(name, images.contiguous(), levels, labels, classes=classes))


def _labels_beside(images: Path) -> tuple[Path, np.ndarray] | None:
    """The file of labels that belongs to one of images, and what it holds; None if there is none."""
    file = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
    if file == images or not file.is_file():
        return None
    return file, load(file)


def _column(file: Path, labels: np.ndarray, count: int) -> np.ndarray:
    """The labels of one file, (n,)."""
    if labels.shape not in ((count,), (count, 1)):
        raise DataError(f"{str(file)!r} holds {labels.shape} labels for {count} images")
    return labels.reshape(-1)


def load(file: Path) -> np.ndarray:
    """The array of an IDX file of unsigned bytes.

    Raises:
        DataError: it is no such file, or not whole.
    """
    try:
        data = gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {str(file)!r}: {error}") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{str(file)!r} is no IDX file of unsigned bytes")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    body = len(data) - 4 - 4 * data[3]
    if math.prod(shape) > MAX_VALUES or body != math.prod(shape):
        raise DataError(f"{str(file)!r} is not whole: shape {shape} needs {math.prod(shape)} bytes, it has {body}")
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy()
