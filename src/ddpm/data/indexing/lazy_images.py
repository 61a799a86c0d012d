"""Images that stay in their files until they are asked for: a large folder is read so instead of into one tensor.

Every read is checked against the hash in the index, so the pixels are those of the first time, whichever process reads them:
how many processes read, and how far ahead, cannot change a pixel. Large pictures that were made small before are not even read
(`small_pictures`).
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.image_file import BYTES, PICTURE, Scale, answer_to, in_channels
from ddpm.data.decoding.scaled import DEFAULT
from ddpm.data.decoding.workers import Answer, WorkerPool
from ddpm.data.indexing.index import Index
from ddpm.data.indexing.small_pictures import SmallPictures
from ddpm.data.pixels import Lost
from ddpm.errors import Unavailable

PATIENCE = 120.0
"""How many seconds an image may take that was decoded before."""
TRIES = 3
AHEAD = 2
"""How many batches are read while one is used."""
KILLING = ("crashed", "hung")


class Reader:
    """Reads images of an index: in this process (`workers` 0), or in worker processes, which can also read ahead.

    Args:
        workers: how many processes.
        patience: how many seconds one image may take them.
    """

    def __init__(self, workers: int, patience: float = PATIENCE) -> None:
        self.workers = workers
        self._patience = patience
        self._pool: WorkerPool | None = None
        self._ahead: dict[bytes, list[Future[list[Answer]]]] = {}

    @property
    def pool(self) -> WorkerPool:
        """The worker processes. None runs before the first images are asked for."""
        if self._pool is None:
            self._pool = WorkerPool(self.workers, self._patience, TRIES)
        return self._pool

    def close(self) -> None:
        """End the processes; the next read starts new ones."""
        if self._pool is not None:
            self._pool.close()
        self._pool, self._ahead = None, {}

    def prefetch(self, requests: Sequence[dict[str, Any]], key: bytes) -> None:
        """Begin to read what `answers` will be asked for under the same key, unless that has begun already."""
        if self.workers and key not in self._ahead:
            while len(self._ahead) > 2 * AHEAD:  # batches that were announced and never asked for
                self._ahead.pop(next(iter(self._ahead)))
            size = max(1, min(16, -(-len(requests) // self.workers)))
            parts = [requests[start : start + size] for start in range(0, len(requests), size)]
            self._ahead[key] = [self.pool.ask(part) for part in parts]

    def answers(self, requests: Sequence[dict[str, Any]], key: bytes) -> list[Answer]:
        """One for each request.

        Raises:
            Unavailable: `TRIES` processes in a row died of one file.
        """
        if not self.workers:
            return [Answer(*answer_to(request)) for request in requests]
        self.prefetch(requests, key)
        found = [answer for part in self._ahead.pop(key) for answer in part.result()]
        for request, answer in zip(requests, found, strict=True):
            if answer.facts.get("fault") in KILLING:
                raise Unavailable(
                    f"cannot read an image that could be read before: {request['path']}: {answer.facts['message']}"
                )
        return found


def _without(rows: Tensor, lost: Mapping[int, str]) -> Tensor:
    return rows[[row not in lost for row in rows.tolist()]] if lost else rows


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images of an index as (N, C, H, W) uint8 (int32 above 256 levels), read when they are indexed, as one would index a tensor.

    `rows` (N,) are their rows in the index, and `image` is (C, H, W). `scale` says how many levels they have, `decoding` is the rule
    by which large pictures become small, and `small` keeps those that have; None where there are none.
    """

    index: Index
    rows: np.ndarray
    image: tuple[int, int, int]
    reader: Reader = field(repr=False)
    scale: Scale = PICTURE
    decoding: str = DEFAULT.decoding
    small: SmallPictures | None = field(default=None, repr=False)

    device = torch.device("cpu")
    known_by_hash = True

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return len(self), *self.image

    @property
    def nbytes(self) -> int:
        """How many bytes they would take in memory."""
        return len(self) * int(np.prod(self.image)) * self._kept.itemsize

    @property
    def _kept(self) -> torch.dtype:
        """What they are in memory."""
        return torch.uint8 if self.scale.levels <= BYTES else torch.int32

    @property
    def _sent(self) -> type[np.unsignedinteger]:
        """What a worker sends."""
        return np.uint8 if self.scale.levels <= BYTES else np.uint16

    @property
    def ahead(self) -> int:
        """How many batches should be announced: `AHEAD` where worker processes read, 0 where this process does."""
        return AHEAD if self.reader.workers else 0

    def take(self, rows: Tensor) -> "LazyImages":
        """Those at `rows`, in that order; none is read."""
        return replace(self, rows=self.rows[rows.cpu().numpy()])

    def prefetch(self, rows: Tensor) -> None:
        """Begin to read the images at `rows`, in worker processes, but for those that are kept small."""
        if self.reader.workers and len(rows):
            left = rows if self.small is None else rows[[not self.small.has(row) for row in self._rows_of(rows)]]
            if len(left):
                self.reader.prefetch(self._requests(left.tolist()), self._key(left))

    def _key(self, rows: Tensor) -> bytes:
        """What the reader knows a request by: the rows of the index, since several sets share one reader."""
        return self.rows[rows.cpu().numpy()].tobytes()

    def _rows_of(self, rows: Tensor) -> list[int]:
        return self.rows[rows.cpu().numpy()].tolist()

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """The images at `rows`, (n, C, H, W).

        Raises:
            Lost: some of them can no longer be read.
            Unavailable: the processes that read them were lost.
        """
        if isinstance(rows, slice):
            rows = torch.arange(len(self))[rows]
        values = np.empty((len(rows), *self.image), self._sent)
        left = self._fill_in_kept(rows, values)
        lost = self._fill_in_read(rows, values, left) if left else {}
        if lost:
            raise self._lost(lost)
        return torch.from_numpy(values if self._kept is torch.uint8 else values.astype(np.int32))

    def _fill_in_kept(self, rows: Tensor, values: np.ndarray) -> list[int]:
        """Fill in the images that are kept small; the places of the others."""
        if self.small is None:
            return list(range(len(rows)))
        left = []
        for place, row in enumerate(self._rows_of(rows)):
            if (found := self.small.get(row)) is None:
                left.append(place)
            else:
                values[place] = in_channels(found, self.image[0])
        return left

    def _fill_in_read(self, rows: Tensor, values: np.ndarray, places: list[int]) -> dict[int, str]:
        """Fill in the images at these places from their files; those that are lost, each with the reason."""
        some, lost = rows[places], {}
        requests = self._requests(some.tolist())
        answers = self.reader.answers(requests, self._key(some))
        for place, row, request, answer in zip(places, self._rows_of(some), requests, answers, strict=True):
            if "fault" in answer.facts:
                lost[int(rows[place])] = answer.facts["message"]
                continue
            found = np.frombuffer(answer.pixels, self._sent).reshape(request["shape"])
            values[place] = in_channels(found, self.image[0])
            if self.small is not None:
                self.small.put(row, found)
        return lost

    def tensor(self) -> Tensor:
        """All of them, (N, C, H, W), read in parts.

        Raises:
            Lost, Unavailable: as `__getitem__`.
        """
        values, lost = self.read_all_readable({})
        if lost:
            raise self._lost(lost)
        return values

    def _lost(self, lost: Mapping[int, str]) -> Lost:
        return Lost(lost, self.index.names[int(self.rows[next(iter(lost))])])

    def read_all_readable(self, lost: Mapping[int, str]) -> tuple[Tensor, Mapping[int, str]]:
        """All that can be read, with zeros in the place of the others; and which others, each with its reason.

        The rows that are `lost` already are not tried again, and are among the others.

        Raises:
            Unavailable: as `__getitem__`.
        """
        values, found = torch.zeros(self.shape, dtype=self._kept), dict(lost)
        parts = torch.arange(len(self)).split(max(1, 2**24 // int(np.prod(self.image))))
        for part, later in zip(parts, [*parts[1:], torch.arange(0)], strict=True):
            while len(rows := _without(part, found)):
                self.prefetch(rows)
                self.prefetch(_without(later, found))
                try:
                    values[rows] = self[rows]
                    break
                except Lost as error:
                    found.update(error.rows)
        return values, found

    def moved_to(self, device: torch.device, most: int) -> "LazyImages":
        """The same: they come to the CPU, batch by batch."""
        del device, most
        return self

    def fingerprint_parts(self) -> Iterator[bytes]:
        """The SHA-256 of the bytes of each image, 32 bytes for each."""
        yield self.index.entries["sha256"][self.rows].tobytes()

    def close(self) -> None:
        """End the worker processes; the next read starts new ones. What was made small is written down."""
        self.reader.close()
        if self.small is not None:
            self.small.flush()

    def _requests(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        found, about = [], {"scale": (self.scale.levels, self.scale.top), "decoding": self.decoding}
        for row in self.rows[rows].tolist():
            sha256 = self.index.entries["sha256"][row].tobytes().hex()
            found.append({**vars(self.index.span(row)), "sha256": sha256, "shape": self._shape_of(row), **about})
        return found

    def _shape_of(self, row: int) -> tuple[int, int, int]:
        """As which an image is read: as many channels as the file has, where it is then kept for whoever wants it."""
        if self.small is None or not self.small.is_large(row):
            return self.image
        return 1 if self.index.entries["grey"][row] else 3, *self.image[1:]
