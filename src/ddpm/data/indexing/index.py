"""The index of a folder: for every image its size, time, SHA-256, mode and extent, or what is wrong with it.

Built once, by child processes (`crew`), at the cost of decoding each file once; kept in the user's cache folder, never in
the data's, so that all runs and commands share it and a read-only disk does. An entry counts as long as the file's size
and time are the same. A cached index that is damaged, or by other rules, is built anew.
"""

import contextlib
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpm.data.decoding.image_file import RULES
from ddpm.data.decoding.span import WHOLE, Span
from ddpm.data.decoding.workers import Answer, WorkerPool, cores
from ddpm.storage.sealed import sealed, unsealed

ENTRY = np.dtype(
    [
        *(("size", "<i8"), ("time", "<i8"), ("offset", "<i8"), ("sha256", "u1", 32), ("values", "u1", 32)),
        *(("mode", "S8"), ("width", "<i4"), ("height", "<i4"), ("grey", "?"), ("good", "?")),
        *(("length", "<i8"), ("shard", "<i4")),
    ]
)
"""118 bytes for an image; `time` in nanoseconds; `offset` and `length` as of a `Span`, in this `shard`; `values` are bits."""
PATIENCE = 10.0
"""How many seconds the decoding of one image may take."""
SAVE_SECONDS = 120.0
"""How much of a long look through a folder may be lost with the machine."""
TRIES = 2
"""How many processes one image may cost: the first may have been killed by somebody else."""
PER_TASK, TASKS_WAITING = 32, 4
FLEETING = ("missing", "unreadable", "memory", "crashed", "hung")
"""What may be otherwise the next time, though the file is the same."""
OBSERVERS: list[Callable[[int, int], None]] = []
"""Told, after each image that is looked at, which one it was, counted from 1, and of how many."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file: the kind in a word, and a line that says more."""

    kind: str
    message: str


@dataclass(frozen=True)
class Source:
    """Where an image's bytes are, its name, and what the system says of the file: these make an entry valid."""

    name: str
    span: Span
    size: int
    time: int


@dataclass(frozen=True, eq=False)
class Index:
    """Images by name, in the order of their names' bytes; `entries` (N,) of `ENTRY`, `faults` of those that are not good.

    `root` is the folder to which the names are relative, or the archive; `shards` are the files that hold several images.
    """

    root: str
    names: Sequence[str]
    entries: np.ndarray
    faults: Mapping[int, Fault]
    shards: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    def good(self) -> np.ndarray:
        """The rows of what can be decoded, int64."""
        return np.flatnonzero(self.entries["good"])

    def names_of(self, rows: np.ndarray) -> tuple[str, ...]:
        """The names of these rows."""
        return tuple(self.names[row] for row in map(int, rows))

    def span(self, row: int) -> Span:
        """Where the bytes of an image are."""
        offset, length, shard = (int(self.entries[field][row]) for field in ("offset", "length", "shard"))
        return Span(os.path.join(self.root, self.names[row])) if shard < 0 else Span(self.shards[shard], offset, length)


def indexed(root: Path, sources: Sequence[Source], part: str = "all") -> Index:
    """The index of these images of this part of `root`, from the cache where it has them.

    Raises:
        Unavailable: no process can be started that decodes.
    """
    cache = cache_file(root, part)
    known = load(cache, root)
    names = [source.name for source in sources]
    entries, faults = np.zeros(len(sources), ENTRY), {}
    entries["size"] = [source.size for source in sources]
    entries["time"] = [source.time for source in sources]
    entries["offset"] = [source.span.offset for source in sources]
    missing = _reuse(known, names, entries, faults)
    entries["length"] = [source.span.length for source in sources]
    shards = {source.span.path: 0 for source in sources if source.span.length != WHOLE}
    shards = {path: number for number, path in enumerate(shards)}
    entries["shard"] = [shards.get(source.span.path, -1) for source in sources]
    index = Index(os.fspath(root), names, entries, faults, tuple(shards))
    try:
        saved = time.monotonic()
        for done, (row, answer) in enumerate(_looked(sources, missing), 1):
            _enter(entries, faults, row, answer)
            for observer in OBSERVERS:
                observer(done, len(missing))
            if time.monotonic() - saved > SAVE_SECONDS:  # a machine may be taken away before the last one
                _save(cache, index)
                saved = time.monotonic()
    finally:  # also what an interrupted index has found
        if missing or known is None or len(known) != len(index):
            _save(cache, index)
    return index


