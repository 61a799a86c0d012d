"""A derivation with its numbers, line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.line import Derivation
from ddpm.laboratory.derivations.shown import At, Row, rows
from ddpm.report.answers.answer import LabAnswer
from ddpm.report.derivation import OFF, section
from ddpm.report.links import sources
from ddpm.report.text import WIDTH, wrapped

MARGIN = 10
"""Columns that names of lines take."""


def of_derivation(name: str, setting: Setting, at: At, language: str) -> LabAnswer:
    """Write one out.

    Raises:
        UsageError: t or x_0 is out of range.
    """
    derivation = DERIVATIONS[name]
    found = rows(derivation, setting.schedule, at, setting.seed)
    return LabAnswer(
        name,
        language,
        "\n".join(_lines(derivation, found, setting, at, language)),
        {name: {**about(derivation), "lines": [asdict(row) for row in found], "setting": _given(setting, at)}},
        None,
        lambda: section(derivation, found, at, language),
    )


def about(derivation: Derivation) -> dict[str, Any]:
    """What it is of, as JSON."""
    return {"title": asdict(derivation.title), "where": derivation.where, "quantity": asdict(derivation.quantity)}


def _given(setting: Setting, at: At) -> dict[str, Any]:
    return {"schedule": {"name": setting.schedule_name, "T": setting.T}, "seed": setting.seed, **asdict(at)}


def _lines(derivation: Derivation, found: Sequence[Row], setting: Setting, at: At, language: str) -> Iterator[str]:
    yield derivation.title.in_language(language)
    yield f"({derivation.quantity.in_language(language)}; {setting.label}, t = {at.t}, x_0 = {at.x_0:g})"
    for row in found:
        yield ""
        head = sources(row.name, language) or row.erratum
        for number, line in enumerate(wrapped(row.rule.in_language(language), WIDTH - MARGIN)):
            yield f"{head if number == 0 else '':<{MARGIN}}{line}"
        off = f"   {OFF.in_language(language).format(off=row.off)}" if row.erratum else ""
        for line in wrapped(row.code, WIDTH - MARGIN):
            yield f"{'':<{MARGIN}}{line}"
        yield f"{'':<{MARGIN}}= {row.value:.10g}{off}"
