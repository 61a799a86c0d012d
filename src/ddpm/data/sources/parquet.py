"""Parquet: a file, or a folder of them. Each row holds an image file in the column `image`, its class in the column `label`.

This is how the Hugging Face hub stores data sets of images. Any row can be read at any time, so that every run goes on
exactly; how fast, depends on the row groups (`decoding.parquet_rows`). Only worker processes parse these files.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ddpm.data.decoding.parquet_rows import Table
from ddpm.data.decoding.span import TableRow
from ddpm.data.decoding.workers import Answer, WorkerPool, cores
from ddpm.data.indexing.index import Source
from ddpm.data.indexing.listing import Accounts, Listing, Parts, Split, by_number, no_split, unknown
from ddpm.data.labels import MAX_CLASSES, labels_of
from ddpm.data.sources import shards
from ddpm.errors import DataError, NotFound, UsageError

PATIENCE, TRIES = 120.0, 2
"""How many seconds the labels of a file may take, and how many processes it may cost."""


def parts(path: Path) -> Parts:
    """The parts of the file or folder.

    Raises:
        DataError: a folder cannot be read.
    """
    names = shards.find(path, shards.PARQUET)
    layout, split = shards.layout(names)
    return Parts(split.parts, partial(_listing, path), layout, Accounts())


def _listing(path: Path, part: str) -> Listing:
    """The rows of a part, file by file.

    Raises:
        UsageError: pyarrow is not there.
        DataError: a file is damaged, holds no images, or counts its classes in another way than the others.
        NotFound: there are no rows.
    """
    if find_spec("pyarrow") is None:
        raise UsageError(f"Parquet needs pyarrow, which is not installed: {str(path)!r}", "pip install 'ddpm[parquet]'")
    names = shards.chosen(shards.find(path, shards.PARQUET), part)
    tables = _tables([path / name for name in names])
    found = [row for name, table in zip(names, tables, strict=True) for row in _rows(path, name, table.rows)]
    if not found:
        raise NotFound(f"no images in {str(path)!r}", "its tables have no rows")
    tables = _with_all_names(tables)
    if any("" in table.classes for table in tables):
        raise DataError(f"in {str(path)!r} there is a label without a name: ''")
    labelled = [table for table in tables if len(table.labels)]
    if len({table.classes for table in labelled}) > 1:
        raise DataError(f"the files do not name the same classes: {str(path)!r}")
    labels = [table.labels if len(table.labels) else np.full(table.rows, -1) for table in tables]
    told = unknown
    if labelled:
        numbers, classes = labels_of(str(path), np.concatenate(labels), len(found), labelled[0].classes)
        told = by_number(numbers.numpy(), classes)
    _, which = shards.layout(names) if part == "all" else (None, Split())
    split = np.repeat(which.numbers, [table.rows for table in tables]) if len(which.numbers) else no_split()
    return Listing(path, part, found, told, split)


def _with_all_names(tables: Sequence[Table]) -> Sequence[Table]:
    """The same labels, where they are texts, in one numbering for all files."""
    if not all(table.texts for table in tables if len(table.labels)):
        return tables
    names = sorted({name for table in tables for name in table.classes})
    number = {name: label for label, name in enumerate(names)}
    places = [np.array([*(number[name] for name in table.classes), -1]) for table in tables]
    return [
        replace(table, labels=at[table.labels], classes=tuple(names)) for table, at in zip(tables, places, strict=True)
    ]


def _rows(root: Path, name: str, count: int) -> list[Source]:
    path = root / name
    file, about, prefix = os.fspath(path), path.stat(), f"{name}/" if name else ""
    size, time = about.st_size, about.st_mtime_ns
    return [Source(f"{prefix}{row:08d}", TableRow(file, row), size, time) for row in range(count)]


def _tables(files: Sequence[Path]) -> list[Table]:
    pool = WorkerPool(min(cores(), len(files)), PATIENCE, TRIES)
    try:
        waiting = [pool.ask([{"table": os.fspath(file)}]) for file in files]
        answers = [future.result()[0] for future in waiting]
    finally:
        pool.close()
    return [_table(file, answer) for file, answer in zip(files, answers, strict=True)]


def _table(file: Path, answer: Answer) -> Table:
    cannot = f"cannot read the Parquet file {str(file)!r}"
    if "fault" in answer.facts:
        raise DataError(f"{cannot}: {answer.facts['message']}")
    labels, classes = np.frombuffer(answer.pixels, np.int64), tuple(answer.facts["classes"])
    classes = classes if len(classes) <= MAX_CLASSES else ()
    if len(labels) and (labels.min() < -1 or (classes and labels.max() >= len(classes))):
        raise DataError(f"{cannot}: labels {labels.min()}..{labels.max()} of {len(classes) or MAX_CLASSES:,} classes")
    return Table(answer.facts["rows"], labels, classes, answer.facts["texts"])
