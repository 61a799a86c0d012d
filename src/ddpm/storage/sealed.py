"""The user's cache, and arrays in one file that begins with the hash of the rest: how an index is kept there and in a run folder."""

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SEAL = hashlib.sha256().digest_size
DAMAGE = (OSError, LookupError, EOFError, TypeError, AttributeError, ArithmeticError, MemoryError, RuntimeError)
"""What numpy and zipfile raise, besides ValueError, for a file with a correct hash that somebody made by hand."""


def cache_folder(part: str) -> Path:
    """A part of the cache: below $DDPM_CACHE, or $XDG_CACHE_HOME/ddpm, or ~/.cache/ddpm. It need not be there."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("DDPM_CACHE") or os.path.join(home, "ddpm")) / part


def sealed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of the file that holds these arrays."""
    parts = io.BytesIO()
    np.savez(parts, allow_pickle=False, **arrays)
    content = parts.getvalue()
    return hashlib.sha256(content).digest() + content


def unsealed(content: bytes | bytearray) -> dict[str, np.ndarray]:
    """The arrays in the content of such a file. If the hash is wrong, nothing of it is parsed.

    Raises:
        ValueError: the hash is wrong, or the file holds something else.
    """
    if hashlib.sha256(content[SEAL:]).digest() != content[:SEAL]:
        raise ValueError("its hash is not the one that it was sealed with")
    try:
        with zipfile.ZipFile(io.BytesIO(content[SEAL:])) as file:
            if sum(part.file_size for part in file.infolist()) > len(content):
                raise ValueError("its parts are larger than the whole")
        with np.load(io.BytesIO(content[SEAL:]), allow_pickle=False) as parts:
            return {name: parts[name] for name in parts.files}
    except (zipfile.BadZipFile, zlib.error, *DAMAGE) as error:
        raise ValueError(f"it holds no arrays: {error}") from error
