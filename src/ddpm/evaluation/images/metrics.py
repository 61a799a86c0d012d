"""The metrics of images by their names: what each needs to know of two sets, and the scores that it gives.

a is the set that is judged, such as samples of a model; b is the reference, such as real images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from torch import Tensor

from ddpm.checks import check_whole
from ddpm.errors import Mismatch, UsageError, chosen
from ddpm.evaluation.images import frechet, inception_score, kernel, neighbours, sliced
from ddpm.evaluation.images.score import Score
from ddpm.evaluation.images.side import Side


@dataclass(frozen=True)
class Choices:
    """What the numbers depend on beside images and features; the defaults are those of the papers.

    Args:
        seed: of all that is drawn: subsets, halves, groups, directions.
        subsets: of KID.
        subset_size: images in each of them.
        splits: of the inception score.
        precision_k: neighbours of precision and recall.
        density_k: neighbours of density and coverage.
        directions: of the sliced distance.
    """

    seed: int = 0
    subsets: int = 100
    subset_size: int = 1000
    splits: int = 10
    precision_k: int = 3
    density_k: int = 5
    directions: int = sliced.DIRECTIONS


def choices_of(given: Mapping[str, int]) -> Choices:
    """The choices with some of them as given.

    Raises:
        UsageError: there is no such choice, or it is no whole number of at least 1 (seed and subsets: 0, subset_size: 2).
    """
    for name, value in given.items():
        chosen({one.name: one for one in fields(Choices)}, name, "choice")
        check_whole(name, value, {"seed": 0, "subsets": 0, "subset_size": 2}.get(name, 1))
    return Choices(**given)


Metric = Callable[[Side, Side, Choices], Sequence[Score]]


def _fid(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    return (frechet.score(a, b, how.seed),)


def _infinity(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    return (frechet.infinity(a, b, how.seed),)


def _kid(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    of_a, of_b = _rows(a, "kid"), _rows(b, "kid")
    if min(len(of_a), len(of_b)) < 3:
        raise UsageError(f"kid needs at least 3 images on each side, not {min(len(of_a), len(of_b))}")
    return (kernel.score(of_a, of_b, how.subsets, how.subset_size, how.seed),)


def _is(a: Side, _b: Side, how: Choices) -> Sequence[Score]:
    if a.logits is None:
        raise UsageError("an inception score needs features of a classifier, with logits", "`features=digits` has them")
    return (inception_score.score(a.logits, how.splits, how.seed),)


def _precision_recall(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    name = "precision-recall"
    return neighbours.precision_recall(_rows(a, name), _rows(b, name), how.precision_k, how.seed)


def _density_coverage(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    name = "density-coverage"
    return neighbours.density_coverage(_rows(a, name), _rows(b, name), how.density_k, how.seed)


def _sliced(a: Side, b: Side, how: Choices) -> Sequence[Score]:
    return (sliced.score(_rows(a, "sliced"), _rows(b, "sliced"), how.directions, how.seed),)


def _rows(side: Side, metric: str) -> Tensor:
    if side.features is None:
        raise UsageError(f"{metric} needs images on both sides, not their moments alone", "`metrics=fid` takes moments")
    return side.features


METRICS: Mapping[str, Metric] = {
    "fid": _fid,
    "fid-infinity": _infinity,
    "kid": _kid,
    "is": _is,
    "precision-recall": _precision_recall,
    "density-coverage": _density_coverage,
    "sliced": _sliced,
}


def metrics_of(names: str) -> list[str]:
    """Those of a list with commas, each once.

    Raises:
        UsageError: there is no such metric.
    """
    found = list(dict.fromkeys(listed(names)))
    for name in found:
        chosen(METRICS, name, "metric")
    return found


def listed(names: str) -> list[str]:
    """The names in a list with commas, one of which may stand at the end; at least one, which may be empty."""
    return [name for part in names.split(",") if (name := part.strip())] or [""]


def scores(names: Sequence[str], a: Side, b: Side, how: Choices | None = None) -> Iterator[Score]:
    """One after another.

    Args:
        names: of `METRICS`.
        a: the set that is judged.
        b: the reference.
        how: the choices of each metric; None for those of the papers.

    Raises:
        Mismatch: the features of the two have differently many numbers.
        UsageError: too few images for a metric, or not what it needs.
    """
    if a.moments.dims != b.moments.dims:
        raise Mismatch(
            f"the features of the two sets have {a.moments.dims} and {b.moments.dims} numbers: they have no distance"
        )
    for side in (a, b):
        if side.moments.count is not None and side.moments.count < 2:
            raise UsageError(f"a distance between sets needs at least 2 images on each side, not {side.moments.count}")
    for name in names:
        yield from METRICS[name](a, b, how or Choices())
