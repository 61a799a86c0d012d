"""Labels in Korean: of a figure while it is drawn, and of the columns and words of tables.

The catalogue korean.json goes from English to Korean, in the order of the alphabet; {n} stands for a number, {name} for anything,
and {0}, {1} in the Korean for what they stood for. A particle may be written in both forms (`ddpm.korean`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter

from ddpm.korean import settled

NUMBER = r"[-−+]?\d[\d.,]*(?:e[-+]?\d+)?"


@cache
def catalogue() -> Mapping[str, str]:
    """All entries as they are written."""
    return json.loads(files("ddpm.figures").joinpath("korean.json").read_text(encoding="utf-8"))


@cache
def _templates() -> Sequence[tuple[re.Pattern[str], str]]:
    """Those with places in them, the longest first."""

    def pattern(english: str) -> re.Pattern[str]:
        places = {"{n}": f"({NUMBER})", "{name}": "(.+)"}
        return re.compile("".join(places.get(part, re.escape(part)) for part in re.split(r"(\{n\}|\{name\})", english)))

    with_places = [(en, ko) for en, ko in catalogue().items() if "{n}" in en or "{name}" in en]
    return [(pattern(en), ko) for en, ko in sorted(with_places, key=lambda entry: -len(entry[0]))]


@cache
def in_korean(label: str) -> str:
    """A label in Korean; what has no entry (symbols, names, numbers) as it is."""
    if label in catalogue():
        return catalogue()[label]
    for pattern, korean in _templates():
        if found := pattern.fullmatch(label):
            return settled(_filled(korean, found.groups()))
    return label


def _filled(korean: str, values: Sequence[str]) -> str:
    return re.sub(r"\{(\d)\}", lambda place: values[int(place[1])], korean)


class _Translated(Formatter):
    """Words at the ticks of an axis."""

    def __init__(self, words: Formatter) -> None:
        self.words = words

    def __call__(self, x: float, pos: int | None = None) -> str:
        return in_korean(self.words(x, pos))

    def format_ticks(self, values: list[float]) -> list[str]:
        return [in_korean(word) for word in self.words.format_ticks(values)]


@contextmanager
def drawn_in_korean(figure: Figure, families: Sequence[str]) -> Iterator[None]:
    """All texts of the figure in Korean and in these fonts, until the end of the block."""
    texts = {text: (text.get_text(), text.get_fontfamily()) for text in figure.findobj(Text) if isinstance(text, Text)}
    ticks = {axis: axis.get_major_formatter() for axis in _with_words(figure)}
    for text, (english, _) in texts.items():
        text.set(text=in_korean(english), fontfamily=list(families))
    for axis, words in ticks.items():
        axis.set_major_formatter(_Translated(words))
    try:
        yield
    finally:
        for axis, words in ticks.items():
            axis.set_major_formatter(words)
        for text, (english, family) in texts.items():
            text.set(text=english, fontfamily=family)


def _with_words(figure: Figure) -> list[Axis]:
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    return [axis for axis in axes if isinstance(axis.get_major_formatter(), FixedFormatter | StrCategoryFormatter)]
