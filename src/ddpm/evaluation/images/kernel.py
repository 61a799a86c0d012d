r"""KID: the squared maximum mean discrepancy under :math:`k(x, y) = (x^T y/D + 1)^3` (Binkowski et al. 2018). Unbiased for any N.

The published number is the mean over 100 random subsets of 1,000 images; beside it stands the estimate from all images, whose
variance is found by leaving out each image in turn.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.evaluation.images.score import Score, around
from ddpm.seeds import generator

BLOCK = 2048
"""Rows of the kernel's matrix that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Of the kernel over all pairs of n and m rows: for each row, with its own set (but not with itself) and with the other set."""

    own_a: Float[Tensor, " n"]
    own_b: Float[Tensor, " m"]
    other_a: Float[Tensor, " n"]
    other_b: Float[Tensor, " m"]

    def mmd(self) -> float:
        """The unbiased estimate."""
        n, m = len(self.own_a), len(self.own_b)
        within = self.own_a.sum() / (n * (n - 1)) + self.own_b.sum() / (m * (m - 1))
        return float(within - 2 * self.other_a.sum() / (n * m))

    def variance(self) -> float:
        """Of the estimate, by the jackknife: too large rather than too small where the two sets are alike."""
        return _left_out(self.own_a, self.other_a, len(self.own_b)) + _left_out(
            self.own_b, self.other_b, len(self.own_a)
        )


def _left_out(own: Tensor, other: Tensor, others: int) -> float:
    """The jackknife's variance of what depends on one set: each of its n rows left out in turn."""
    n = len(own)
    within = (own.sum() - 2 * own) / ((n - 1) * (n - 2))
    between = (other.sum() - other) / ((n - 1) * others)
    return float((within - 2 * between).var(correction=0) * (n - 1))


def kernel(x: Float[Tensor, "n D"], y: Float[Tensor, "m D"]) -> Float[Tensor, "n m"]:
    """Of every pair, float64."""
    return (x.double() @ y.double().T / x.shape[1] + 1) ** 3


def sums(a: Float[Tensor, "n D"], b: Float[Tensor, "m D"]) -> Sums:
    """Over all pairs, in blocks."""
    return Sums(_own(a), _own(b), *_between(a, b))


def _own(x: Tensor) -> Tensor:
    itself = (x.double().square().sum(1) / x.shape[1] + 1) ** 3
    return _between(x, x)[0] - itself


def _between(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of the rows and of the columns of the kernel's matrix."""
    rows, columns = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(y), dtype=torch.float64)
    for i in torch.arange(len(x)).split(BLOCK):
        for j in torch.arange(len(y)).split(BLOCK):
            found = kernel(x[i], y[j])
            rows[i] += found.sum(1)
            columns[j] += found.sum(0)
    return rows, columns


def score(a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> Score:
    """The mean over subsets, with an interval about the estimate from all rows.

    Of fewer images than `subset_size`, or where no number of subsets is asked for (0), the estimate from all is the value.
    """
    whole = sums(a, b)
    full, variance = whole.mmd(), whole.variance()
    low, high = around(full, variance)
    size = min(subset_size, len(a), len(b))
    about = {"full": full, "full_variance": variance, "subsets": subsets, "subset_size": size, "seed": seed}
    about |= {"kernel": "(x.y/D + 1)^3", "estimator": "unbiased"}
    value = full
    if subsets and size == subset_size:
        random = generator(seed, "kid")
        each = [
            sums(a[torch.randperm(len(a), generator=random)[:size]], b[torch.randperm(len(b), generator=random)[:size]])
            for _ in range(subsets)
        ]
        found = torch.tensor([one.mmd() for one in each], dtype=torch.float64)
        value = float(found.mean())
        about["subsets_std"] = float(found.std(correction=0))
    else:
        about |= {"subsets": 0, "subset_size": None}
    return Score("kid", value, low, high, "jackknife of the estimate from all images", 0.0, about)
