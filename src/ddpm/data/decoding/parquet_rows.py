"""Rows of a Parquet file, read with pyarrow (an extra) in the worker processes: a hostile file may crash or bloat it.

No row can be read alone: all images of its row group are read and decompressed together, and the last group is kept. In
order, a process reads each group once. In random order it reads a group for each row: quick with groups of a hundred rows,
slow with a single group for the whole file, and refused if a group holds more than `MAX_GROUP` bytes.
"""

import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ddpm.data.decoding.span import Fault
from ddpm.errors import in_a_line
from ddpm.storage.strict import parse

Arrow = Any
"""An object of pyarrow, which has no types."""
IMAGE, LABEL = "image", "label"
MAX_GROUP = 2**30
"""Bytes of the images of a row group, decompressed: a process holds them all to read one."""
LEAST = 16
"""No image file has fewer bytes: a small table that claims many rows holds no images."""
BYTES = ("binary", "large_binary")
INTEGERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
TEXTS = ("string", "large_string", "dictionary<values=string", "dictionary<values=large_string")
READ_ERRORS = (OSError, ValueError, LookupError, NotImplementedError, OverflowError, TypeError, MemoryError)
"""What pyarrow raises for a file that it cannot read."""


@dataclass(frozen=True)
class Table:
    """What a file holds: how many rows, `labels` (rows,) int64 (-1: unknown) or (0,) if it has none, and the labels' names.

    `texts` says that the names are those of the rows alone: other files may have others.
    """

    rows: int
    labels: np.ndarray
    classes: tuple[str, ...]
    texts: bool = False


@dataclass(frozen=True)
class _Footer:
    metadata: Arrow
    column: str
    ends: np.ndarray


def table(path: str) -> Table:
    """How many rows a file has; and their labels, if it has a column of whole numbers or of texts named `LABEL`.

    Raises:
        Fault: it is no Parquet file, is damaged, or has no column of images.
    """
    try:
        footer = _footer(path, *_version(path))
        file = _open(path, footer)
        rows = int(footer.ends[-1]) if len(footer.ends) else 0
        schema = file.schema_arrow
        if _is_label(schema, TEXTS):
            return Table(rows, *_texts(file, rows), texts=True)
        labels = _labels(file, rows) if _is_label(schema, INTEGERS) else np.empty(0, np.int64)
        classes = _class_names((schema.metadata or {}).get(b"huggingface", b"{}")) if len(labels) else ()
    except READ_ERRORS as error:
        raise _fault(error) from error
    return Table(rows, labels, classes)


def row_bytes(path: str, row: int) -> bytes:
    """The file of the image in a row.

    Raises:
        Fault: the row is empty, or its group cannot be read.
        OSError: the disk fails.
    """
    version = _version(path)
    try:
        footer = _footer(path, *version)
        group = int(np.searchsorted(footer.ends, row, "right"))
        column, first = _group(path, *version, group)
        data = column[row - first].as_py()
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _fault(error) from error
    if data is None:
        raise Fault("no image", "the row holds no bytes")
    return data


def _fault(error: BaseException) -> Fault:
    if isinstance(error, MemoryError):
        return Fault("memory", "reading it needs too much memory")
    missing = isinstance(error, FileNotFoundError)
    return Fault("missing" if missing else "damaged", in_a_line(error))


def _version(path: str) -> tuple[int, int]:
    """Size and time of a regular file: when they change, nothing that was kept of the file is used again."""
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise Fault("unreadable", "not a regular file")
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=64)
def _footer(path: str, size: int, _time: int) -> _Footer:
    file = _open(path)
    groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    if min(groups, default=0) < 0 or sum(groups) != file.metadata.num_rows or sum(groups) * LEAST > size:
        raise ValueError(f"{file.metadata.num_rows:,} rows in {size:,} bytes")
    return _Footer(file.metadata, _image_column(file.schema_arrow), np.cumsum(groups, dtype=np.int64))


@lru_cache(maxsize=1)
def _group(path: str, size: int, time: int, group: int) -> tuple[Arrow, int]:
    """The images of a row group, and the number of its first row."""
    footer = _footer(path, size, time)
    about = footer.metadata.row_group(group)
    parts = [about.column(n) for n in range(about.num_columns)]
    length = sum(part.total_uncompressed_size for part in parts if part.path_in_schema == footer.column)
    if length > MAX_GROUP:
        raise Fault("too large", f"its row group holds {length:,} bytes, more than {MAX_GROUP:,}: write smaller groups")
    found = _open(path, footer).read_row_group(group, columns=[footer.column], use_threads=False).column(0)
    if len(found) != about.num_rows:
        raise ValueError(f"{len(found):,} of {about.num_rows:,} rows")
    while found.type.num_fields:
        found = found.flatten()[0]
    return found, int(footer.ends[group]) - about.num_rows


def _open(path: str, *known: _Footer) -> Arrow:
    from pyarrow import parquet  # noqa: PLC0415 (an extra)

    return parquet.ParquetFile(path, metadata=known[0].metadata if known else None, page_checksum_verification=True)


def _image_column(schema: Arrow) -> str:
    """The column of bytes named `IMAGE`, or the only one there is; of a struct, its field of bytes."""
    fits = {field.name: leaf for field in schema if (leaf := _leaf(field)) is not None}
    name = IMAGE if IMAGE in fits or len(fits) != 1 else next(iter(fits))
    names = [field.name for field in schema]
    if name not in fits or names.count(name) != 1:
        raise ValueError(f"no column {name!r} of images: it has {', '.join(names)[:100] or 'no columns'}")
    return fits[name]


def _leaf(field: Arrow) -> str | None:
    """The path of the bytes in a column; None if it is no column of images."""
    if str(field.type) in BYTES:
        return field.name
    inside = list(field.type) if str(field.type).startswith("struct<") else []
    has_bytes = [str(part.type) in BYTES for part in inside if part.name == "bytes"] == [True]
    return f"{field.name}.bytes" if has_bytes else None


def _is_label(schema: Arrow, types: tuple[str, ...]) -> bool:
    return [str(field.type).split(",")[0] in types for field in schema if field.name == LABEL] == [True]


def _column(file: Arrow, rows: int) -> Arrow:
    column = file.read(columns=[LABEL], use_threads=False).column(0)
    if len(column) != rows:
        raise ValueError(f"{len(column):,} labels of {rows:,} rows")
    return column


def _texts(file: Arrow, rows: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of the names that occur, in order; -1 where there is none."""
    said = _column(file, rows).cast("string").to_pylist()
    names = sorted({name for name in said if name is not None})
    number = {name: label for label, name in enumerate(names)}
    return np.array([-1 if name is None else number[name] for name in said], np.int64), tuple(names)


def _labels(file: Arrow, rows: int) -> np.ndarray:
    column = _column(file, rows)
    return column.cast("int64").fill_null(-1).to_numpy().astype(np.int64)


def _class_names(note: bytes) -> tuple[str, ...]:
    """The names of the labels in the note that the library `datasets` writes into its files; () if it does not say."""
    try:
        names = parse(note)["info"]["features"][LABEL]["names"]
    except (KeyError, TypeError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
