"""The index of a folder: the size, time, SHA-256, mode, width and height of every image, or what is wrong with it.

Worker processes build it once, which decodes each file once; where large pictures are to become small, these are kept from then
on (`small_pictures`). It is kept in the user's cache folder, where all runs and
commands find it, and not beside the data, which may be read-only. An entry is used again as long as the size and time of its
file stay the same. A cached index that is damaged, or was made by other rules, is not used: a new one is built.
"""

import contextlib
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ddpm.data.decoding.exact import MAX_LEVELS, Meaning
from ddpm.data.decoding.image_file import RULES
from ddpm.data.decoding.scaled import DEFAULT, FULL, Reading
from ddpm.data.decoding.span import FilePart, Span, TableRow, WholeFile
from ddpm.data.decoding.workers import Answer, WorkerPool, cores
from ddpm.data.indexing.small_pictures import Writer, folder_of
from ddpm.storage.sealed import cache_folder, sealed, unsealed

ENTRY = np.dtype(
    [
        *(("size", "<i8"), ("time", "<i8"), ("offset", "<i8"), ("sha256", "u1", 32), ("values", "u1", 32)),
        *(("mode", "S8"), ("width", "<i4"), ("height", "<i4"), ("grey", "?"), ("good", "?")),
        *(("length", "<i8"), ("shard", "<i4")),
    ]
)
"""118 bytes for an image. `time` is in nanoseconds, `values` are bits; `offset`, `length` and `shard` say where its bytes are.

Of a file with several images, `shard` is its number; it is -1 for an image that is a file of its own.
"""
WHOLE, ROW = -1, -2
"""In the place of a `length`: the image is a whole file; or the row `offset` of a table."""
PATIENCE = 10.0
"""How many seconds the decoding of one image may take."""
SAVE_SECONDS = 120.0
"""How many seconds of a long indexing may be lost if the machine goes away."""
TRIES = 2
"""How many processes one image may cost: something else may have killed the first."""
PER_TASK, TASKS_WAITING = 32, 4
FLEETING = ("missing", "unreadable", "memory", "crashed", "hung")
"""Faults that may be gone the next time, though the file is the same."""
OBSERVERS: list[Callable[[int, int], None]] = []
"""Called after each image that was looked at, with its number, counted from 1, and how many there are."""


@dataclass(frozen=True)
class FaultRecord:
    """What is wrong with a file, as the index keeps it: the kind in a word, and a line that says more."""

    kind: str
    message: str


@dataclass(frozen=True)
class Source:
    """An image to be indexed: its name, where its bytes are, and its file's size and time, which keep an entry valid."""

    name: str
    span: Span
    size: int
    time: int


@dataclass(frozen=True, eq=False)
class Index:
    """Images in the order of the bytes of their names; `entries` (N,) of `ENTRY`; `faults` of the rows that are not good.

    The names are relative to `root`, a folder or an archive. `shards` are the files that hold several images. `meanings` are what
    files of our own say of their values, by their rows.
    """

    root: str
    names: Sequence[str]
    entries: np.ndarray
    faults: Mapping[int, FaultRecord]
    shards: Sequence[str] = ()
    meanings: Mapping[int, Meaning] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def good(self) -> np.ndarray:
        """The rows of the images that can be decoded, int64."""
        return np.flatnonzero(self.entries["good"])

    def names_of(self, rows: np.ndarray) -> tuple[str, ...]:
        """The names of these rows."""
        return tuple(self.names[row] for row in map(int, rows))

    def span(self, row: int) -> Span:
        """Where the bytes of an image are."""
        offset, length, shard = (int(self.entries[field][row]) for field in ("offset", "length", "shard"))
        path = os.path.join(self.root, self.names[row]) if shard < 0 else self.shards[shard]
        if shard < 0 or length == WHOLE:
            return WholeFile(path)
        return TableRow(path, offset) if length == ROW else FilePart(path, offset, length)


