"""The two shape rules of the project: a table's entry beside a batch, and a batch's coordinates into one number."""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

ImageBatch = Float[Tensor, "batch *image"]
PerImage = Float[Tensor, " batch"]
Table = Float[Tensor, " T_plus_1"]
Times = Int[Tensor, " batch"] | int
"""Step indices 0..T: one for each image, or one for the whole batch."""
Noise = Callable[[Tensor], Tensor]
"""Standard normal noise of the argument's shape, dtype and device; `torch.randn_like` is one."""


def at(table: Table, t: Times, like: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
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