def _reuse(known: Index | None, names: Sequence[str], entries: np.ndarray, faults: dict[int, Fault]) -> list[int]:
    """Fill in what is known of unchanged files; returns the other rows."""
    if known is None:
        return list(range(len(names)))
    rows = {name: row for row, name in enumerate(known.names)}
    old = np.array([rows.get(name, -1) for name in names], dtype=np.int64)
    fleeting = [row for row, fault in known.faults.items() if fault.kind in FLEETING]
    unchanged = (old >= 0) & ~np.isin(old, fleeting)
    for field in ("size", "time", "offset"):
        unchanged &= known.entries[field][old] == entries[field] if len(known) else False
    unchanged &= known.entries["sha256"][old].any(-1) | np.isin(old, list(known.faults)) if len(known) else False
    entries[unchanged] = known.entries[old[unchanged]]
    for row in np.flatnonzero(unchanged & ~entries["good"]).tolist():
        faults[row] = known.faults[int(old[row])]
    return np.flatnonzero(~unchanged).tolist()


def _looked(sources: Sequence[Source], rows: Sequence[int]) -> Iterator[tuple[int, Answer]]:
    """What the children say of these rows, not much sooner than it is asked for."""
    if not rows:
        return
    tasks = [rows[start : start + PER_TASK] for start in range(0, len(rows), PER_TASK)]
    crew = WorkerPool(min(cores(), len(tasks)), PATIENCE, TRIES)
    waiting: deque[tuple[Sequence[int], Future[list[Answer]]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, crew.ask([vars(sources[row].span) for row in task])))
            if len(waiting) > TASKS_WAITING * crew.workers:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    finally:
        crew.close()


def _finished(waiting: "deque[tuple[Sequence[int], Future[list[Answer]]]]") -> Iterator[tuple[int, Answer]]:
    rows, future = waiting.popleft()
    yield from zip(rows, future.result(), strict=True)


def _enter(entries: np.ndarray, faults: dict[int, Fault], row: int, answer: Answer) -> None:
    facts = answer.facts
    if "fault" in facts:
        faults[row] = Fault(facts["fault"], facts["message"])
        return
    entry = entries[row]
    for name in ("sha256", "values"):
        entry[name] = np.frombuffer(bytes.fromhex(facts[name]), np.uint8)
    for name in ("mode", "width", "height", "grey"):
        entry[name] = facts[name]
    entry["good"] = True


def cache_file(root: Path, part: str = "all") -> Path:
    """Where the index of a part of a folder is kept: below $DDPM_CACHE, or $XDG_CACHE_HOME/ddpm, or ~/.cache/ddpm."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.environ.get("DDPM_CACHE") or os.path.join(home, "ddpm")
    about = b"\0".join((os.fsencode(root.resolve()), RULES.encode(), part.encode()))
    name = hashlib.sha256(about).hexdigest()[:32]
    return Path(folder) / "index" / name


def load(file: Path, root: Path) -> Index | None:
    """The cached index of a folder; None if there is none, or one that is not whole."""
    try:
        return from_arrays(unsealed(file.read_bytes()), root)
    except (OSError, ValueError):
        return None


def to_arrays(index: Index) -> dict[str, np.ndarray]:
    """Names, entries and faults, as a file holds them; where the shards are is not kept."""
    names = os.fsencode("".join(f"{name}\0" for name in index.names))
    faults = json.dumps({row: (fault.kind, fault.message) for row, fault in index.faults.items()}).encode()
    return {
        "entries": index.entries,
        "names": np.frombuffer(names, np.uint8),
        "faults": np.frombuffer(faults, np.uint8),
    }


def from_arrays(arrays: Mapping[str, np.ndarray], root: Path) -> Index:
    """The index that `to_arrays` took apart, of this folder.

    Raises:
        ValueError: it is none.
    """
    try:
        names = os.fsdecode(arrays["names"].tobytes()).split("\0")[:-1]
        faults = {int(row): Fault(*fault) for row, fault in json.loads(arrays["faults"].tobytes()).items()}
        os.fsencode("".join(f"{fault.kind}{fault.message}" for fault in faults.values()))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index: {error}") from error
    entries = arrays.get("entries", np.empty(0))
    if entries.dtype != ENTRY or entries.shape != (len(names),) or set(faults) - set(range(len(names))):
        raise ValueError("no index: its parts do not fit together")
    return Index(os.fspath(root), names, entries, faults)


def _save(file: Path, index: Index) -> None:
    """Sealed with its hash and put in its place at once. A cache that cannot be written costs time only."""
    content = sealed(to_arrays(index))
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
