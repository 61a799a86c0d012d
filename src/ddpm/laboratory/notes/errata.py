"""What the notes and the paper wrote, what is right, and the question whose experiment shows it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ddpm.laboratory.answer import Text

KINDS = {"M": Text("mathematical", "수식"), "C": Text("conceptual", "개념"), "N": Text("notation", "표기")}


@dataclass(frozen=True)
class Erratum:
    """ERR-n of the notes (`where`: file and lines) or P-n of the paper (`where`: section). `kind` is a key of `KINDS`.

    `equation` names the lines of the paper that it is about, `shown_by` the question whose experiment shows it; "" is none.
    """

    name: str
    where: str
    kind: str
    written: Text
    right: Text
    equation: str
    shown_by: str


@cache
def errata() -> Sequence[Erratum]:
    """All of them, in the order of the notes, then of the paper."""
    rows = json.loads(files("ddpm.laboratory.notes").joinpath("errata.json").read_text(encoding="utf-8"))
    return [Erratum(**{**row, "written": Text(**row["written"]), "right": Text(**row["right"])}) for row in rows]
