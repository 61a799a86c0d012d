"""The index of the notes: complete, without a broken link, its commands commands, its words our own."""

import re
from collections import Counter
from pathlib import Path

import pytest

from ddpm.cli.parser import parse
from ddpm.diffusion.schedule import cosine
from ddpm.errors import UsageError
from ddpm.figures.style import panels
from ddpm.laboratory.answer import Answer, Setting, Text
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.shown import At, rows
from ddpm.laboratory.notes import statements
from ddpm.laboratory.notes.equations import of_the_ledger, of_the_paper
from ddpm.laboratory.notes.errata import errata
from ddpm.laboratory.notes.mentions import equations_in
from ddpm.laboratory.notes.source import source_of
from ddpm.laboratory.notes.statements import KINDS, LINES, lines_of
from ddpm.laboratory.own.questions import ON_MODEL
from ddpm.laboratory.questions import QUESTIONS
from ddpm.language import LANGUAGES
from ddpm.report import derivation
from ddpm.report.answers.notes import in_the_notes
from ddpm.report.lab_page import lab_page, section
from ddpm.report.links import equations_linked, lines_linked
from tests.harness.undrawn import formulas_undrawn

ALL = statements.statements()
NOTES = Path(__file__).resolve().parents[2].parent / "shared" / "notes"
EQUATIONS = {row.name for row in (*of_the_paper(), *of_the_ledger())}


def test_all_103_are_there_in_the_order_of_the_notes():
    assert [statement.number for statement in ALL] == list(range(1, 104))
    places = [(statement.where[:3], int(re.split("[-,]", statement.where[4:])[0])) for statement in ALL]
    assert places == sorted(places)
    for statement in ALL:
        assert all(1 <= line <= LINES[statement.where[:3]] for line in lines_of(statement.where)), statement.where
        assert statement.kind in KINDS


@pytest.mark.parametrize("statement", ALL, ids=lambda statement: statement.where)
def test_a_statement_is_answered_by_what_exists(statement):
    assert statement.questions and set(statement.questions) <= set(QUESTIONS)
    assert set(statement.derivations) <= set(DERIVATIONS)
    assert set(statement.errata) <= {erratum.name for erratum in errata()}
    assert statement.named and statement.named <= EQUATIONS
    if statement.kind != "asks":
        assert bool(statement.errata) == (statement.kind == "slip")
    source = source_of(statement.code)
    assert source.text.partition("\n")[0].lstrip().startswith(("def ", "class ", "@"))
    for text in (statement.says, statement.reply):
        assert text.en and re.search("[가-힣]", text.ko)


@pytest.mark.parametrize("command", sorted({statement.shown_by for statement in ALL}))
def test_its_command_is_a_command(command):
    words = command.split()
    assert words[0] == "ddpm"
    parse(words[1:])
    if words[1] == "lab":
        own = words[2] in ON_MODEL if "--run" in words else words[2] in {*QUESTIONS, *DERIVATIONS, "table-2"}
        assert own or in_the_notes(words[2], "en") is not None


def test_a_slip_stands_in_the_statement_of_its_line():
    for erratum in errata():
        if not erratum.name.startswith("ERR"):
            continue
        held = [statement for statement in ALL if erratum.name in statement.errata]
        assert held, erratum.name
        assert erratum.shown_by in {name for statement in held for name in statement.questions}, erratum.name
        for statement in held:
            same = [part for part in erratum.where.split(" ") if part.startswith(statement.where[:3])]
            assert any(lines_of(part) & lines_of(statement.where) for part in same), (erratum.name, statement.where)


def test_every_question_of_the_notes_answers_a_statement():
    answered = {name for statement in ALL for name in statement.questions}
    assert {question.name for question in QUESTIONS.values() if question.where} <= answered