def _place(span: Span) -> tuple[int, int]:
    """The `offset` and `length` of an entry: the other way than `Index.span`."""
    match span:
        case WholeFile():
            return 0, WHOLE
        case TableRow(_, row):
            return row, ROW
        case FilePart(_, offset, length):
            return offset, length


def without_places(entries: np.ndarray) -> np.ndarray:
    """A copy in which every image is a file of its own, under its own name, until it is found somewhere else."""
    entries = entries.copy()
    entries["length"], entries["shard"] = WHOLE, -1
    return entries


def indexed(root: Path, sources: Sequence[Source], part: str = "all", reading: Reading = DEFAULT) -> Index:
    """The index of these images of a part of `root`; what the cache knows already is not decoded again.

    Raises:
        Unavailable: no process can be started that decodes.
    """
    cache = cache_file(root, part, reading.decoding)
    known = load(cache, root)
    names = [source.name for source in sources]
    entries, faults, meanings = np.zeros(len(sources), ENTRY), {}, {}
    entries["size"] = [source.size for source in sources]
    entries["time"] = [source.time for source in sources]
    places = [_place(source.span) for source in sources]
    entries["offset"] = [offset for offset, _ in places]
    missing = _reuse(known, names, entries, faults, meanings)
    entries["length"] = [length for _, length in places]
    files = dict.fromkeys(source.span.path for source in sources if not isinstance(source.span, WholeFile))
    shards = {path: number for number, path in enumerate(files)}
    entries["shard"] = [shards.get(source.span.path, -1) for source in sources]
    index = Index(os.fspath(root), names, entries, faults, tuple(shards), meanings)
    small = Writer(folder_of(root, reading))
    try:
        saved = time.monotonic()
        for done, (row, answer) in enumerate(_looked(sources, missing, reading), 1):
            _enter(entries, faults, meanings, row, answer)
            if answer.pixels:
                small.add(entries["sha256"][row].tobytes(), 1 if entries["grey"][row] else 3, answer.pixels)
            for observer in OBSERVERS:
                observer(done, len(missing))
            if time.monotonic() - saved > SAVE_SECONDS:  # a machine may be taken away before the last one
                _save(cache, index)
                saved = time.monotonic()
    finally:  # keeps what was found even if indexing is interrupted
        if missing or known is None or len(known) != len(index):
            _save(cache, index)
        small.flush()
    return index


def _reuse(
    known: Index | None,
    names: Sequence[str],
    entries: np.ndarray,
    faults: dict[int, FaultRecord],
    meanings: dict[int, Meaning],
) -> list[int]:
    """Fill in the entries of files that have not changed since; the rows of the others."""
    if known is None:
        return list(range(len(names)))
    rows = {name: row for row, name in enumerate(known.names)}
    old = np.array([rows.get(name, -1) for name in names], dtype=np.int64)
    fleeting = [row for row, fault in known.faults.items() if fault.kind in FLEETING]
    unchanged = (old >= 0) & ~np.isin(old, fleeting)
    for name in ("size", "time", "offset"):
        unchanged &= known.entries[name][old] == entries[name] if len(known) else False
    unchanged &= known.entries["sha256"][old].any(-1) | np.isin(old, list(known.faults)) if len(known) else False
    entries[unchanged] = known.entries[old[unchanged]]
    for row in np.flatnonzero(unchanged & ~entries["good"]).tolist():
        faults[row] = known.faults[int(old[row])]
    if known.meanings:
        for row in np.flatnonzero(unchanged & np.isin(old, list(known.meanings))).tolist():
            meanings[row] = known.meanings[int(old[row])]
    return np.flatnonzero(~unchanged).tolist()


def _looked(sources: Sequence[Source], rows: Sequence[int], reading: Reading) -> Iterator[tuple[int, Answer]]:
    """The workers' answer about each of these rows; they are only a little ahead of the caller."""
    if not rows:
        return
    tasks = [rows[start : start + PER_TASK] for start in range(0, len(rows), PER_TASK)]
    asked = vars(reading)
    pool = WorkerPool(min(cores(), len(tasks)), PATIENCE, TRIES)
    waiting: deque[tuple[Sequence[int], Future[list[Answer]]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.ask([{**vars(sources[row].span), **asked} for row in task])))
            if len(waiting) > TASKS_WAITING * pool.workers:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    finally:
        pool.close()


