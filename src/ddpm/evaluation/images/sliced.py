"""The sliced Wasserstein distance: how far apart the quantiles of two sets are along random directions (Rabin et al. 2011)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.errors import UsageError
from ddpm.evaluation.images.groups import groups_of, left_out_variance
from ddpm.evaluation.images.score import Score, around
from ddpm.seeds import generator

DIRECTIONS = 128
SPLITS = 8
"""Into halves, for the bias."""


def directions(dims: int, count: int, seed: int) -> Float[Tensor, "D count"]:
    """Unit vectors, evenly over all directions."""
    drawn = torch.randn(dims, count, generator=generator(seed, "directions", dims), dtype=torch.float64)
    return drawn / drawn.norm(dim=0)


def squared(a: Float[Tensor, "n count"], b: Float[Tensor, "m count"]) -> float:
    """The squared 2-Wasserstein distance along each direction, exact for any n and m, averaged; rows need no order."""
    a, b = a.sort(0).values, b.sort(0).values
    n, m = len(a), len(b)
    if n == m:
        return float((a - b).square().mean())
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()  # in units of 1/(n m)
    begins = torch.cat([ends.new_zeros(1), ends[:-1]])
    return float(((ends - begins).double() @ (a[begins // m] - b[begins // n]).square()).mean() / (n * m))


def score(a: Tensor, b: Tensor, count: int = DIRECTIONS, seed: int = 0) -> Score:
    """The root of the mean square over directions, in the features' own units.

    Of few images it is too large, as the Frechet distance: by as much as halves of the sets are further apart still.

    Raises:
        UsageError: there are fewer than four images on a side.
    """
    if min(len(a), len(b)) < 4:
        raise UsageError(f"a sliced distance needs at least 4 images on each side, not {min(len(a), len(b))}")
    along = directions(a.shape[1], count, seed)
    a, b = (torch.cat([rows.double() @ along for rows in side.split(4096)]) for side in (a, b))
    value = squared(a, b)
    too_large = _halves(a, b, seed) - value
    groups = groups_of(len(a), seed, "a"), groups_of(len(b), seed, "b")
    without_a = [squared(a[groups[0] != g], b) for g in groups[0].unique()]
    without_b = [squared(a, b[groups[1] != g]) for g in groups[1].unique()]
    variance = sum(left_out_variance(torch.tensor(found, dtype=torch.float64)) for found in (without_a, without_b))
    low, high = around(value - too_large, variance, 0.0)
    bias = math.sqrt(value) - math.sqrt(max(value - too_large, 0.0))
    about = {"directions": count, "seed": seed, "order": 2}
    way = "jackknife over twentieths of both sets, without the bias"
    return Score("sliced", math.sqrt(value), math.sqrt(low), math.sqrt(high), way, bias, about)


def _halves(a: Tensor, b: Tensor, seed: int) -> float:
    """The mean squared distance of halves."""
    found = []
    for split in range(SPLITS):
        random = generator(seed, "halves", split)
        parts = [torch.randperm(len(side), generator=random).tensor_split(2) for side in (a, b)]
        found += [squared(a[one], b[two]) for one, two in zip(*parts, strict=True)]
    return sum(found) / len(found)
