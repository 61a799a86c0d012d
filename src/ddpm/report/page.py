"""The report: one HTML file that needs no network, with every figure and the formula behind it."""

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PIL import Image

from ddpm.figures.style import formula

MANY = 8


@dataclass(frozen=True)
class Figure:
    """A title, a drawing and a caption, all HTML, the formula that it shows, and what goes before the caption.

    The label may use {number}, the figure's place on the page. `name` is its anchor, where it has one.
    """

    title: str
    drawing: str
    caption: str
    tex: str = ""
    label: str = "Figure {number}."
    name: str = ""

    def anchor(self, number: int) -> str:
        """What a link to it ends with."""
        return self.name or f"figure-{number}"


@dataclass(frozen=True)
class Fact:
    """A number worth a tile at the top."""

    value: str
    label: str


def picture(image: Image.Image, alt: str) -> str:
    """An image inside the page, shown pixel by pixel."""
    data = io.BytesIO()
    image.save(data, format="PNG", optimize=True)
    return _inline(data.getvalue(), "image/png", alt)


def filmstrip(labels: Sequence[str], image: Image.Image, alt: str) -> str:
    """A picture over the whole width, its columns labelled."""
    cells = "".join(f"<span>{html.escape(label)}</span>" for label in labels)
    return f'<div class="film"><div class="labels">{cells}</div>{picture(image, alt)}</div>'


def animation(path: Path, alt: str) -> str:
    """A GIF or WebP file inside the page."""
    return _inline(path.read_bytes(), f"image/{path.suffix.removeprefix('.')}", alt)


def _inline(data: bytes, kind: str, alt: str) -> str:
    source = base64.b64encode(data).decode()
    return f'<img class="pixels" alt="{html.escape(alt)}" src="data:{kind};base64,{source}">'


def page(
    title: str,
    introduction: str,
    facts: Sequence[Fact],
    figures: Sequence[Figure],
    footnote: str,
    language: str = "en",
) -> str:
    """The whole page as HTML; where figures are many, with a list of them at the top."""
    style = _css("content") + _css("style")
    tiles = "".join(f"<div><b>{html.escape(f.value)}</b><span>{html.escape(f.label)}</span></div>" for f in facts)
    body = "".join(_section(i + 1, figure) for i, figure in enumerate(figures))
    links = "".join(
        f'<li><a href="#{figure.anchor(i + 1)}">{figure.title}</a></li>' for i, figure in enumerate(figures)
    )
    listed = f"<nav><ol>{links}</ol></nav>" if len(figures) > MANY else ""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main><header><h1>{html.escape(title)}</h1><p>{html.escape(introduction)}</p></header>"
        f'<div class="facts">{tiles}</div>{listed}{body}<footer>{html.escape(footnote)}</footer></main></body></html>\n'
    )


FRAGMENT = """.ddpm-answer {
  --ink: currentColor; --soft: color-mix(in srgb, currentColor 68%, transparent);
  --line: color-mix(in srgb, currentColor 20%, transparent); max-width: 60rem; line-height: 1.5;
"""
"""The colours of a section by itself: those of the text around it, light or dark."""


def fragment(figure: Figure, language: str) -> str:
    """A section by itself, for a notebook, in the colours that it finds there; links to other sections become words."""
    title = f"<h4>{figure.title}</h4>" if figure.title else ""
    caption = f"<figcaption>{figure.caption}</figcaption>" if figure.caption else ""
    body = re.sub(r"</?a\b[^>]*>", "", f"{title}<figure>{figure.drawing}{caption}</figure>")
    return f'<div class="ddpm-answer"><style>{FRAGMENT}{_css("content")}}}</style><div lang="{language}">{body}</div></div>'


def _css(name: str) -> str:
    return files("ddpm.report").joinpath(f"{name}.css").read_text(encoding="utf-8")


def _section(number: int, figure: Figure) -> str:
    math = f'<div class="math">{formula(figure.tex)}</div>' if figure.tex else ""
    label = f"<b>{html.escape(figure.label.format(number=number))}</b> " if figure.label else ""
    return (
        f'<section id="{figure.anchor(number)}"><h2>{figure.title}</h2>'
        f"<figure>{figure.drawing}"
        f"<figcaption>{label}{figure.caption}{math}</figcaption></figure></section>"
    )