@pytest.fixture(scope="module")
def pages():
    """The page in each language with every caption, without drawings and formulas."""
    setting, at = Setting("cosine", cosine(10)), At(3, 0.5)
    found = Answer(Text("", ""), [], panels(1)[0])
    derived = [(each, rows(each, setting.schedule, at, 0)) for each in DERIVATIONS.values()]

    def page(language):
        answers = [section(question, found, language) for question in QUESTIONS.values()]
        lines = [derivation.section(each, of, at, language) for each, of in derived]
        return lab_page(answers, len(answers), lines, setting, language, "ddpm lab all")

    with formulas_undrawn() as patch:
        patch.setattr("ddpm.figures.style.svg", lambda *_: "")
        return {language: page(language) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_of_the_page_leads_somewhere(pages, language):
    page = pages[language]
    anchors = Counter(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(anchors), sorted(links - set(anchors))
    assert [anchor for anchor, times in anchors.items() if times > 1] == []
    wanted = (
        [erratum.name for erratum in errata()] + [f"E{n}" for n in range(1, 93)] + [f"eq-{n}" for n in range(1, 27)]
    )
    assert set(wanted) <= set(anchors)
    for statement in ALL:
        for line in lines_of(statement.where):
            assert f"{statement.where[:3]}-{line}" in anchors


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("000:163", "Rao-Blackwell"),
        ("000:215", "ddpm lab loss"),
        ("003:89", "ERR-69"),
        ("err-40", "sqrt"),
        ("E45", "best variance"),
        ("eq-12", "objective.py"),
        ("Eq. 12", "objective.py"),
        ("notes", "000:9"),
    ],
)
def test_what_the_terminal_says(asked, says):
    told = in_the_notes(asked, "en")
    assert told is not None
    assert says in told.text
    assert told.numbers


def test_what_is_no_place_is_refused_and_a_question_is_left_to_the_laboratory():
    for place in ("999:1", "000:9999", "003:0", "000:1-3"):
        with pytest.raises(UsageError, match="a place in the notes is 000:1 to 000:277 or 003:1 to 003:91"):
            in_the_notes(place, "en")
    for other in ("Q20", "Eq. 1-2", "E4-5", "eq1-0"):
        assert in_the_notes(other, "en") is None


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        ("E93", "ledger is E1 to E92"),
        ("e0", "ledger is E1 to E92"),
        ("eq-99", "paper is Eq. 1 to Eq. 26"),
        ("Algorithm 5", "paper is Algorithm 1 to Algorithm 4"),
        ("ERR-71", "notes is ERR-1 to ERR-70"),
        ("P-6", "paper is P-1 to P-5"),
    ],
)
def test_a_number_that_there_is_not_says_which_there_are(asked, ends):
    with pytest.raises(UsageError, match=f"{ends}: {asked}") as refused:
        in_the_notes(asked, "en")
    example = refused.value.hints[0].removeprefix("for example: ddpm lab ")
    assert in_the_notes(example, "en") is not None


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.long)])
def test_every_number_leads_to_its_own(every):
    """All of them in the long tests, each eleventh here."""
    for row in (*of_the_paper(), *of_the_ledger())[::every]:
        assert in_the_notes(row.name, "en").name == row.name
    for erratum in errata()[::every]:
        assert in_the_notes(erratum.name.lower(), "en").name == erratum.name


def test_a_line_between_statements_has_the_nearest():
    nearest, here = statements.at("000:3")
    assert (nearest[0].number, here) == (1, False)
    found, here = statements.at("000:16")
    assert ([one.number for one in found], here) == ([5, 6], True)


def test_links_in_words():
    assert (
        equations_linked("Eq. 3, 5; E25", "en")
        == '<a href="#eq-3">Eq. 3</a>, <a href="#eq-5">5</a>; <a href="#E25">E25</a>'
    )
    assert equations_linked("section 3.2, Eq. 8-12; Table 2", "ko") == '3.2절, <a href="#eq-8">식 8-12</a>; 표 2'
    assert lines_linked("000 l.148, 248-251; 003 l.77") == (
        '<a href="#000-148">000:148</a>, <a href="#000-248">248</a>-251; <a href="#003-77">003:77</a>'
    )


def test_equations_of_a_range():
    assert equations_in("Eq. 6-7; E31-E33") == {"Eq. 6", "Eq. 7", "E31", "E32", "E33"}


@pytest.mark.skipif(not NOTES.exists(), reason="needs ../shared/notes, which users do not have")
def test_the_words_are_our_own():
    notes = re.sub(r"\s+", "", "".join(path.read_text(encoding="utf-8") for path in sorted(NOTES.glob("*.txt"))))
    for statement in ALL:
        for words in (statement.says.ko, statement.reply.ko):
            text = re.sub(r"\s+", "", re.sub(r"[^가-힣 ]", " ", words))
            copied = [text[i : i + 20] for i in range(len(text) - 19) if text[i : i + 20] in notes]
            assert not copied, (statement.number, copied)
