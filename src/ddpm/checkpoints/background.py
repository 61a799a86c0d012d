"""Saving while training goes on: a copy is taken, a thread writes it, one at a time; what goes wrong is said at the next save.

A full or failing disk stops nothing until it has failed three times in a row, or at the end: the older checkpoints stand.
"""

import errno
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from torch import Tensor

from ddpm.checkpoints import reading, writing
from ddpm.checkpoints.reading import Checkpoint
from ddpm.checkpoints.retention import NEWEST, Keeper
from ddpm.errors import StorageError
from ddpm.parallel.world import World, full
from ddpm.storage import durable

PATIENCE = 3
"""Failures in a row that end a run."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class Abandoned(BaseException):
    """The user leaves at once: the save in flight is given up."""


@dataclass(frozen=True)
class Wrote:
    """A checkpoint, or a grid of samples, is whole and on the disk."""

    path: Path


@dataclass(frozen=True)
class Noted:
    """Something went wrong that does not stop training; `text` is a line for the user."""

    text: str


Outcome = Wrote | Noted


@dataclass
class _Save:
    """A save in a thread of its own, and how it ended: outcomes, or `error`."""

    step: int
    content: Checkpoint
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    thread: threading.Thread = field(default_factory=threading.Thread)


class Saver:
    """Writes the checkpoints of a run; to be used as a context, whose end waits for the save in flight."""

    def __init__(self, checkpoints: Path, every: int = 0) -> None:
        """`checkpoints` is the folder; multiples of `every` steps are kept for ever (0: none)."""
        self._checkpoints, self._keeper = checkpoints, Keeper(checkpoints, every)
        self._running: _Save | None = None
        self._failures, self._full, self._leaving = 0, False, False

    def save(self, step: int, content: Checkpoint) -> list[Outcome]:
        """Begin to save; returns how the save before this one ended, if there was one.

        The tensors may be changed as soon as this returns. Waits for a save that is still in flight.

        Raises:
            Diverged: a number is not finite.
            StorageError: the disk failed three times in a row.
        """
        outcomes = self.wait()
        writing.require_finite(content, step)
        self._running = self._started(_Save(step, on_host(content)))
        return outcomes

    def save_owned(self, step: int, content: Checkpoint) -> list[Outcome]:
        """As `save`, of tensors that nobody else has: no copy is made."""
        outcomes = self.wait()
        writing.require_finite(content, step)
        self._running = self._started(_Save(step, content))
        return outcomes

    def wait(self) -> list[Outcome]:
        """Wait for the save in flight, if there is one; returns how it ended.

        Raises:
            StorageError: the disk failed three times in a row.
        """
        save = self._running
        if save is None:
            return []
        save.thread.join()
        self._running = None
        if save.error is None:
            self._failures, self._full = 0, False
            return save.outcomes
        if not isinstance(save.error, StorageError):
            raise save.error
        self._failures += 1
        self._full = _errno(save.error) in FULL
        if self._failures >= PATIENCE:
            raise StorageError(f"{save.error}; {self._space(save)}", *_hints(self._full)) from save.error
        return [Noted(f"{save.error}; {self._space(save)}; training goes on, and the next save tries again")]

    def finish(self) -> list[Outcome]:
        """Wait for the last save of a run. One that failed for want of room is tried once more, on the room of older ones.

        Raises:
            StorageError: it is not written.
        """
        last = self._running
        outcomes = self.wait()
        if last is None or not isinstance(last.error, StorageError):
            return outcomes
        if self._full:
            self._running = self._started(_Save(last.step, last.content))
            outcomes = self.wait()
        if not any(isinstance(outcome, Wrote) for outcome in outcomes):
            raise StorageError(f"{last.error}; {self._space(last)}", *_hints(self._full)) from last.error
        return outcomes

    def __enter__(self) -> "Saver":
        """As it is."""
        durable.OBSERVERS.append(self._watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the save in flight; whoever leaves in a hurry (a second Ctrl-C) waits for one file operation only."""
        self._leaving = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            if self._running is not None:
                self._running.thread.join()
        finally:
            durable.OBSERVERS.remove(self._watch)

    def _started(self, save: _Save) -> _Save:
        save.thread = threading.Thread(target=self._write, args=(save,), name="ddpm-save")  # Python waits for it
        save.thread.start()
        return save

    def _write(self, save: _Save) -> None:
        try:
            if self._full:
                self._retire(save, newest=1)
            path = writing.write(self._checkpoints, save.step, save.content)
            self._keeper.trust(path)
            save.outcomes.append(Wrote(path))
            save.content = Checkpoint({}, {})
            self._retire(save, newest=NEWEST)
        except BaseException as error:
            save.error = error

    def _retire(self, save: _Save, newest: int) -> None:
        """Remove old checkpoints; one that cannot be removed is no reason to stop."""
        try:
            self._keeper.retire(save.step, newest)
        except OSError as error:
            note = f"cannot remove old checkpoints: {self._checkpoints}: {error.strerror or error}; training goes on"
            save.outcomes.append(Noted(note))

    def _watch(self, _operation: durable.Operation) -> None:
        """Asked before each file operation; gives up the save once, so that what it left can still be removed."""
        running = self._running
        if self._leaving and running is not None and threading.current_thread() is running.thread:
            self._leaving = False
            raise Abandoned

    def _space(self, save: _Save) -> str:
        free = shutil.disk_usage(nearest(self._checkpoints)).free
        return f"a checkpoint takes {save.content.size:,} bytes, {free:,} are free"


def on_host(content: Checkpoint) -> Checkpoint:
    """A copy in the host's memory that nobody else changes."""
    tensors = {
        group: {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
        for group, named in content.tensors.items()
    }
    return Checkpoint(tensors, dict(content.numbers))


def gathered(content: Checkpoint, world: World) -> Checkpoint:
    """The whole of what is in shards, in the host's memory of the first process, tensor by tensor; the others keep nothing.

    Every process must ask for it; none has more than its part and one whole tensor, on its device.
    """
    tensors: dict[str, dict[str, Tensor]] = {group: {} for group in content.tensors}
    for group, named in content.tensors.items():
        for name, tensor in named.items():
            whole = full(tensor.detach())
            if world.first:
                tensors[group][name] = whole.cpu()
    return Checkpoint(tensors, dict(content.numbers))


def require_room(checkpoints: Path, size: int, kept: int = NEWEST) -> None:
    """Before a run begins: room for `kept` checkpoints of `size` bytes and the one being written, less those that are there.

    Raises:
        StorageError: the disk has less.
    """
    there = min(len(reading.found(checkpoints)), kept)
    needed, place = size * (kept + 1 - there), nearest(checkpoints)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageError(
            f"not enough room for checkpoints: {needed:,} bytes are needed, {free:,} are free: {str(place)!r}",
            f"{kept} checkpoints of {size:,} bytes are kept while the next is written",
        )


def nearest(path: Path) -> Path:
    """The path if it is there, else the nearest folder above it that is."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _errno(error: BaseException) -> int:
    cause = error.__cause__
    return cause.errno or 0 if isinstance(cause, OSError) else 0


def _hints(full: int) -> Sequence[str]:
    return (
        ("make room on the disk, then run the same command again: it goes on from the last checkpoint",) if full else ()
    )