def _finished(waiting: "deque[tuple[Sequence[int], Future[list[Answer]]]]") -> Iterator[tuple[int, Answer]]:
    rows, future = waiting.popleft()
    yield from zip(rows, future.result(), strict=True)


def _enter(
    entries: np.ndarray, faults: dict[int, FaultRecord], meanings: dict[int, Meaning], row: int, answer: Answer
) -> None:
    facts = answer.facts
    if "fault" in facts:
        faults[row] = FaultRecord(facts["fault"], facts["message"])
        return
    entry = entries[row]
    for name in ("sha256", "values"):
        entry[name] = np.frombuffer(bytes.fromhex(facts[name]), np.uint8)
    for name in ("mode", "width", "height", "grey"):
        entry[name] = facts[name]
    entry["good"] = True
    if facts["meaning"]:
        meanings[row] = Meaning(**facts["meaning"])


def cache_file(root: Path, part: str = "all", decoding: str = DEFAULT.decoding) -> Path:
    """The file that keeps the index of a part of a folder, made by this rule: in the user's cache."""
    rule = "" if decoding == FULL else decoding  # as those were called that know no other
    about = b"\0".join((os.fsencode(root.resolve()), RULES.encode(), part.encode(), *filter(None, [rule.encode()])))
    name = hashlib.sha256(about).hexdigest()[:32]
    return cache_folder("index") / name


def load(file: Path, root: Path) -> Index | None:
    """The cached index of a folder; None if there is none, or if it is damaged."""
    try:
        return from_arrays(unsealed(file.read_bytes()), root)
    except (OSError, ValueError):
        return None


def to_arrays(index: Index) -> dict[str, np.ndarray]:
    """Names, entries, faults and meanings, as a file holds them. The paths of the shards are not kept."""
    names = os.fsencode("".join(f"{name}\0" for name in index.names))
    faults = json.dumps({row: (fault.kind, fault.message) for row, fault in index.faults.items()}).encode()
    arrays = {
        "entries": index.entries,
        "names": np.frombuffer(names, np.uint8),
        "faults": np.frombuffer(faults, np.uint8),
    }
    if index.meanings:
        meanings = json.dumps({row: list(vars(meaning).values()) for row, meaning in index.meanings.items()}).encode()
        arrays["meanings"] = np.frombuffer(meanings, np.uint8)
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray], root: Path) -> Index:
    """The index of the folder `root` from what `to_arrays` made of it.

    Raises:
        ValueError: these are not the arrays of an index.
    """
    try:
        names = os.fsdecode(arrays["names"].tobytes()).split("\0")[:-1]
        faults = {int(row): FaultRecord(*fault) for row, fault in json.loads(arrays["faults"].tobytes()).items()}
        os.fsencode("".join(f"{fault.kind}{fault.message}" for fault in faults.values()))
        said = json.loads(arrays["meanings"].tobytes()) if "meanings" in arrays else {}
        meanings = {int(row): Meaning(*values) for row, values in said.items()}
        if any(not (2 <= said.levels <= MAX_LEVELS and said.channels >= 1) for said in meanings.values()):
            raise ValueError("no index: it has levels that no image has")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index: {error}") from error
    entries = arrays.get("entries", np.empty(0))
    if entries.dtype != ENTRY or entries.shape != (len(names),) or {*faults, *meanings} - set(range(len(names))):
        raise ValueError("no index: its parts do not fit together")
    return Index(os.fspath(root), names, entries, faults, (), meanings)


def _save(file: Path, index: Index) -> None:
    """Write the index with its hash, and rename it into its place. If that fails, the next start only takes longer."""
    content = sealed(to_arrays(index))
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
