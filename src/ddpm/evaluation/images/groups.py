"""The jackknife that leaves out a twentieth of a set at a time, for what cannot be differentiated."""

import torch
from torch import Tensor

from ddpm.seeds import generator

GROUPS = 20
STUDENT = (2.0930240544 / 1.959963984540054) ** 2
"""So much wider is the interval of 19 degrees of freedom, in squares."""


def groups_of(count: int, seed: int, name: str) -> Tensor:
    """Which of at most `GROUPS` groups each row is in, (count,): as large as each other, and drawn at random."""
    order = torch.randperm(count, generator=generator(seed, "groups", name))
    return (order % min(GROUPS, count)).to(torch.int64)


def left_out_variance(without: Tensor) -> float:
    """Of a number, from what it is without each of the groups, (groups,); widened, as there are so few of them."""
    count = len(without)
    return float(without.double().var(correction=0) * (count - 1) * STUDENT) if count > 1 else 0.0
