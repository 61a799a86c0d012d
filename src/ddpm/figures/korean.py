"""Labels in Korean: of a copy of a figure, and of the columns and words of tables.

The catalogue korean.json goes from English to Korean, in the order of the alphabet; `ddpm.catalogue` says how templates are written.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Any

from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

from ddpm.catalogue import Catalogue


@cache
def catalogue() -> Mapping[str, str]:
    """All entries as they are written."""
    return json.loads(files("ddpm.figures").joinpath("korean.json").read_text(encoding="utf-8"))


@cache
def _templates() -> Catalogue:
    return Catalogue(catalogue())


def in_korean(label: str) -> str:
    """A label in Korean; what has no entry (symbols, names, numbers) as it is."""
    return _templates().in_korean(label)


class _Translated(Formatter):
    """Words at the ticks of an axis."""

    def __init__(self, words: Formatter) -> None:
        self.words = words

    def __call__(self, x: Any, pos: Any = None) -> str:  # noqa: ANN401
        return in_korean(self.words(x, pos))

    def format_ticks(self, values: Any) -> list[str]:  # noqa: ANN401 -- matplotlib says list, and gives arrays
        return [in_korean(word) for word in self.words.format_ticks(values)]


def drawn_in_korean(figure: Figure, families: Sequence[str]) -> Figure:
    """A copy of the figure with all of its texts in Korean and in these fonts."""
    copy = deepcopy(figure)
    for text in copy.findobj(Text):
        if isinstance(text, Text):
            text.set(text=in_korean(text.get_text()), fontfamily=list(families))
    for axis in _with_words(copy):
        axis.set_major_formatter(_Translated(axis.get_major_formatter()))
    return copy


def _with_words(figure: Figure) -> list[Axis]:
    """Numbers are formatted in other ways."""
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    return [
        axis
        for axis in axes
        if isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter | StrCategoryFormatter)
    ]
