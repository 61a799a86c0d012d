"""Data that a call hands over in memory: kept in the run folder, so that the run can go on like any other."""

from pathlib import Path

import numpy as np

from ddpm.data.decoding.exact import BYTES
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.data.splits import Options
from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.figures.images import Data, image_set
from ddpm.parallel.launch import number
from ddpm.run.folder import RunFolder
from ddpm.run.start import Start
from ddpm.storage.atomic import atomically


def source_of(folder: RunFolder, data: Data) -> str:
    """What config.json calls the data: their own name or path; RUN/data.npz, where they are in memory."""
    return str(data) if isinstance(data, str | Path) else str(folder.data)


def keep(folder: RunFolder, data: Data, experiment: Experiment, start: Start) -> None:
    """Write images that are in memory to RUN/data.npz, once; nothing is made before all that can be refused is.

    Of several processes the first does it.

    Raises:
        UsageError, DataError: they are no images, or none that the experiment can be made with.
        Mismatch: the run was begun with other data.
        CannotCreate, StorageError: as `start.admit`; it cannot be written; another process is at the folder.
    """
    if isinstance(data, str | Path) or number():
        return
    about = experiment.data
    given = image_set(data, "all", Options(layout=about.layout), about.levels or BYTES)
    if not len(given):
        raise UsageError("there are no images to train on")
    if about.layout == "NHW" and given.shape[0] != 1:
        raise UsageError(f"images of {given.shape[0]} channels have no layout NHW, which is of one channel")
    new = not folder.config.exists()
    if new:
        experiment.require_bright(given)
    if new and experiment.data.resolution is None and experiment.data.channels is None:
        experiment.for_data(given)
    start.admit(folder)
    folder.create()
    with folder.locked():
        if not folder.config.exists():
            with atomically(folder.data) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **_arrays(given, about.layout or "NCHW"))
        elif not folder.data.exists() or _kept(folder) != _identity(given):
            raise Mismatch(f"the run in {str(folder.path)!r} was begun with other data", "give a new output_dir")


def _kept(folder: RunFolder) -> tuple[str, tuple[str, ...]]:
    return _identity(open_source(str(folder.data), "all"))


def _identity(images: ImageSet) -> tuple[str, tuple[str, ...]]:
    """Of the pixels, their labels, and what these are called."""
    return images.digest(images.labels.long()), images.classes


def _arrays(images: ImageSet, layout: str) -> dict[str, np.ndarray]:
    """As `data.sources.npz` reads them, in the layout that the run says its data have."""
    pixels = images.tensor().numpy()
    pixels = {"NCHW": pixels, "NHWC": np.moveaxis(pixels, 1, 3), "NHW": pixels[:, 0]}[layout]
    found = {
        "images": pixels if images.levels <= 256 else pixels.astype(np.uint16),
        "levels": np.array(images.levels),
        "layout": np.array(layout),
    }
    if len(images.labels):
        found["labels"] = images.labels.numpy()
    if images.classes:
        found["classes"] = np.array(images.classes)
    return found
