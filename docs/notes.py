"""The pages with the index of the study notes, in English and in Korean: each statement with links to all that answers it."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from docs.tables import head, html, table

from ddpm.laboratory.notes import statements
from ddpm.laboratory.notes.mentions import equations_in
from ddpm.laboratory.notes.source import source_of
from ddpm.laboratory.notes.statements import Statement
from ddpm.language import LANGUAGES, Text
from ddpm.report.links import anchor, sources
from ddpm.report.notes_page import COLUMNS
from ddpm.report.typeset import prose

WORDS: Mapping[str, Text] = {
    "title": Text("The study notes, statement by statement", "공부 노트를 한 문장씩"),
    "about": Text(
        "Two sets of Korean study notes on the paper were the beginning of this project. Here are their 103 statements "
        "and questions, in our own words, with note and line (``000:163``). A slip links to the :doc:`errata <errata>`, a question "
        "(``Q20``) and a derivation (``mean``) to the laboratory's page, which was computed for this site; "
        "``ddpm lab 000:163`` says the same in a terminal.",
        "이 프로젝트는 논문에 대한 두 벌의 한국어 공부 노트에서 시작했다. 노트의 말과 질문 103개를 우리말로 다시 적고 "
        "노트와 줄(``000:163``)을 붙였다. 고칠 것은 :doc:`정오표 <errata>`\\ 로, 질문(``Q20``)과 유도(``mean``)는 이 사이트를 "
        "위해 계산한 실험실 페이지로 이어진다. 터미널에서는 ``ddpm lab 000:163`` 이 같은 답을 한다.",
    ),
}


def write_notes(folder: Path) -> None:
    """Below `folder`/LANGUAGE."""
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True, exist_ok=True)
        (folder / language / "notes.rst").write_text(_page(language), encoding="utf-8")


def modules() -> list[str]:
    """Of the code that the statements point to, so that the site shows it."""
    return [source_of(one.code).path.removesuffix(".py").replace("/", ".") for one in statements.statements()]


def _page(language: str) -> str:
    rows = [_cells(one, language) for one in statements.statements()]
    about = head(*(WORDS[name].in_language(language) for name in ("title", "about")))
    return about + table(COLUMNS.in_language(language).split("|"), rows, (12, 30, 34, 24))


def _cells(one: Statement, language: str) -> Sequence[str]:
    kind = statements.KINDS[one.kind].in_language(language)
    mark = f'<span id="{one.anchor}"></span>' if statements.at(f"{one.note}:{one.lines[0]}")[0][0] is one else ""
    where = html(f"{mark}<b>{one.where}</b><br>{escape(kind)}")
    to = [
        ", ".join(_link(f"errata.html#{name}", name) for name in one.errata),
        ", ".join(_link(f"../../lab.{language}.html#{name}", name) for name in (*one.questions, *one.derivations)),
        ", ".join(_equation(name, language) for name in one.equations if equations_in(name)),
    ]
    links = "<br>".join(part for part in to if part)
    code = f":py:obj:`{one.code.rpartition('.')[2]} <ddpm.{one.code}>`"
    return (
        where,
        html(prose(one.says.in_language(language))),
        html(prose(one.reply.in_language(language))),
        f"{html(links)}, {code}, ``{one.shown_by}``",
    )


def _equation(name: str, language: str) -> str:
    """A link to the page of the paper's equations, or to that of E1 to E92."""
    first = name.partition("-")[0]
    page = "paper.html" if first.startswith(("Eq.", "Algorithm")) else EQUATIONS[language]
    return _link(f"{page}#{anchor(first)}", sources(name, language))


EQUATIONS = {"en": "../../explanation/equations.html", "ko": "../../ko/equations.html"}


def _link(target: str, words: str) -> str:
    return f'<a href="{target}">{escape(words)}</a>'
