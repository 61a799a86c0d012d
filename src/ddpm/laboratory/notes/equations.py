"""The equations by number: the paper's own (Eq. 1 to 26, Algorithms 1 to 4), and E1 to E92 of what it does not number."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ddpm.laboratory.answer import Text


@dataclass(frozen=True)
class Numbered:
    """An equation: `name` is "Eq. 5", "Algorithm 1" or "E45"; `title` is the section of the paper, or what the equation is about."""

    name: str
    title: Text
    tex: str
    says: Text


def of_the_paper() -> list[Numbered]:
    """Those that the paper numbers, in its order."""
    return [Numbered(row["name"], Text(**row["place"]), row["tex"], Text(**row["says"])) for row in _rows("paper.json")]


def of_the_ledger() -> list[Numbered]:
    """E1 to E92: what docstrings name where the paper has no number."""
    return [
        Numbered(row["name"], Text(**row["title"]), row["tex"], Text(**row["says"])) for row in _rows("ledger.json")
    ]


def _rows(name: str) -> list[dict[str, Any]]:
    return json.loads(files("ddpm.laboratory.notes").joinpath(name).read_text(encoding="utf-8"))
