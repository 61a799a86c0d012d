"""Who has neighbours in the other set: precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

The manifold of a set is the union of balls about its rows that reach to the k-th nearest other row. Precision: the part of the
judged set a within that of the reference b; recall: the part of b within that of a. Density: in how many balls of b a row of a
lies, over k; coverage: the part of the balls of b with a row of a in them. All depend on the number of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.errors import UsageError
from ddpm.evaluation.images.groups import groups_of, left_out_variance
from ddpm.evaluation.images.score import Score, around

BYTES = 2**26
"""Of distances that are in memory at a time."""
WAY = "binomial over the rows, and jackknife over twentieths of the set with the balls"


@dataclass(frozen=True, eq=False)
class Balls:
    """About the `centres` (M, D): squared radii of all, (1 + groups, M); in row 1 + g without the rows of group g, which are -1."""

    centres: Float[Tensor, "M D"]
    radii: Float[Tensor, "G M"]
    groups: Tensor

    @property
    def without(self) -> range:
        """Numbers of the groups."""
        return range(len(self.radii) - 1)


def distances(x: Float[Tensor, "n D"], y: Float[Tensor, "m D"]) -> Iterator[tuple[slice, Float[Tensor, "rows m"]]]:
    """Squared distances of rows of x to all of y in float64, some rows at a time; what is rounding is 0."""
    centre = y.double().mean(0)
    wide = y.double() - centre
    norms = wide.square().sum(1)
    size = max(1, BYTES // (8 * len(y)))
    for begin in range(0, len(x), size):
        rows = x[begin : begin + size].double() - centre
        both = rows.square().sum(1)[:, None] + norms
        found = both - 2 * rows @ wide.T
        yield slice(begin, begin + len(rows)), found.masked_fill(found < 1e-13 * both, 0.0)


def squared(x: Float[Tensor, "n D"], y: Float[Tensor, "m D"]) -> Float[Tensor, "n m"]:
    """The same all at once."""
    return torch.cat([found for _, found in distances(x, y)])


def balls(centres: Tensor, k: int, seed: int, name: str) -> Balls:
    """To the k-th nearest other row.

    Raises:
        UsageError: there are not so many.
    """
    count = len(centres)
    if count < k + 2:
        raise UsageError(f"the {k}-th neighbours need more than {k + 1} images on each side, not {count}")
    groups = groups_of(count, seed, name)
    kinds = int(groups.max()) + 1
    radii = torch.empty(1 + kinds, count, dtype=torch.float64)
    for rows, found in distances(centres, centres):
        found[torch.arange(len(found)), torch.arange(rows.start, rows.stop)] = torch.inf
        near, who = found.topk(min(4 * k + 8, count - 1), largest=False)
        radii[0, rows] = near[:, k - 1]
        for group in range(kinds):
            others = (groups[who] != group).cumsum(1) >= k
            place = torch.where(others[:, -1], others.long().argmax(1), near.shape[1] - 1)
            radii[1 + group, rows] = near.gather(1, place[:, None])[:, 0]
    for group in range(kinds):
        radii[1 + group, groups == group] = -1.0
    return Balls(centres, radii, groups)


def within(points: Tensor, of: Balls) -> Float[Tensor, "G N"]:
    """In how many balls each point lies: of all, and without each group."""
    found = torch.empty(len(of.radii), len(points), dtype=torch.int64)
    for rows, far in distances(points, of.centres):
        for at, radii in enumerate(of.radii):
            found[at, rows] = (far <= radii).sum(1)
    return found.double()


def _mean(name: str, found: Tensor, about: dict[str, object]) -> Score:
    """Of what was found of each point, and its interval."""
    value, spread = float(found[0].mean()), float(found[0].var()) / found.shape[1]
    low, high = around(value, spread + left_out_variance(found[1:].mean(1)), 0.0)
    return Score(name, value, low, high, WAY, None, about)


def _share(name: str, found: Tensor, about: dict[str, object]) -> Score:
    """The share of the points of which it is so (1, else 0), and its interval."""
    value = float(found[0].mean())
    low, high = around_share(value, found.shape[1], left_out_variance(found[1:].mean(1)))
    return Score(name, value, low, high, WAY, None, about)


def around_share(value: float, count: int, more: float) -> tuple[float, float]:
    """The interval of a share of `count` points, as if two more were in and two out (Agresti & Coull 1998), and of what adds to it.

    Of none or of all, where the points differ in nothing, it is not empty.
    """
    centre = (value * count + 2) / (count + 4)
    low, high = around(centre, centre * (1 - centre) / (count + 4) + more, 0.0, 1.0)
    return min(low, value), max(high, value)


def precision_recall(a: Tensor, b: Tensor, k: int = 3, seed: int = 0) -> tuple[Score, Score]:
    """Of the judged set a and the reference b.

    Raises:
        UsageError: there are too few images.
    """
    about: dict[str, object] = {"k": k, "seed": seed}
    precision = (within(a, balls(b, k, seed, "b")) > 0).double()
    recall = (within(b, balls(a, k, seed, "a")) > 0).double()
    return _share("precision", precision, about), _share("recall", recall, about)


def density_coverage(a: Tensor, b: Tensor, k: int = 5, seed: int = 0) -> tuple[Score, Score]:
    """Of the judged set a and the reference b.

    Raises:
        UsageError: there are too few images.
    """
    about: dict[str, object] = {"k": k, "seed": seed}
    of = balls(b, k, seed, "b")
    density = _mean("density", within(a, of) / k, about)
    return density, _coverage(a, of, about, seed)


def _coverage(a: Tensor, of: Balls, about: dict[str, object], seed: int) -> Score:
    """The part of the balls that are not empty; its variance by leaving out groups of both sets."""
    groups = groups_of(len(a), seed, "a")
    kinds = int(groups.max()) + 1
    nearest = torch.full((kinds, len(of.centres)), torch.inf, dtype=torch.float64)  # to each group of a
    for rows, far in distances(a, of.centres):
        for group in range(kinds):
            mine = far[groups[rows] == group]
            if len(mine):
                nearest[group] = torch.minimum(nearest[group], mine.amin(0))
    covered = nearest.amin(0) <= of.radii[0]
    without_b = [(nearest.amin(0) <= of.radii[1 + g])[of.groups != g].double().mean() for g in of.without]
    rest = [nearest[torch.arange(kinds) != g].amin(0) for g in range(kinds)] if kinds > 1 else []
    without_a = [(near <= of.radii[0]).double().mean() for near in rest]
    value = float(covered.double().mean())
    variance = sum(left_out_variance(torch.stack(found)) for found in (without_a, without_b) if found)
    least, most = around_share(value, len(of.centres), 0.0)
    low, high = around(value, variance, 0.0, 1.0)
    low, high = min(low, least), max(high, most)
    return Score("coverage", value, low, high, "jackknife over twentieths of both sets", None, about)
