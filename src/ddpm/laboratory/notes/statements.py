"""Every statement and question of the two study notes, in words of our own: what is right, and where it is answered."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ddpm.errors import UsageError
from ddpm.laboratory.answer import Text
from ddpm.laboratory.notes.mentions import equations_in

KINDS = {"right": Text("right", "맞음"), "slip": Text("slip", "고칠 것"), "asks": Text("open", "열린 물음")}
LINES = {"000": 277, "003": 91}
"""How many lines the two notes have."""
PLACE = re.compile(r"(000|003):(\d+)")


@dataclass(frozen=True)
class Statement:
    """One thing that the notes say or ask.

    Args:
        number: 1, 2, ..., in the order of the notes.
        where: the note and its lines: "000:14-15", "003:8,80".
        kind: a key of `KINDS`: it is right as it stands, it holds a slip, or the notes leave it open.
        says: what stands there, in our words.
        reply: what is right, in a sentence.
        errata: names of the slips that it holds.
        questions: names of the questions of the laboratory that answer it with numbers, the first one first.
        derivations: names of the derivations that hold it as a line.
        equations: where the paper, or the list of E1 to E92, has it.
        code: the class or function that is this statement as code, below `ddpm`.
        command: what to type to see it, where that is not `ddpm lab` and the first question.
    """

    number: int
    where: str
    kind: str
    says: Text
    reply: Text
    errata: Sequence[str]
    questions: Sequence[str]
    derivations: Sequence[str]
    equations: Sequence[str]
    code: str
    command: str

    @property
    def shown_by(self) -> str:
        """The command that shows it."""
        return self.command or f"ddpm lab {self.questions[0]}"

    @property
    def note(self) -> str:
        """000 or 003."""
        return self.where.partition(":")[0]

    @property
    def lines(self) -> list[int]:
        """Of the note, in order."""
        return sorted(lines_of(self.where))

    @property
    def anchor(self) -> str:
        """Of its first line on a page: 000-163."""
        return f"{self.note}-{self.lines[0]}"

    @property
    def named(self) -> set[str]:
        """Its equations, one by one: of "E20-E23" all four."""
        return set().union(*(equations_in(name) for name in self.equations))

    def holds(self, note: str, line: int) -> bool:
        """Whether it stands at this line of this note."""
        return self.note == note and line in self.lines


@cache
def statements() -> Sequence[Statement]:
    """All of them, in the order of the notes."""
    rows = json.loads(files("ddpm.laboratory.notes").joinpath("statements.json").read_text(encoding="utf-8"))
    return [Statement(**{**row, "says": Text(**row["says"]), "reply": Text(**row["reply"])}) for row in rows]


def lines_of(where: str) -> set[int]:
    """Of "000:14-16,20" 14, 15, 16 and 20."""
    found: set[int] = set()
    for part in where.partition(":")[2].split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def at(place: str) -> tuple[Sequence[Statement], bool]:
    """What stands at a place such as "000:163", and whether it does; where nothing stands there, what stands nearest.

    Raises:
        UsageError: there is no such place.
    """
    given = PLACE.fullmatch(place)
    note, line = (given[1], int(given[2])) if given else ("", 0)
    if not 1 <= line <= LINES.get(note, 0):
        ends = " or ".join(f"{name}:1 to {name}:{last}" for name, last in LINES.items())
        raise UsageError(f"a place in the notes is {ends}: {place}", "for example: ddpm lab 000:163")
    here = [statement for statement in statements() if statement.holds(note, line)]
    if here:
        return here, True
    same = [statement for statement in statements() if statement.note == note]
    return [min(same, key=lambda statement: min(abs(line - other) for other in statement.lines))], False
