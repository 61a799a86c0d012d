"""Files of a folder that anybody may have made: no link leads out of it, but into the cache that the Hugging Face hub keeps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm.errors import DataError, NotFound
from ddpm.storage import plain, strict

JSON = 2**22
"""Bytes of a configuration; a table of betas is the longest."""


def inside(path: Path) -> Path:
    """The file itself, where `path` may be a link.

    The hub's cache has snapshots/REVISION/... as links to blobs/ beside snapshots/: these are followed, and links that stay
    in the folder.

    Raises:
        NotFound: there is no such file.
        DataError: it is a link that leads out of the folder.
    """
    if not path.is_symlink():
        if not path.is_file():
            raise NotFound(f"no such file: {path}")
        return path
    target, folder = path.resolve(), path.parent.resolve()
    homes = [folder, *(above.parent / "blobs" for above in folder.parents if above.name == "snapshots")]
    if not any(target.is_relative_to(home) for home in homes):
        raise DataError(f"a link that leads out of its folder, and is not followed: {path}")
    if not target.is_file():
        raise NotFound(f"no such file: {path}")
    return target


def json_in(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises:
        NotFound: there is no such file.
        DataError: it is damaged, no JSON, or no object.
    """
    file = inside(path)
    try:
        found = strict.parse(plain.contents(file, JSON))
    except OSError as error:
        raise DataError(f"cannot read {path}: {plain.why(error)}") from error
    except ValueError as error:
        raise DataError(f"damaged configuration: {path}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"damaged configuration: {path}: it is no object")
    return found
