"""What `ddpm lab` says of all derivations: their list, and sections of the page."""

from typing import Any

from ddpm.cli.terminal.console import show
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.shown import At
from ddpm.report.answers.derivations import about, of_derivation
from ddpm.report.page import Figure


def about_derivations() -> dict[str, Any]:
    """What each is of, as JSON."""
    return {name: about(derivation) for name, derivation in DERIVATIONS.items()}


def list_derivations(language: str) -> None:
    """Name and title, a line each."""
    for derivation in DERIVATIONS.values():
        show(f"{derivation.name:<10} {derivation.title.in_language(language)}")


def derive_all(setting: Setting, at: At, language: str) -> tuple[list[Figure], dict[str, Any]]:
    """All of them as sections of the page, and as JSON.

    Raises:
        UsageError: t or x_0 is out of range.
    """
    found = [of_derivation(name, setting, at, language) for name in DERIVATIONS]
    return [answer.section() for answer in found], {
        name: value for answer in found for name, value in answer.numbers.items()
    }
