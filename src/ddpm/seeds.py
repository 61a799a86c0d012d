"""Randomness as a function of names: every random number of the project comes from a seed and what it is for.

A generator is made anew from (seed, purpose, step, ...), never carried along: so resuming, batch sizes and prefetching
cannot change a draw, and nothing touches torch's global generator.
"""

import hashlib

import torch
from torch import Tensor


def key(*names: int | str) -> int:
    """A 63-bit number from names, the same on every machine."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*names: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for what `names` say, e.g. ``generator(seed, "noise", step)``."""
    return torch.Generator(device).manual_seed(key(*names))


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
