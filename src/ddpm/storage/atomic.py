"""Files of a user: written whole or not at all, and read with errors that name them."""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ddpm.errors import DataError, NotFound, StorageError
from ddpm.parallel.launch import number
from ddpm.storage import durable, strict


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, with the same ending; once written, it takes `path`'s place.

    Of several processes only the first one's does: what they make together is the same in all.

    Raises:
        StorageError: the disk is full or fails; `path` is as it was.
    """
    with (_beside if number() else replacing)(path) as temporary:
        yield temporary


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The same, whichever process it is."""
    with _beside(path) as temporary:
        yield temporary
        durable.sync(temporary)
        durable.rename(temporary, path)
        durable.sync_folder(path.parent)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name to write to; what is left there is removed."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        durable.make_folder(path.parent)
        temporary.unlink(missing_ok=True)
        yield temporary
    except OSError as error:
        raise StorageError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        with suppress(NotADirectoryError):  # a file lies where the folder should be: nothing was written
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomically(path) as temporary:
        durable.write(temporary, [data])


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8; letters that are none, as a file's name may hold, are escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table whole or not at all: a line of names, those of the first row, then the rows; what is None is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def to_strict_json(value: Mapping[str, Any]) -> str:
    """JSON without Infinity and NaN, which are no JSON: null stands for them."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:  # noqa: ANN401
    """What a user's file of JSON holds.

    Raises:
        NotFound: no such file.
        DataError: it is no JSON, or more than `ddpm.storage.strict` allows.
    """
    if not path.is_file():
        raise NotFound(f"no such file: {str(path)!r}")
    try:
        return strict.parse(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{str(path)!r} is no JSON: {error}") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON, whole or not at all."""
    write_text(path, to_strict_json(value) + "\n")
