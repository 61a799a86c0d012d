"""How far two sets of points are from each other."""

import torch
from torch import Tensor

DIRECTIONS = 64


def sliced_wasserstein(x: Tensor, y: Tensor, random: torch.Generator) -> float:
    """The 2-Wasserstein distance of projections on random directions, averaged (in squares); (n, D) both.

    For two samples of one law it is about the square root of their variance over n, not 0.
    """
    directions = torch.randn(x.shape[1], DIRECTIONS, generator=random, dtype=x.dtype)
    directions = directions / directions.norm(dim=0)
    a, b = ((points @ directions).sort(dim=0).values for points in (x, y))
    return float((a - b).square().mean().sqrt())
