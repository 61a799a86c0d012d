"""A folder of image files, searched through; the first folder of a file's path may be its class.

train/ and test/ (or val/, valid/) at the top are the split. Files are taken in the order of their paths' bytes, the same
on every machine; what cannot be read is listed, and is an error only if it is much.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.data.decode import READ_ERRORS, SUFFIXES, decode, fit
from ddpm.data.imageset import ImageSet, no_labels
from ddpm.data.splits import Options, held_out
from ddpm.errors import DataError, NotFound

TESTS = ("test", "val", "valid", "validation")


def matches(path: Path) -> bool:
    """Any folder: whether there are images in it is found out by reading."""
    return path.is_dir()


def has_split(path: Path) -> bool:
    """Whether there are a train/ and a test/ folder at the top."""
    return (path / "train").is_dir() and any((path / name).is_dir() for name in TESTS)


def read(path: Path, part: str, options: Options) -> ImageSet:
    """A part of the folder."""
    folders = {"train": ["train"], "test": TESTS, "all": ["."]}[part]
    root = next(path / name for name in folders if (path / name).is_dir())
    files = find(root)
    if not files:
        raise NotFound(f"no images in {str(root)!r}", f"looked for {' '.join(sorted(SUFFIXES))}, in all folders below")
    return _load(root, files, options)


def find(root: Path) -> list[Path]:
    """Image files below `root`, hidden ones aside, relative to it, in the order of their paths' bytes."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        found += [here / f for f in files if not f.startswith(".") and Path(f).suffix.lower() in SUFFIXES]
    return sorted(found, key=os.fsencode)


@dataclass(frozen=True)
class Survey:
    """What a folder holds: (width, height) with counts, the most common first, and why some files cannot be read."""

    images: int
    grey: bool
    sizes: tuple[tuple[tuple[int, int], int], ...]
    distinct_values: int
    classes: int
    class_names: tuple[str, ...]
    train: int
    test: int
    broken: tuple[tuple[str, str], ...]


def survey(root: Path, files: list[Path], options: Options) -> Survey:
    """Look at every file once, keeping none."""
    sizes: Counter[tuple[int, int]] = Counter()
    grey, used, good, broken = True, np.zeros(256, dtype=bool), [], []
    for file, picture in _pictures(root, files):
        if isinstance(picture, str):
            broken.append((str(file), picture))
        else:
            good.append(file)
            sizes[picture.size] += 1
            grey &= picture.mode == "L"
            used[np.unique(np.asarray(picture))] = True
    if has_split(root):
        tests = sum(file.parts[0] in TESTS for file in good)
    else:
        tests = int(held_out([file.as_posix() for file in good], options.held_out).sum())
    _, names = _classes(root, good)
    return Survey(
        len(good),
        grey,
        tuple(sizes.most_common()),
        int(used.sum()),
        len(names),
        names,
        len(good) - tests,
        tests,
        tuple(broken),
    )


def _pictures(root: Path, files: list[Path]) -> Iterator[tuple[Path, Image.Image | str]]:
    """Each file as a picture, or why it is none."""
    for file in files:
        try:
            yield file, decode(root / file)
        except READ_ERRORS as error:
            yield file, (str(error) or type(error).__name__).splitlines()[0][:160]


def _load(root: Path, files: list[Path], options: Options) -> ImageSet:
    arrays: dict[Path, np.ndarray] = {}
    broken: list[tuple[str, str]] = []
    for file, picture in _pictures(root, files):
        if isinstance(picture, str):
            broken.append((str(file), picture))
            continue
        fitted = fit(picture, *options.resolution) if options.resolution else picture
        arrays[file] = np.asarray(fitted.convert({1: "L", 3: "RGB"}.get(options.channels, fitted.mode)))
        _check_size(root, arrays, file)
    if len(broken) > options.max_broken * len(files) or not arrays:
        name, reason = broken[0]
        raise DataError(
            f"{len(broken)} of {len(files)} images in {str(root)!r} cannot be read: {name}: {reason}",
            f"ddpm data {root} lists them",
            "--set data.max_broken=FRACTION leaves out up to that share",
        )
    colour = any(array.ndim == 3 for array in arrays.values())
    rows = [np.broadcast_to(a[..., None], (*a.shape, 3)) if colour and a.ndim == 2 else a for a in arrays.values()]
    images = torch.from_numpy(np.stack(rows))
    images = images.movedim(-1, 1).contiguous() if colour else images[:, None]
    names = tuple(file.as_posix() for file in arrays)
    labels, classes = _classes(root, list(arrays))
    return ImageSet(root.name, images, 256, labels, names, classes, tuple(broken))


def _check_size(root: Path, arrays: dict[Path, np.ndarray], file: Path) -> None:
    """Every image must have the size of the first."""
    first = next(iter(arrays))
    (height, width), (other_height, other_width) = arrays[first].shape[:2], arrays[file].shape[:2]
    if (height, width) != (other_height, other_width):
        raise DataError(
            f"images in {str(root)!r} differ in size: {first} is {width}x{height}, {file} is {other_width}x{other_height}",
            f"--set data.resolution={height},{width} scales all to cover that size and cuts the centre",
            f"ddpm data {root} counts the sizes",
        )


def _classes(root: Path, files: list[Path]) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Class numbers and names, where every file lies in a folder (below train/ and test/, if these are the split)."""
    depth = 1 if has_split(root) else 0
    if any(len(file.parts) < depth + 2 for file in files):
        return no_labels(), ()
    names = sorted({file.parts[depth] for file in files}, key=os.fsencode)
    number = {name: i for i, name in enumerate(names)}
    readable = tuple(os.fsencode(name).decode(errors="backslashreplace") for name in names)
    return torch.tensor([number[file.parts[depth]] for file in files]), readable
