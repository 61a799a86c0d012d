"""What `ddpm lab` says of the study notes: a statement at its line, a slip, an equation."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.text import wrapped
from ddpm.laboratory.answer import Text
from ddpm.laboratory.notes import statements
from ddpm.laboratory.notes.equations import Numbered, of_the_ledger, of_the_paper
from ddpm.laboratory.notes.errata import KINDS, Erratum, errata
from ddpm.laboratory.notes.mentions import named_in_code
from ddpm.laboratory.notes.source import source_of
from ddpm.laboratory.notes.statements import Statement
from ddpm.report.links import anchor, sources

MARGIN = "  "
EQUATION = re.compile(r"(eq|algorithm|e)\.?[ -]?(\d+)")
NEAREST = Text("nothing stands at {place}; the nearest is {nearest}", "{place}에는 없다. 가장 가까운 것은 {nearest}")
NAMES: Mapping[str, Text] = {
    "errata": Text("slip", "정오표"),
    "see": Text("see", "보기"),
    "equations": Text("equations", "식"),
    "code": Text("code", "코드"),
    "right": Text("right", "옳은 것"),
}
MORE = Text(
    "ddpm lab 000:163 answers a line of the notes, ddpm lab ERR-40 a slip, ddpm lab E45 or eq-12 an equation",
    "ddpm lab 000:163은 노트의 한 줄에, ddpm lab ERR-40은 고칠 것에 답하고, ddpm lab E45나 eq-12는 식을 보여 준다",
)


def in_the_notes(asked: str) -> Callable[[str, JsonTarget], None] | None:
    """What prints the answer to "notes", a line such as "000:163", a slip such as "ERR-40", or an equation: "E45", "eq-12".

    None where it is none of these.
    """
    if asked == "notes":
        return lambda language, target: _statements(statements.statements(), language, target)
    if ":" in asked:
        found, here = statements.at(asked)
        return lambda language, target: _at(asked, found, language, target, here=here)
    slips = {erratum.name: erratum for erratum in errata()}
    if asked.upper() in slips:
        return lambda language, target: _erratum(slips[asked.upper()], language, target)
    numbered = {anchor(row.name).lower(): row for row in (*of_the_paper(), *of_the_ledger())}
    row = numbered.get(_written(asked))
    return None if row is None else lambda language, target: _equation(row, language, target)


def _written(asked: str) -> str:
    """However an equation is written: "Eq. 12", "eq-12" and "eq12" are eq-12; what is none stays as it is."""
    given = EQUATION.fullmatch(asked.lower())
    return asked if given is None else f"{given[1]}-{given[2]}" if given[1] != "e" else f"e{given[2]}"


def _at(place: str, found: Sequence[Statement], language: str, target: JsonTarget, *, here: bool) -> None:
    if not here:
        say(NEAREST.in_language(language).format(place=place, nearest=found[0].where))
        say("")
    _statements(found, language, target)


def _statements(found: Sequence[Statement], language: str, target: JsonTarget) -> None:
    target.write({str(statement.number): asdict(statement) for statement in found})
    for statement in found:
        kind = statements.KINDS[statement.kind].in_language(language)
        say(f"{statement.where}  ({kind})")
        _lines(statement.says, language)
        _lines(statement.reply, language)
        _pair("errata", ", ".join(statement.errata), language)
        _pair("equations", ", ".join(sources(name, language) for name in statement.equations), language)
        _pair("code", source_of(statement.code).place, language)
        shown = [f"ddpm lab {name}" for name in (*statement.questions, *statement.derivations)]
        _pair("see", "; ".join(dict.fromkeys([statement.shown_by, *shown])), language)
        say("")
    say(MORE.in_language(language))


def _erratum(erratum: Erratum, language: str, target: JsonTarget) -> None:
    target.write({erratum.name: asdict(erratum)})
    kind = KINDS[erratum.kind].in_language(language)
    say(f"{erratum.name}  {sources(erratum.where, language)}  ({kind})")
    _lines(erratum.written, language)
    _pair("right", erratum.right.in_language(language), language)
    _pair("equations", sources(erratum.equation, language), language)
    _pair("see", f"ddpm lab {erratum.shown_by}" if erratum.shown_by else "", language)


def _equation(row: Numbered, language: str, target: JsonTarget) -> None:
    target.write({row.name: asdict(row)})
    say(f"{sources(row.name, language)}. {row.title.in_language(language)}")
    say(f"{MARGIN}{row.tex}")
    _lines(row.says, language)
    code = [f"{place.path}:{place.line}" for place in named_in_code().get(row.name, ())]
    _pair("code", ", ".join(code), language)
    held = [s for s in statements.statements() if row.name in s.named]
    _pair("see", "; ".join(f"ddpm lab {s.note}:{s.lines[0]}" for s in held), language)


def _lines(text: Text, language: str) -> None:
    for line in wrapped(text.in_language(language)):
        say(f"{MARGIN}{line}")


def _pair(name: str, value: str, language: str) -> None:
    if value:
        say(f"{MARGIN}{NAMES[name].in_language(language)}: {value}")
