"""What the laboratory says of the study notes: a statement at its line, a slip, an equation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain

from ddpm.errors import SHOWN, UsageError
from ddpm.laboratory.answer import Text
from ddpm.laboratory.notes import statements
from ddpm.laboratory.notes.equations import Numbered, of_the_ledger, of_the_paper
from ddpm.laboratory.notes.errata import KINDS, Erratum, errata
from ddpm.laboratory.notes.mentions import named_in_code
from ddpm.laboratory.notes.source import source_of
from ddpm.laboratory.notes.statements import Statement
from ddpm.report import notes_page
from ddpm.report.answers.answer import LabAnswer
from ddpm.report.links import sources
from ddpm.report.text import wrapped

MARGIN = "  "
NUMBERED = re.compile(r"(eq|algorithm|err|e|p)\.?[ -]?(\d+)")
KINDS_NUMBERED: Mapping[str, tuple[str, str]] = {
    "eq": ("an equation of the paper", "eq-12"),
    "algorithm": ("an algorithm of the paper", "algorithm-1"),
    "e": ("an equation of the ledger", "E45"),
    "err": ("a slip of the notes", "ERR-40"),
    "p": ("a slip of the paper", "P-1"),
}
"""What has a number, by how it is written, with an example."""
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


def in_the_notes(asked: str, language: str) -> LabAnswer | None:
    """The answer to "notes", a line such as "000:163", a slip such as "ERR-40", or an equation: "E45", "eq-12".

    None where it is none of these.

    Raises:
        UsageError: there is no such line, or no such number.
    """
    if asked == "notes":
        return _statements(asked, statements.statements(), language)
    if ":" in asked:
        found, here = statements.at(asked)
        before = "" if here else NEAREST.in_language(language).format(place=asked, nearest=found[0].where)
        return _statements(asked, found, language, before)
    given = NUMBERED.fullmatch(asked.lower())
    if given is None:
        return None
    kind, number = given[1], int(given[2])
    rows = [row for row in (*of_the_paper(), *of_the_ledger(), *errata()) if _kind(row.name) == kind]
    if not 1 <= number <= len(rows):
        what, example = KINDS_NUMBERED[kind]
        raise UsageError(
            f"{what} is {rows[0].name} to {rows[-1].name}: {asked[:SHOWN]}", f"for example: ddpm lab {example}"
        )
    row = rows[number - 1]
    return _erratum(row, language) if isinstance(row, Erratum) else _equation(row, language)


def _kind(name: str) -> str:
    """Of "Eq. 12" eq, of "ERR-40" err."""
    return name.lower().rstrip("0123456789 .-")


def _statements(name: str, found: Sequence[Statement], language: str, before: str = "") -> LabAnswer:
    lines = [
        *([before, ""] if before else []),
        *chain.from_iterable(_statement(statement, language) for statement in found),
        MORE.in_language(language),
    ]
    numbers = {str(statement.number): asdict(statement) for statement in found}
    return LabAnswer(
        name,
        language,
        "\n".join(lines),
        numbers,
        None,
        lambda: notes_page.some_statements(name, found, language, before),
    )


def _statement(statement: Statement, language: str) -> Iterator[str]:
    kind = statements.KINDS[statement.kind].in_language(language)
    yield f"{statement.where}  ({kind})"
    yield from _indented(statement.says, language)
    yield from _indented(statement.reply, language)
    yield from _pair("errata", ", ".join(statement.errata), language)
    yield from _pair("equations", ", ".join(sources(name, language) for name in statement.equations), language)
    yield from _pair("code", source_of(statement.code).place, language)
    also = [f"ddpm lab {name}" for name in (*statement.questions, *statement.derivations)]
    yield from _pair("see", "; ".join(dict.fromkeys([statement.shown_by, *also])), language)
    yield ""


def _erratum(erratum: Erratum, language: str) -> LabAnswer:
    kind = KINDS[erratum.kind].in_language(language)
    lines = [
        f"{erratum.name}  {sources(erratum.where, language)}  ({kind})",
        *_indented(erratum.written, language),
        *_pair("right", erratum.right.in_language(language), language),
        *_pair("equations", sources(erratum.equation, language), language),
        *_pair("see", f"ddpm lab {erratum.shown_by}" if erratum.shown_by else "", language),
    ]
    numbers = {erratum.name: asdict(erratum)}
    return LabAnswer(
        erratum.name, language, "\n".join(lines), numbers, None, lambda: notes_page.one_erratum(erratum, language)
    )


def _equation(row: Numbered, language: str) -> LabAnswer:
    code = [f"{place.path}:{place.line}" for place in named_in_code().get(row.name, ())]
    held = [s for s in statements.statements() if row.name in s.named]
    lines = [
        f"{sources(row.name, language)}. {row.title.in_language(language)}",
        f"{MARGIN}{row.tex}",
        *_indented(row.says, language),
        *_pair("code", ", ".join(code), language),
        *_pair("see", "; ".join(f"ddpm lab {s.note}:{s.lines[0]}" for s in held), language),
    ]
    numbers = {row.name: asdict(row)}
    return LabAnswer(
        row.name, language, "\n".join(lines), numbers, None, lambda: notes_page.one_equation(row, language)
    )


def _indented(text: Text, language: str) -> Iterator[str]:
    for line in wrapped(text.in_language(language)):
        yield f"{MARGIN}{line}"


def _pair(name: str, value: str, language: str) -> Iterator[str]:
    if value:
        yield f"{MARGIN}{NAMES[name].in_language(language)}: {value}"
