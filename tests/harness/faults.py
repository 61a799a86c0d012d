"""Faults for tests of what is on the disk: a crash, an error or a loss of power at the k-th file operation."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ddpm.storage import durable


class Crash(BaseException):
    """The process is gone: nothing may be done after it, not even tidying up."""


@contextmanager
def watched(observer):
    """The observer is told of every file operation."""
    durable.OBSERVERS.append(observer)
    try:
        yield
    finally:
        durable.OBSERVERS.remove(observer)


@contextmanager
def recorded():
    """The operations that are done inside."""
    log = []
    with watched(log.append):
        yield log


def crash_at(k):
    """An observer: from the k-th operation on (counted from 0) nothing is done; of a write, half."""
    seen = []

    def observe(operation):
        seen.append(operation)
        if len(seen) == k + 1 and operation.kind == "write":
            with operation.path.open("ab") as file:
                file.write(operation.data[: len(operation.data) // 2])
        if len(seen) > k:
            raise Crash

    return observe


def error_at(k, number):
    """An observer: the k-th operation fails with an error of the system, those after it do not."""
    seen = []

    def observe(operation):
        seen.append(operation)
        if len(seen) == k + 1:
            raise OSError(number, "injected", str(operation.path))

    return observe


@dataclass(eq=False)
class File:
    """What was written, and what of it is on the disk."""

    now: bytes = b""
    on_disk: bytes = b""


@dataclass(eq=False)
class Folder:
    """The entries as they are, those on the disk, and the changes in between: (name that goes, name that comes, its node)."""

    now: dict = field(default_factory=dict)
    on_disk: dict = field(default_factory=dict)
    pending: list = field(default_factory=list)


class Disk:
    """A disk that forgets what was not flushed. It begins as the files below `root` are, all of them flushed."""

    def __init__(self, root):
        self.root, self.top = Path(root), self._read(Path(root))

    def _read(self, path):
        if path.is_file():
            data = path.read_bytes()
            return File(data, data)
        entries = {child.name: self._read(child) for child in path.iterdir()}
        return Folder(dict(entries), dict(entries))

    def _node(self, path):
        node = self.top
        for part in path.relative_to(self.root).parts:
            node = node.now[part]
        return node

    def do(self, operation):
        """An operation of `ddpm.storage.durable`, as the system sees it."""
        path = operation.path
        if operation.kind == "write":
            self._node(path).now += bytes(operation.data)
        elif operation.kind == "sync":
            self._node(path).on_disk = self._node(path).now
        elif operation.kind == "sync-folder":
            folder = self._node(path)
            folder.on_disk, folder.pending = dict(folder.now), []
        elif operation.kind in ("create", "folder"):
            self._change(path.parent, "", path.name, File() if operation.kind == "create" else Folder())
        elif operation.kind == "rename":
            assert path.parent == operation.target.parent
            self._change(path.parent, path.name, operation.target.name, self._node(path))
        else:
            assert operation.kind in ("unlink", "rmdir")
            self._change(path.parent, path.name, "", None)

    def _change(self, parent, goes, comes, node):
        folder = self._node(parent)
        folder.pending.append((goes, comes, node))
        _apply(folder.now, goes, comes, node)

    def after_power_loss(self, target, survives):
        """Write to `target` what is left; of each thing that was not flushed `survives()` decides."""
        shutil.rmtree(target, ignore_errors=True)
        self._write(self.top, target, survives)

    def _write(self, node, path, survives):
        if isinstance(node, File):
            path.write_bytes(node.now if node.now == node.on_disk or survives() else node.on_disk)
            return
        path.mkdir()
        entries = dict(node.on_disk)
        for change in node.pending:
            if survives():
                _apply(entries, *change)
        for name, child in entries.items():
            self._write(child, path / name, survives)


def _apply(entries, goes, comes, node):
    entries.pop(goes, None)
    if comes:
        entries[comes] = node
