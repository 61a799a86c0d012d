"""Data that a call hands over in memory: kept in the run folder, so that the run can go on like any other."""

from pathlib import Path

import numpy as np

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import Mismatch
from ddpm.figures.images import Data, image_set
from ddpm.run.folder import RunFolder
from ddpm.storage.atomic import atomically


def kept_in(folder: RunFolder, data: Data) -> str:
    """The source that `data` is: its own name or path; or, of images in memory, RUN/data.npz, written once.

    Raises:
        UsageError, DataError: it is no data.
        Mismatch: the run was begun with other data.
        CannotCreate, StorageError: it cannot be written.
    """
    if isinstance(data, str | Path):
        return str(data)
    given = image_set(data, "all")
    if folder.data.exists():
        if open_source(str(folder.data), "all").digest(given.labels) != given.digest(given.labels):
            raise Mismatch(f"the run in {str(folder.path)!r} was begun with other data", "give a new output_dir")
    else:
        folder.create()
        with atomically(folder.data) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_arrays(given))
    return str(folder.data)


def _arrays(images: ImageSet) -> dict[str, np.ndarray]:
    """As `data.sources.npz` reads them."""
    pixels = images.tensor().numpy()
    found = {
        "images": pixels if images.levels <= 256 else pixels.astype(np.uint16),
        "levels": np.array(images.levels),
    }
    if len(images.labels):
        found["labels"] = images.labels.numpy()
    if images.classes:
        found["classes"] = np.array(images.classes)
    return found
