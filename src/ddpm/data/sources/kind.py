"""Which kind of source a path is: the names of its files decide, and only the source that is chosen reads them."""

from enum import StrEnum
from pathlib import Path

from ddpm.data.folders.walk import has_pictures, names_in
from ddpm.data.sources import shards


class Kind(StrEnum):
    """The kinds of source, as messages name them."""

    IDX = "IDX"
    CIFAR = "CIFAR-10 binary"
    PARQUET = "Parquet"
    TAR = "tar archive"
    NPZ = "npz or npy"
    FOLDER = "image folder"


ENDINGS = {
    Kind.IDX: ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz"),
    Kind.CIFAR: (".bin",),
    Kind.PARQUET: shards.PARQUET,
    Kind.TAR: shards.TARS,
    Kind.NPZ: (".npz", ".npy"),
}
"""How the names of a kind's files end."""
CIFAR_BATCHES = ("data_batch", "test_batch")


def kind_of(path: Path) -> Kind | None:
    """The kind of a file, by its ending, or of a folder, by the files in it; None for another name, a pipe or a device.

    A folder of IDX files is also a folder: the kinds are tried in their order. A folder that holds both archives and pictures
    is an image folder; tables at its top, or in its folders of splits, are the data all the same.

    Raises:
        DataError: a folder cannot be read.
    """
    if path.is_file():
        return next((kind for kind, endings in ENDINGS.items() if path.name.endswith(endings)), None)
    if not path.is_dir():
        return None
    _, names = names_in(path)
    if any(name.endswith(ENDINGS[Kind.IDX]) for name in names):
        return Kind.IDX
    if any(name.startswith(CIFAR_BATCHES) and name.endswith(".bin") for name in names):
        return Kind.CIFAR
    return _kind_of_shards(path)


def _kind_of_shards(path: Path) -> Kind:
    found = shards.find(path, (*shards.PARQUET, *shards.TARS))
    tables = [name for name in found if name.endswith(shards.PARQUET)]
    if any(shards.is_near(name) for name in tables):
        return Kind.PARQUET
    if not found or has_pictures(path):
        return Kind.FOLDER
    return Kind.PARQUET if tables else Kind.TAR
