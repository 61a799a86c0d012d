r"""The Frechet distance of two Gaussians with the moments of two sets (Heusel et al. 2017, whose features are Inception's: FID).

:math:`|m_a - m_b|^2 + \mathrm{tr}(A + B - 2(A^{1/2} B A^{1/2})^{1/2})`, by eigenvalues in float64. Of few images it is too large; how
much is found from halves of the sets; how uncertain it is, from its derivatives at every row (the infinitesimal jackknife).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.errors import UsageError
from ddpm.evaluation.images.moments import ROWS, Moments
from ddpm.evaluation.images.score import NORMAL, Score
from ddpm.evaluation.images.side import Side
from ddpm.seeds import generator

ROUNDING = 1e-12
"""Of the variances of both sets: what the eigenvalues of a set and itself leave, which is no distance."""
FEW = 4
"""With fewer images for each feature the bias is not taken off well: halves of the set have no whole covariance."""
SPLITS, WIDE = (8, 2), 512
"""Into halves, for the bias; fewer where there are more features than `WIDE`, as each takes four decompositions."""
POINTS = 15
"""Sizes at which FID_infinity looks (Chong & Forsyth 2020)."""


def frechet(a: Moments, b: Moments) -> float:
    """The squared Frechet distance, at least 0.

    Raises:
        ValueError: they are of fewer than two rows.
    """
    root = square_root(a.covariance)
    between = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    size = a.covariance.trace() + b.covariance.trace()
    found = float((a.mean - b.mean).square().sum() + size - 2 * between)
    return found if found > ROUNDING * float(size) else 0.0


def square_root(covariance: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix, of which eigenvalues below 0 are rounding."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


@dataclass(frozen=True)
class Part:
    """What one set adds to the variance: at first order, and at second, which alone is there where the distance is 0."""

    first: float
    second: float


NOTHING = Part(0.0, 0.0)


def part(side: Side, other: Moments) -> Part:
    r"""Of one set; nothing, where only its moments are known.

    With :math:`R = B^{1/2}`, :math:`RAR = U\Lambda U^T` and :math:`y = U^T R (x - m_a)`, a row changes the distance by
    :math:`\psi = 2(m_a - m_b)^T(x - m_a) + |x - m_a|^2 - \sum_k y_k^2/\sqrt{\lambda_k}` (but for a constant). At second order the
    error :math:`H` of :math:`\Lambda` adds :math:`\frac12\sum_{kl} w_{kl} H_{kl}^2`, with
    :math:`w_{kl} = 1/(\sqrt{\lambda_k\lambda_l}(\sqrt{\lambda_k} + \sqrt{\lambda_l}))`, whose variance is that of independent normal H.
    """
    own, features = side.moments, side.features
    if features is None:
        return NOTHING
    count, root = len(features), square_root(other.covariance)
    values, vectors = torch.linalg.eigh(root @ own.covariance @ root)
    real = values > values[-1].clamp(min=0) * 1e-12
    roots, turn = values[real].sqrt(), (root @ vectors)[:, real]
    squares = torch.zeros(len(roots), len(roots), dtype=torch.float64)
    influence = []
    for rows in features.split(ROWS):
        centred = rows.double() - own.mean
        y = (centred @ turn).square()
        squares += y.T @ y
        influence.append(2 * centred @ (own.mean - other.mean) + centred.square().sum(1) - y @ (1 / roots))
    spread = (squares / count - torch.diag(roots**4)) / count
    weighted = (spread / (roots.outer(roots) * (roots[:, None] + roots))).square()
    second = weighted.sum() - weighted.diagonal().sum() / 2 + 2 * own.covariance.square().sum() / count**2
    return Part(float(torch.cat(influence).var()) / count, float(second))


def bias(a: Side, b: Side, value: float, seed: int, splits: int) -> float:
    """By how much `value` is too large: as much as the distance of halves is larger still, as both fall with 1/N.

    Every split gives the distances of two pairs of halves; `splits` random ones are averaged.
    """
    found = []
    for split in range(splits):
        halves = [_halves(side, generator(seed, "halves", name, split)) for side, name in ((a, "a"), (b, "b"))]
        found += [frechet(one, two) for one, two in zip(*halves, strict=True)]
    return sum(found) / len(found) - value


def _halves(side: Side, random: torch.Generator) -> tuple[Moments, Moments]:
    if side.features is None:
        return side.moments, side.moments
    order = torch.randperm(len(side.features), generator=random)
    middle = len(order) // 2
    return side.rows(order[:middle]), side.rows(order[middle:])


def interval(centre: float, first: float, second: float) -> tuple[float, float]:
    """Where the truth f is: (centre - f)^2 <= z^2 (second + f * first/centre), as the variance of first order grows with f."""
    slope = first / max(centre, NORMAL * math.sqrt(second), 1e-300)
    half = NORMAL**2 * slope / 2
    root = math.sqrt(half**2 + NORMAL**2 * (slope * max(centre, 0.0) + second))
    return max(centre + half - root, 0.0), max(centre + half + root, 0.0)


def _variances(a: Side, b: Side) -> tuple[float, float]:
    """Of first and of second order, of both sets together."""
    parts = part(a, b.moments), part(b, a.moments)
    second = sum(math.sqrt(one.second) for one in parts) ** 2
    return max(sum(one.first for one in parts) - second, 0.0), second  # the second order is in the first once more


def _images(a: Side, b: Side) -> int:
    """In the smaller of the sets that are known by their images; 0 where none is."""
    return min((len(side.features) for side in (a, b) if side.features is not None), default=0)


def score(a: Side, b: Side, seed: int = 0) -> Score:
    """The distance as it is published, its bias, and an interval about what is left without it.

    What is known by its moments alone is taken for the truth: it has neither bias nor variance.
    """
    value, few = frechet(a.moments, b.moments), _images(a, b)
    about = {"features": a.moments.dims, "covariance": "over N - 1"}
    if few < 4:
        why = "none: of moments alone" if few == 0 else "none: too few images"
        return Score("fid", value, None, None, why, None, about)
    splits = SPLITS[a.moments.dims > WIDE]
    first, second = _variances(a, b)
    too_large = bias(a, b, value, seed, splits)
    low, high = interval(value - too_large, first, second * (1 + 1 / splits))
    about |= {"splits_into_halves": splits, "seed": seed, "enough_images": few >= FEW * a.moments.dims}
    return Score("fid", value, low, high, "infinitesimal jackknife, without the bias", too_large, about)


def infinity(a: Side, b: Side, seed: int = 0) -> Score:
    """FID_infinity: the distances of growing parts of a, as a line in 1/N, at 1/N = 0 (Chong & Forsyth 2020).

    What the finite number of b's images adds stays in it, so that no interval is given: ``fid`` has one, without the bias of both.

    Raises:
        UsageError: a is known by its moments, or has too few images.
    """
    if a.features is None or len(a.features) < 2 * POINTS:
        raise UsageError(f"fid-infinity needs at least {2 * POINTS} images to judge", "`metrics=fid` needs fewer")
    count = len(a.features)
    least = max(count // 10, min(2 * a.moments.dims, count // 2), 2)
    sizes = [round(least + (count - least) * i / (POINTS - 1)) for i in range(POINTS)]
    order = [torch.randperm(count, generator=generator(seed, "infinity", size))[:size] for size in sizes]
    found = torch.tensor([frechet(a.rows(rows), b.moments) for rows in order], dtype=torch.float64)
    line = torch.stack([torch.ones(POINTS), 1 / torch.tensor(sizes)], 1).double()
    value, slope = torch.linalg.lstsq(line, found[:, None]).solution[:, 0].tolist()
    about = {"sizes": sizes, "slope": slope, "seed": seed, "features": a.moments.dims}
    about |= {"enough_images": _images(a, b) >= FEW * a.moments.dims}
    return Score(
        "fid-infinity",
        value,
        None,
        None,
        "none: how far off the line is, and what b's images add, is not known",
        None,
        about,
    )
