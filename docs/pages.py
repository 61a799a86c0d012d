"""The pages that are made from code and data: the paper line by line, and the errata, in English and in Korean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.paper_map import Place, labels, link, places, where
from docs.tables import head, html, table, title

from ddpm.laboratory.notes.equations import Numbered, of_the_paper
from ddpm.laboratory.notes.errata import KINDS, Erratum, errata
from ddpm.laboratory.questions import QUESTIONS
from ddpm.language import LANGUAGES, Text
from ddpm.report.links import anchor, sources
from ddpm.report.typeset import typeset

CODE = ("diffusion", "sampling", "training", "evaluation", "analytic", "laboratory")
WORDS: Mapping[str, Text] = {
    "paper": Text("The paper, line by line", "논문을 한 줄씩"),
    "paper_about": Text(
        "Every numbered equation and algorithm of Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020, "
        "arXiv:2006.11239): what it says, the code that says it, the tests that prove it, and the experiments of "
        "``ddpm lab`` that show it. The page is made from the docstrings of code and tests; a test fails when an "
        "equation has no code or no test. ``t`` is 1..T everywhere, and entry 0 of every table is the clean image.",
        "Denoising Diffusion Probabilistic Models(Ho, Jain, Abbeel 2020, arXiv:2006.11239)의 번호 붙은 모든 식과 "
        "알고리즘에 대해 무슨 뜻인지, 어느 코드인지, 어느 테스트가 증명하는지, ``ddpm lab`` 의 어느 실험이 보여 "
        "주는지 적는다. 이 페이지는 코드와 테스트의 docstring에서 만들어지며, 코드나 테스트가 없는 식이 있으면 "
        "테스트가 실패한다. ``t`` 는 언제나 1..T이고 모든 표의 0번 항목은 깨끗한 이미지다.",
    ),
    "code": Text("Code", "코드"),
    "tests": Text("Tests", "테스트"),
    "lab": Text("Experiments", "실험"),
    "errata": Text("Errata", "정오표"),
    "errata_about": Text(
        "What the two sets of study notes (``000``, ``003``: file and line) and the paper itself wrote, what is "
        "right, and the question of ``ddpm lab`` whose experiment shows it. For every mathematical slip of the notes "
        "there is a test in which the formula as written, or a reading of the words, fails and ours passes "
        "(``tests/laboratory/test_errata.py``).",
        "두 공부 노트(``000``, ``003``: 파일과 줄)와 논문 자체에 적힌 것, 옳은 것, 그리고 그것을 보여 주는 ``ddpm "
        "lab`` 의 질문이다. 노트의 수식 오류마다, 적힌 식(말로만 적힌 것은 그 뜻을 식으로 옮긴 것)은 실패하고 우리 "
        "식은 통과하는 테스트가 있다(``tests/laboratory/test_errata.py``).",
    ),
    "paper_errata": Text("Of the paper", "논문"),
    "notes_errata": Text("Of the notes", "노트"),
    "columns": Text("Name|Where|Kind|As written|Right|Shown by", "이름|위치|종류|적힌 것|옳은 것|실험"),
}


@dataclass(frozen=True)
class Line:
    """A numbered line of the paper and all that belongs to it."""

    equation: Numbered
    code: Sequence[Place]
    tests: Sequence[Place]
    questions: Sequence[str]
    errata: Sequence[str]

    @property
    def name(self) -> str:
        """Eq. 12."""
        return self.equation.name


def paper() -> list[Line]:
    """All lines, in the paper's order."""
    code = [place for package in CODE for place in places(f"src/ddpm/{package}")]
    tests = list(places("tests"))
    return [Line(row, **_found(row.name, code, tests)) for row in of_the_paper()]


def _found(name: str, code: Sequence[Place], tests: Sequence[Place]) -> dict[str, Any]:
    mine = where(name, code)
    outside = [place for place in mine if not place.module.startswith("ddpm.laboratory")]
    proofs = [place for place in where(name, tests) if place.name.startswith("test_")]
    questions = [question.name for question in QUESTIONS.values() if name in labels(question.equations)]
    slips = [erratum.name for erratum in errata() if name in labels(erratum.equation)]
    return {"code": outside or mine, "tests": proofs, "questions": questions, "errata": slips}


def write_pages(folder: Path) -> None:
    """The pages of both languages as reStructuredText, below `folder`/LANGUAGE."""
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True, exist_ok=True)
        (folder / language / "paper.rst").write_text(_paper_page(language), encoding="utf-8")
        (folder / language / "errata.rst").write_text(_errata_page(language), encoding="utf-8")


def _head(name: str, language: str) -> str:
    return head(*(WORDS[key].in_language(language) for key in (name, f"{name}_about")))


def _paper_page(language: str) -> str:
    return _head("paper", language) + "".join(_line(line, language) for line in paper())


def _line(line: Line, language: str) -> str:
    code = ", ".join(link(place) for place in line.code)
    tests = ", ".join(f"``{place.path.removeprefix('tests/')}::{place.name}``" for place in line.tests)
    fields = [(WORDS["code"].in_language(language), code), (WORDS["tests"].in_language(language), tests)]
    if line.questions:
        fields.append(
            (WORDS["lab"].in_language(language), ", ".join(f"``ddpm lab {name}``" for name in line.questions))
        )
    if line.errata:
        fields.append((WORDS["errata"].in_language(language), f":doc:`{', '.join(line.errata)} <errata>`"))
    listed = "".join(f":{name}: {value}\n" for name, value in fields)
    equation = line.equation
    heading = title(f"{sources(line.name, language)}, {equation.title.in_language(language)}", "-")
    mark = f'.. raw:: html\n\n   <span id="{anchor(line.name)}"></span>\n\n'
    says = html(typeset(equation.says.in_language(language)))
    return f"{mark}{heading}.. math::\n\n   {equation.tex}\n\n{says}\n\n{listed}\n"


def _errata_page(language: str) -> str:
    text = _head("errata", language)
    for name, prefix in (("paper_errata", "P"), ("notes_errata", "ERR")):
        rows = [erratum for erratum in errata() if erratum.name.startswith(prefix)]
        text += title(WORDS[name].in_language(language), "-") + _table(rows, language)
    return text


def _table(rows: Sequence[Erratum], language: str) -> str:
    cells = [
        [
            html(f'<span id="{row.name}">{row.name}</span>'),
            sources(row.where, language),
            KINDS[row.kind].in_language(language),
            *(html(typeset(words.in_language(language))) for words in (row.written, row.right)),
            row.shown_by or "–",
        ]
        for row in rows
    ]
    return table(WORDS["columns"].in_language(language).split("|"), cells, (12, 14, 11, 29, 29, 8))
