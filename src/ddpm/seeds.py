"""Randomness as a function of names: every random number of the project comes from a seed and what it is for.

A generator is made anew from (seed, purpose, step, ...), never carried along: so resuming, batch sizes and prefetching
cannot change a draw, and nothing touches torch's global generator.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

SEGMENT = 8
"""So many places of a batch have a generator together: fewer cost time, more are drawn in vain at the ends of a part."""


def key(*names: int | str) -> int:
    """A 63-bit number from names, the same on every machine."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*names: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for what `names` say, e.g. ``generator(seed, "noise", step)``.

    On a CPU torch keeps the lower 32 bits of a seed: the chance that any two of N generators are the same is N^2 / 2^33, one in
    four for 50,000 images and next to nothing for 1,000.
    """
    return torch.Generator(device).manual_seed(key(*names))


def by_place(like: Tensor, first: int, fill: Callable[[Tensor, torch.Generator], Tensor], *names: int | str) -> Tensor:
    """A part of a batch of random numbers of which row i depends on `names` and its place in the whole batch alone.

    Of the shape, dtype and device of `like`, whose row 0 has the place `first`; `fill` fills a tensor from a generator. So a
    batch may be cut among any number of processes, and each draws only what it needs.
    """
    begin, end = first // SEGMENT, -(-(first + len(like)) // SEGMENT)
    drawn = like.new_empty((end - begin) * SEGMENT, *like.shape[1:])
    for number, rows in enumerate(drawn.split(SEGMENT), start=begin):
        fill(rows, generator(*names, number, device=like.device))
    return drawn[first - begin * SEGMENT :][: len(like)]


def normal(rows: Tensor, random: torch.Generator) -> Tensor:
    """Fill with N(0, 1)."""
    return rows.normal_(generator=random)


class NoiseForEach:
    """Standard normal noise of which row i comes from a generator of its own: the same in every batch and on every device.

    Call it with a tensor to get noise of its shape, dtype and device; each call goes on where the last one stopped.
    """

    def __init__(self, generators: list[torch.Generator]) -> None:
        self._generators = generators

    def __call__(self, like: Tensor) -> Tensor:
        """Noise for a batch of as many examples as there are generators."""
        if len(like) != len(self._generators):
            raise ValueError(f"noise for {len(self._generators)} examples was asked for a batch of {len(like)}")
        rows = [torch.randn(like.shape[1:], generator=g) for g in self._generators]
        return torch.stack(rows).to(like.device, like.dtype) if rows else torch.zeros_like(like)
