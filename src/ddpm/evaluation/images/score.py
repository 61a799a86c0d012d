"""A number with its interval, and what must be known to get it again."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ddpm.language import Text

NAMES: Mapping[str, Text] = {
    "fid": Text("Frechet distance (fid)", "프레셰 거리 (fid)"),
    "fid-infinity": Text("Frechet distance, N → ∞", "프레셰 거리, N → ∞"),
    "kid": Text("kernel distance (kid)", "커널 거리 (kid)"),
    "inception-score": Text("inception score (is)", "인셉션 점수 (is)"),
    "precision": Text("precision", "정밀도"),
    "recall": Text("recall", "재현율"),
    "density": Text("density", "밀도"),
    "coverage": Text("coverage", "포괄도"),
    "sliced": Text("sliced Wasserstein distance", "조각 바서슈타인 거리"),
}
"""What a score is called, in every table."""
LEVEL = 0.95
NORMAL = 1.959963984540054
"""97.5 % of a standard normal lie below it."""


@dataclass(frozen=True)
class Score:
    """One measured number.

    Args:
        name: of the metric.
        value: as others publish it: what the formula gives for these images.
        low: with `high`, where the number would be for endlessly many images, in 95 of 100 sets like these; None where
            it is not known.
        high: see `low`.
        method: how the interval was made.
        bias: by how much `value` is expected to be too large for so few images; None where none is known.
        about: the choices that the number depends on, and what else was found with it.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    method: str
    bias: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without_bias(self) -> float:
        """The value for endlessly many images, of which `low` and `high` are the interval: without the bias, where that is known."""
        return self.value - (self.bias or 0.0)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        interval = {"level": LEVEL, "low": self.low, "high": self.high, "method": self.method}
        return {"value": self.value, "interval": interval, "bias": self.bias, **self.about}


def around(centre: float, variance: float, least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """The interval of a normal error with this variance, within what is possible."""
    half = NORMAL * math.sqrt(max(variance, 0.0))
    return min(max(centre - half, least), most), max(min(centre + half, most), least)


@dataclass(frozen=True, eq=False)
class Distances(Mapping[str, Score]):
    """What was measured of two sets of images, with what one must know to get it again.

    ``found["fid"].value`` is a number as it is published, ``.low`` and ``.high`` the interval that holds the truth in 95 of 100
    sets, ``.bias`` what the value has too much for so few images. ``list(found)`` are the
    names. `manifest` says which features, which images and which seeds.
    """

    scores: tuple[Score, ...]
    manifest: Mapping[str, Any]

    def __repr__(self) -> str:
        """Each number with its interval, and of which features; `manifest` has the rest."""
        numbers = [
            f"{score.name} {score.value:.4g}{f', less bias {score.without_bias:.4g}' if score.bias else ''}"
            f"{'' if score.low is None else f' [{score.low:.4g}, {score.high:.4g}]'}"
            for score in self.scores
        ]
        features = self.manifest.get("features", {}).get("name", "unknown")
        return f"Distances({'; '.join(numbers)}; features {features})"

    def __getitem__(self, name: str) -> Score:
        """A score by its name.

        Raises:
            KeyError: it was not measured; the message says which were.
        """
        found = next((score for score in self.scores if score.name == name), None)
        if found is None:
            raise KeyError(f"{name!r} was not measured, but {', '.join(self)}")
        return found

    def __iter__(self) -> Iterator[str]:
        return (score.name for score in self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def as_json(self) -> dict[str, Any]:
        """For a file: each number with its interval, its choices and the manifest."""
        return {
            score.name.replace("-", "_"): score.as_json() | {"manifest": dict(self.manifest)} for score in self.scores
        }
