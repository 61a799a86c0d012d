"""One answer of the laboratory in every form: printed, as JSON, as HTML for a notebook, and its figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from ddpm.report import page


@dataclass(frozen=True, eq=False)
class LabAnswer:
    """What the laboratory says to one question. `print` shows what `ddpm lab` prints; a notebook shows formulas, tables and the figure.

    Args:
        name: of the question, the derivation, the slip or the equation; or the place in the notes.
        language: "en" or "ko".
        text: lines of at most 100 columns.
        numbers: what ``ddpm lab --json`` writes: every table in full precision, both languages, and what was asked of which process.
        figure: of matplotlib, where the answer has one.
        section: makes the answer as a section of a page.

    Example:
        >>> import ddpm
        >>> answer = ddpm.lab("Q17", T=100)
        >>> answer.numbers["Q17"]["setting"]
        {'schedule': {'name': 'linear', 'T': 100}, 'seed': 0}
        >>> answer.figure.savefig("Q17.png")
    """

    name: str
    language: str
    text: str
    numbers: Mapping[str, Any] = field(repr=False)
    figure: Figure | None = field(repr=False)
    section: Callable[[], page.Figure] = field(repr=False)

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """For a notebook."""
        return page.fragment(self.section(), self.language)
