"""What all the mathematics shares: a table's entry beside a batch, a batch's coordinates into one number, and noise."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

ImageBatch = Float[Tensor, "batch *image"]
PerImage = Float[Tensor, " batch"]
PerStep = Float[Tensor, " T_plus_1"]
"""A number for each step, at index t = 0..T (1..T where entry 0 has no meaning)."""
Times = Int[Tensor, " batch"] | int
"""Step indices 0..T: one for each image, or one for the whole batch."""
Noise = Callable[[Tensor], Tensor]
"""Standard normal noise of the argument's shape, dtype and device; `torch.randn_like` is one."""
Randomness = Noise | torch.Generator
"""What every public function takes for its `noise`: a function, or a generator from which to draw (`noise_from`)."""


def at(table: PerStep, t: Times, like: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """``table[t]`` as ``(batch, 1, ..., 1)`` in `like`'s dtype and device, or as a scalar for an integer `t`.

    This is the one place where a float64 coefficient meets an image. Never wraps around: a negative `t` raises.

    Raises:
        IndexError: `t` is outside the table.
    """
    if isinstance(t, int):
        if t < 0:
            raise IndexError(f"t = {t} is outside 0..{len(table) - 1}")
        return table[t].to(like.device, like.dtype)
    return table.to(like.device, like.dtype).index_select(0, t).reshape(-1, *[1] * (like.ndim - 1))


def mean_flat(x: ImageBatch) -> PerImage:
    """Mean over all coordinates of each example: ``(batch, ...) -> (batch,)``."""
    return x.flatten(1).mean(1)


def sum_flat(x: ImageBatch) -> PerImage:
    """Sum over all coordinates of each example: ``(batch, ...) -> (batch,)``."""
    return x.flatten(1).sum(1)


def noise_from(noise: Randomness) -> Noise:
    """The function that draws: `noise` itself, or one that draws from a generator.

    A generator draws on its own device, and the numbers are then moved to where the images are: a CPU generator gives
    the same noise wherever the network is. On one device it gives what `torch.randn_like` gives from the same state.

    Raises:
        TypeError: `noise` is neither a function nor a generator.
    """
    if isinstance(noise, torch.Generator):
        return partial(_drawn, noise)
    if callable(noise):
        return noise
    raise TypeError(
        f"noise must be a torch.Generator, or a function of a tensor such as torch.randn_like, not {type(noise).__name__}"
    )


def _drawn(random: torch.Generator, like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=random, dtype=like.dtype, device=random.device).to(like.device)
