"""What `ddpm lab` says of a derivation: its lines for a terminal, as JSON, and as sections of the page."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.text import WIDTH, wrapped
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.line import Derivation
from ddpm.laboratory.derivations.shown import At, Row, rows
from ddpm.report.derivation import OFF, section
from ddpm.report.links import sources
from ddpm.report.page import Figure

MARGIN = 10
"""Columns that names of lines take."""


def about_derivations() -> dict[str, Any]:
    """What each is of, as JSON."""
    return {name: _about(derivation) for name, derivation in DERIVATIONS.items()}


def list_derivations(language: str) -> None:
    """Name and title, a line each."""
    for derivation in DERIVATIONS.values():
        say(f"{derivation.name:<10} {derivation.title.in_language(language)}")


def derive(name: str, setting: Setting, at: At, language: str, json_target: JsonTarget) -> None:
    """Print one, line by line.

    Raises:
        UsageError: t or x_0 is out of range.
    """
    derivation = DERIVATIONS[name]
    found = rows(derivation, setting.schedule, at, setting.seed)
    json_target.write({name: _as_json(derivation, found, setting, at)})
    say(derivation.title.in_language(language))
    say(f"({derivation.quantity.in_language(language)}; {setting.label}, t = {at.t}, x_0 = {at.x_0:g})")
    for row in found:
        say("")
        head = sources(row.name, language) or row.erratum
        for number, line in enumerate(wrapped(row.rule.in_language(language), WIDTH - MARGIN)):
            say(f"{head if number == 0 else '':<{MARGIN}}{line}")
        off = f"   {OFF.in_language(language).format(off=row.off)}" if row.erratum else ""
        for line in wrapped(row.code, WIDTH - MARGIN):
            say(f"{'':<{MARGIN}}{line}")
        say(f"{'':<{MARGIN}}= {row.value:.10g}{off}")


def derive_all(setting: Setting, at: At, language: str) -> tuple[list[Figure], dict[str, Any]]:
    """All of them as sections of the page, and as JSON.

    Raises:
        UsageError: as `derive`.
    """
    found = {name: rows(derivation, setting.schedule, at, setting.seed) for name, derivation in DERIVATIONS.items()}
    sections = [section(DERIVATIONS[name], lines, at, language) for name, lines in found.items()]
    return sections, {name: _as_json(DERIVATIONS[name], lines, setting, at) for name, lines in found.items()}


def _about(derivation: Derivation) -> dict[str, Any]:
    return {"title": asdict(derivation.title), "where": derivation.where, "quantity": asdict(derivation.quantity)}


def _as_json(derivation: Derivation, lines: Sequence[Row], setting: Setting, at: At) -> dict[str, Any]:
    given = {"schedule": {"name": setting.schedule_name, "T": setting.T}, "seed": setting.seed, **asdict(at)}
    return {**_about(derivation), "lines": [asdict(row) for row in lines], "setting": given}
