"""Images that stay in their files until they are asked for: what a large folder is instead of a tensor.

Every read is checked against the hash of the index, so what is decoded is what was decoded before, wherever and by however
many processes: their number and how far they read ahead cannot change a pixel.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.image_file import pixels
from ddpm.data.decoding.span import Fault, Span
from ddpm.data.decoding.workers import Answer, WorkerPool
from ddpm.data.indexing.index import Index
from ddpm.errors import DataError, Unavailable

PATIENCE = 120.0
"""How many seconds an image may take that was decoded before."""
TRIES = 3
AHEAD = 2
"""How many batches are read while one is used."""
KILLING = ("crashed", "hung")


class Lost(DataError):
    """Images that the index knew as good cannot be read any more; `rows` says which, and why."""

    def __init__(self, rows: dict[int, str], name: str) -> None:
        row, reason = next(iter(rows.items()))
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        super().__init__(f"an image that could be read before cannot be now: {name}: {reason}{more}")
        self.rows, self.first = rows, row


class Reader:
    """Reads images of an index: in this process (`workers` 0), or by a crew of processes, also ahead of time.

    Args:
        workers: how many processes.
        patience: how many seconds one image may take them.
    """

    def __init__(self, workers: int, patience: float = PATIENCE) -> None:
        self.workers = workers
        self._patience = patience
        self._crew: WorkerPool | None = None
        self._ahead: dict[bytes, list[Future[list[Answer]]]] = {}

    @property
    def crew(self) -> WorkerPool:
        """The processes; there are none before the first images are asked for."""
        if self._crew is None:
            self._crew = WorkerPool(self.workers, self._patience, TRIES)
        return self._crew

    def close(self) -> None:
        """End the processes; the next read starts others."""
        if self._crew is not None:
            self._crew.close()
        self._crew, self._ahead = None, {}

    def expect(self, requests: Sequence[dict[str, Any]], key: bytes) -> None:
        """Begin to read what `answers` will be asked for under this key, unless that is under way."""
        if self.workers and key not in self._ahead:
            while len(self._ahead) > 2 * AHEAD:  # of a sequence that was left
                self._ahead.pop(next(iter(self._ahead)))
            size = max(1, min(16, -(-len(requests) // self.workers)))
            parts = [requests[start : start + size] for start in range(0, len(requests), size)]
            self._ahead[key] = [self.crew.ask(part) for part in parts]

    def answers(self, requests: Sequence[dict[str, Any]], key: bytes) -> list[Answer]:
        """One for each request.

        Raises:
            Unavailable: `TRIES` processes in a row were lost with one file.
        """
        if not self.workers:
            return [_here(request) for request in requests]
        self.expect(requests, key)
        found = [answer for part in self._ahead.pop(key) for answer in part.result()]
        for request, answer in zip(requests, found, strict=True):
            if answer.facts.get("fault") in KILLING:
                raise Unavailable(
                    f"cannot read an image that could be read before: {request['path']}: {answer.facts['message']}"
                )
        return found


def _here(request: dict[str, Any]) -> Answer:
    try:
        span = Span(request["path"], request["offset"], request["length"])
        values = pixels(span, bytes.fromhex(request["sha256"]), request["shape"])
    except Fault as fault:
        return Answer({"fault": fault.kind, "message": str(fault)})
    return Answer({}, values.tobytes())


def _without(rows: Tensor, lost: Mapping[int, str]) -> Tensor:
    return rows[[row not in lost for row in rows.tolist()]] if lost else rows


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images of an index as (N, C, H, W) uint8, read when they are indexed, as one would a tensor.

    `rows` (N,) are the index's rows, and `image` is (C, H, W).
    """

    index: Index
    rows: np.ndarray
    image: tuple[int, int, int]
    reader: Reader = field(repr=False)

    dtype = torch.uint8
    device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W), as a tensor's."""
        return len(self), *self.image

    @property
    def nbytes(self) -> int:
        """How many bytes they would take in memory."""
        return len(self) * int(np.prod(self.image))

    def take(self, rows: Tensor) -> "LazyImages":
        """Those at `rows`, in that order; none is read."""
        return replace(self, rows=self.rows[rows.cpu().numpy()])

    def expect(self, rows: Tensor) -> None:
        """Begin to read these, in other processes."""
        if self.reader.workers and len(rows):
            self.reader.expect(self._requests(rows.tolist()), self._key(rows))

    def _key(self, rows: Tensor) -> bytes:
        """Of a request, for the reader, which parts of a set share."""
        return self.rows[rows.cpu().numpy()].tobytes()

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """The images at `rows`.

        Raises:
            Lost: some of them cannot be read any more.
            Unavailable: the processes that read them were lost.
        """
        if isinstance(rows, slice):
            rows = torch.arange(len(self))[rows]
        numbers = rows.tolist()
        values = np.empty((len(numbers), *self.image), np.uint8)
        answers = self.reader.answers(self._requests(numbers), self._key(rows))
        lost = {}
        for place, (row, answer) in enumerate(zip(numbers, answers, strict=True)):
            if "fault" in answer.facts:
                lost[row] = answer.facts["message"]
            else:
                values[place] = np.frombuffer(answer.pixels, np.uint8).reshape(self.image)
        if lost:
            raise Lost(lost, self.index.names[int(self.rows[next(iter(lost))])])
        return torch.from_numpy(values)

    def in_memory(self) -> Tensor:
        """All of them, read in parts.

        Raises:
            Lost: some of them cannot be read any more.
        """
        values, lost = self.left({})
        if lost:
            raise Lost(lost, self.index.names[int(self.rows[next(iter(lost))])])
        return values

    def left(self, lost: Mapping[int, str]) -> tuple[Tensor, dict[int, str]]:
        """All that can be read, zeros in the place of the others; and which these are, beside those `lost` before, and why."""
        values, found = torch.zeros(self.shape, dtype=torch.uint8), dict(lost)
        parts = torch.arange(len(self)).split(max(1, 2**24 // int(np.prod(self.image))))
        for part, later in zip(parts, [*parts[1:], torch.arange(0)], strict=True):
            while len(rows := _without(part, found)):
                self.expect(rows)
                self.expect(_without(later, found))
                try:
                    values[rows] = self[rows]
                    break
                except Lost as error:
                    found.update(error.rows)
        return values, found

    def hashes(self) -> np.ndarray:
        """The SHA-256 of each image's bytes, (N, 32) uint8."""
        return self.index.entries["sha256"][self.rows]

    def _requests(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        found = []
        for row in self.rows[rows].tolist():
            sha256 = self.index.entries["sha256"][row].tobytes().hex()
            found.append({**vars(self.index.span(row)), "sha256": sha256, "shape": self.image})
        return found
