"""How every figure looks: one ink, so that a page can show it light or dark; labels carry their units."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddpm.figures.fonts import korean_font
from ddpm.figures.korean import drawn_in_korean

INK = "#010203"
"""Stands for the page's text colour: `svg` turns it into currentColor."""
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3b82f6", "#f97316", "#10b981", "#a855f7", "#94a3b8"
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "ddpm",
    "figure.constrained_layout.use": True,
}


def svg(figure: Figure, language: str = "en") -> str:
    """A figure for a page: transparent, with the page's own text colour and font; its labels in English or, "ko", in Korean."""
    text = io.StringIO()
    with _labelled(figure, language) as labelled:
        labelled.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return re.sub(r"font-family: [^;\"]*", "font-family: inherit", _for_a_page(text.getvalue()))


@contextmanager
def _labelled(figure: Figure, language: str) -> Iterator[Figure]:
    """The figure in the house's style and in a language. Without a font for Korean words are measured as boxes; no word is lost."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        if language == "ko":
            families = ["DejaVu Sans", *filter(None, [korean_font()])]
            mpl.rcParams["font.family"] = families  # of ticks that are made only now
            figure = drawn_in_korean(figure, families)
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield figure


def _for_a_page(drawing: str) -> str:
    """Without the XML prologue and what matplotlib says of itself, in the page's ink."""
    body = re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.DOTALL)
    return body.replace(INK, "currentColor")


def png(figure: Figure, language: str = "en") -> bytes:
    """A figure for a file: on white. In Korean ("ko") only where there is a `korean_font` to draw it with, else in English."""
    data = io.BytesIO()
    with _labelled(figure, language if korean_font() else "en") as labelled:
        labelled.savefig(data, format="png", dpi=150, facecolor="white")
    return data.getvalue()


@mpl.rc_context(STYLE)
def panels(count: int, height: float = 3.0, width: float = 10.4) -> tuple[Figure, Sequence[Axes]]:
    """A figure of `count` panels in a row, so many inches wide in all."""
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(axes)


def formula(tex: str) -> str:
    """A formula as a drawing in the page's text colour, with its source as alternative text."""
    with mpl.rc_context({"mathtext.fontset": "cm", "svg.hashsalt": "ddpm", "font.size": 12}):
        text = io.BytesIO()
        figure = Figure(figsize=(0.01, 0.01))
        figure.text(0, 0, f"${tex}$", color=INK)
        figure.savefig(
            text, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.02, metadata={"Date": None}
        )
    drawing = _for_a_page(text.getvalue().decode())
    return drawing.replace("<svg ", f'<svg class="formula" role="img" aria-label="{tex.replace(chr(34), "")}" ', 1)
