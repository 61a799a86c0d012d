"""A folder of image files, searched through; the first folder of a file's path may be its class.

train/ and test/ (or val/, valid/) at the top are the split. Files are taken in the order of their paths' bytes, the same
on every machine; what cannot be read is listed, and is an error only if it is much.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.data.decode import READ_ERRORS, SUFFIXES, decode, fit
from ddpm.data.imageset import ImageSet
from ddpm.data.splits import Options
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
    """What a folder holds: readable pictures by path, and why the others cannot be read."""

    pictures: dict[Path, Image.Image]
    broken: tuple[tuple[str, str], ...]

    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """(width, height) with their counts, the most common first."""
        return Counter(picture.size for picture in self.pictures.values()).most_common()


def survey(root: Path, files: list[Path], resolution: tuple[int, ...] = ()) -> Survey:
    """Read every file, scaled and cropped to (height, width) if given."""
    pictures: dict[Path, Image.Image] = {}
    broken: list[tuple[str, str]] = []
    for file in files:
        try:
            picture = decode(root / file)
        except READ_ERRORS as error:
            broken.append((str(file), _reason(error)))
        else:
            pictures[file] = fit(picture, *resolution) if resolution else picture
    return Survey(pictures, tuple(broken))


def _load(root: Path, files: list[Path], options: Options) -> ImageSet:
    found = survey(root, files, options.resolution)
    if len(found.broken) > options.max_broken * len(files) or not found.pictures:
        name, reason = found.broken[0]
        raise DataError(
            f"{len(found.broken)} of {len(files)} images in {str(root)!r} cannot be read: {name}: {reason}",
            f"ddpm data {root} lists them",
            "--set data.max_broken=FRACTION leaves out up to that share",
        )
    _check_sizes(root, found)
    pictures = found.pictures
    grey = options.channels == 1 or (not options.channels and all(p.mode == "L" for p in pictures.values()))
    stacked = np.stack([np.asarray(p.convert("L" if grey else "RGB")) for p in pictures.values()])
    images = torch.from_numpy(stacked)
    images = images[:, None] if grey else images.movedim(-1, 1).contiguous()
    names = tuple(file.as_posix() for file in pictures)
    return ImageSet(root.name, images, 256, _classes(list(pictures)), names, found.broken)


def _reason(error: BaseException) -> str:
    """The error in one short line."""
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _check_sizes(root: Path, found: Survey) -> None:
    sizes = found.sizes()
    if len(sizes) > 1:
        ((width, height), count), *_ = sizes
        odd = next(file for file, picture in found.pictures.items() if picture.size != (width, height))
        raise DataError(
            f"images in {str(root)!r} differ in size: {count} of {len(found.pictures)} are {width}x{height}, "
            f"{odd} is {found.pictures[odd].width}x{found.pictures[odd].height}",
            f"--set data.resolution={height},{width} scales all to cover that size and cuts the centre",
        )


def _classes(files: list[Path]) -> torch.Tensor:
    """Class numbers, where every file lies in a folder."""
    if any(len(file.parts) < 2 for file in files):
        return torch.empty(0, dtype=torch.int64)
    names = sorted({file.parts[0] for file in files}, key=os.fsencode)
    return torch.tensor([names.index(file.parts[0]) for file in files])
