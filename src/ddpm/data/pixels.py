"""The pixels of a set of images: what every way of keeping them can do (`Pixels`), and those kept in memory.

The other way is `ddpm.data.indexing.lazy_images.LazyImages`: they stay in their files until they are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ddpm.errors import DataError


class Lost(DataError):
    """Images that could be read earlier no longer can. `rows` says which ones, and for each of them why."""

    def __init__(self, rows: Mapping[int, str], name: str) -> None:
        """`name` is the name of the first of them."""
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        reason = next(iter(rows.values()))
        super().__init__(f"an image that could be read before cannot be now: {name}: {reason}{more}")
        self.rows = rows


@runtime_checkable
class Pixels(Protocol):
    """(N, C, H, W) integers: uint8, or int32 above 256 levels. A set does not know where they are kept."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        ...

    @property
    def nbytes(self) -> int:
        """How many bytes they take in memory, or would take there."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the result of indexing them is."""
        ...

    @property
    def ahead(self) -> int:
        """How many batches should be announced with `prefetch` before they are used; 0 where that gains nothing."""
        ...

    @property
    def known_by_hash(self) -> bool:
        """Whether `fingerprint_parts` are hashes, which are known even of an image that can no longer be read."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """The images at `rows`, (n, C, H, W), in that order.

        Raises:
            Lost: some of them can no longer be read.
            Unavailable: the processes that read them were lost.
        """
        ...

    def take(self, rows: Tensor) -> "Pixels":
        """Those at `rows`, in that order; nothing is read."""
        ...

    def tensor(self) -> Tensor:
        """All of them, (N, C, H, W) in memory.

        Raises:
            Lost, Unavailable: as `__getitem__`.
        """
        ...

    def read_all_readable(self, lost: Mapping[int, str]) -> tuple[Tensor, Mapping[int, str]]:
        """All that can be read, (N, C, H, W), with zeros in the place of the others; and which others, each with its reason.

        The rows that are `lost` already are not tried again, and are among the others.

        Raises:
            Unavailable: as `__getitem__`.
        """
        ...

    def prefetch(self, rows: Tensor) -> None:
        """Begin to read the images at `rows`, which will be asked for soon."""
        ...

    def moved_to(self, device: torch.device, most: int) -> "Pixels":
        """The same on `device` if they are in memory and take at most `most` bytes; else on the CPU."""
        ...

    def fingerprint_parts(self) -> Iterator[bytes]:
        """The bytes that a fingerprint is made of: the pixels, or the hashes of the files that hold them."""
        ...

    def close(self) -> None:
        """End the processes that read files, where there are any."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Pixels in a tensor (N, C, H, W), on any device."""

    values: Tensor

    ahead = 0
    known_by_hash = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return tuple(self.values.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return self.values.nbytes

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.values.device

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        return self.values[rows]

    def take(self, rows: Tensor) -> "InMemory":
        """Those at `rows`, in that order."""
        return InMemory(self.values[rows])

    def tensor(self) -> Tensor:
        """The tensor itself."""
        return self.values

    def read_all_readable(self, lost: Mapping[int, str]) -> tuple[Tensor, Mapping[int, str]]:
        """The tensor itself, and the same `lost` rows: nothing is left to read."""
        return self.values, lost

    def prefetch(self, rows: Tensor) -> None:
        """Nothing: they are there."""

    def moved_to(self, device: torch.device, most: int) -> "InMemory":
        """The same on `device`, or on the CPU if they take more than `most` bytes."""
        return replace(self, values=self.values.to(device if self.nbytes <= most else "cpu"))

    def fingerprint_parts(self) -> Iterator[bytes]:
        """The pixels."""
        for part in self.values.cpu().split(4096):
            yield part.contiguous().numpy().tobytes()

    def close(self) -> None:
        """Nothing: no process reads them."""
