"""A derivation as a section of the laboratory's page: formula, value, rule and code of each line, slips in their places."""

import html
from collections.abc import Sequence

from ddpm.figures import style
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.line import Derivation
from ddpm.laboratory.derivations.shown import At, Row
from ddpm.report.links import equations_linked, lines_linked
from ddpm.report.page import Figure
from ddpm.report.typeset import typeset

CAPTION = Text(
    "In the notes: {where}. Values: {quantity}, at t = {t} and x_0 = {x_0:g}.",
    "노트 {where}. 값: {quantity}, t = {t}, x_0 = {x_0:g}.",
)
WHERE = "@"
"""Stands for the lines of the notes until the caption is typeset."""
OFF = Text("off by {off:.3g}", "차이 {off:.3g}")


def section(derivation: Derivation, rows: Sequence[Row], at: At, language: str) -> Figure:
    """The derivation as a section with its name as the anchor."""
    said = CAPTION.in_language(language).format(
        where=WHERE, quantity=derivation.quantity.in_language(language), t=at.t, x_0=at.x_0
    )
    lines = "".join(_line(row, language) for row in rows)
    return Figure(
        typeset(derivation.title.in_language(language)),
        f'<div class="scroll"><div class="lines">{lines}</div></div>',
        typeset(said).replace(WHERE, lines_linked(derivation.where)),
        label="",
        name=derivation.name,
    )


def _line(row: Row, language: str) -> str:
    name = equations_linked(row.name or row.erratum, language)
    off = f" <i>{OFF.in_language(language).format(off=row.off)}</i>" if row.erratum else ""
    formula = style.formula(row.tex.replace(r"\frac", r"\dfrac"))  # of full size
    kind = "line slip" if row.erratum else "line"
    return (
        f'<div class="{kind}"><b>{name}</b><div>{formula}</div><span>{row.value:.7g}{off}</span>'
        f"<p>{typeset(row.rule.in_language(language))} <code>{html.escape(row.code)}</code></p></div>"
    )
