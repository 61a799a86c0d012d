"""Mean and covariance of features as a value that adds up: over batches, over halves of a set.

Kept as count, mean and scatter (the sum of squares about the mean), in float64: parts join by Chan, Golub and LeVeque's
formula (1979), which loses no digits where the mean is large beside the spread.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

ROWS = 4096
"""Rows of features that are float64 at a time."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Of `count` rows of D features: their `mean` (D,) and `scatter` (D, D), both float64. ``a + b`` is that of all rows.

    `count` is None where only mean and covariance are known, as of others' files; then `scatter` is the covariance.
    """

    count: int | None
    mean: Float[Tensor, " D"]
    scatter: Float[Tensor, "D D"]

    @classmethod
    def of(cls, features: Float[Tensor, "N D"]) -> "Moments":
        """Of rows of features, in one pass."""
        return total(_of_rows(part) for part in features.split(ROWS))

    @property
    def dims(self) -> int:
        """D."""
        return len(self.mean)

    @property
    def covariance(self) -> Float[Tensor, "D D"]:
        """Unbiased: the scatter over count - 1.

        Raises:
            ValueError: there are fewer than two rows.
        """
        if self.count is None:
            return self.scatter
        if self.count < 2:
            raise ValueError(f"{self.count} rows have no covariance")
        return self.scatter / (self.count - 1)

    def __add__(self, other: "Moments") -> "Moments":
        """Of the rows of both."""
        if self.count is None or other.count is None:
            raise ValueError("moments whose number of rows is not known do not add up")
        count = self.count + other.count
        if not count:
            return self
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + shift.outer(shift) * (self.count * other.count / count)
        return Moments(count, self.mean + shift * (other.count / count), scatter)


def total(parts: Iterable[Moments]) -> Moments:
    """Of the rows of all parts, of which there is at least one.

    Raises:
        ValueError: there is none.
    """
    found = None
    for part in parts:
        found = part if found is None else found + part
    if found is None:
        raise ValueError("there are no rows")
    return found


def _of_rows(features: Tensor) -> Moments:
    rows = features.double()
    mean = rows.mean(0) if len(rows) else rows.new_zeros(rows.shape[1])
    centred = rows - mean
    return Moments(len(rows), mean, centred.T @ centred)
