"""Every equation of the paper has code and a test that name it; the ledger's tests exist; the pages can be written."""

import pytest
from docs import pages
from docs.paper_map import EQUATIONS, PROOFS, labels, places, where

from ddpm.laboratory.notes.equations import of_the_paper
from ddpm.laboratory.notes.errata import errata
from ddpm.laboratory.questions import QUESTIONS
from ddpm.report.links import sources

TESTS = [place for place in places("tests") if place.name.startswith("test_") and "/house/" not in place.path]


@pytest.fixture(scope="module")
def paper():
    return {line.name: line for line in pages.paper()}


def test_the_table_holds_the_whole_paper(paper):
    assert list(paper) == EQUATIONS


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_has_code_and_a_test(paper, name):
    assert paper[name].code, f"no docstring of the code mentions {name}"
    assert paper[name].tests, f"no docstring of a test mentions {name}"
    assert paper[name].questions or name.startswith("Algorithm"), f"no question of the laboratory is about {name}"


@pytest.mark.parametrize("name", PROOFS)
def test_the_list_of_proofs_is_complete(name):
    assert where(name, TESTS)


def test_an_equation_without_code_or_test_is_noticed(monkeypatch):
    monkeypatch.setattr(pages, "places", lambda folder: [p for p in places(folder) if "decoder" not in p.path])
    (line,) = [line for line in pages.paper() if line.name == "Eq. 13"]
    assert not line.tests
    assert not line.code or all(place.module.startswith("ddpm.laboratory") for place in line.code)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Eq. 6-7", {"Eq. 6", "Eq. 7"}),
        ("by Eq. 3, 5 and 21: no", {"Eq. 3", "Eq. 5", "Eq. 21"}),
        ("Algorithms 3 and 4; T13", {"Algorithm 3", "Algorithm 4", "T13"}),
        ("Algorithm 2 and Eq. 1", {"Algorithm 2", "Eq. 1"}),
        ("(Nichol & Dhariwal 2021, Eq. 15)", set()),
        ("T = 1, T1000 pixels", {"T1000"}),
    ],
)
def test_what_a_docstring_mentions(text, found):
    assert labels(text) == found


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_the_pages(tmp_path, language):
    pages.write_pages(tmp_path)
    paper = (tmp_path / language / "paper.rst").read_text(encoding="utf-8")
    slips = (tmp_path / language / "errata.rst").read_text(encoding="utf-8")
    assert all(f"{sources(name, language)}, " in paper for name in EQUATIONS)
    assert all(f'<span id="{erratum.name}">' in slips for erratum in errata())
    assert "ERR-49, ERR-50, ERR-51" in paper


def test_errata_and_equations_name_what_exists():
    assert {e.shown_by for e in errata()} - {""} <= set(QUESTIONS)
    assert all(labels(e.equation) <= set(EQUATIONS) for e in errata())
    assert all(labels(e.equation) for e in errata() if e.equation)
    for row in of_the_paper():
        assert row.title.en and row.title.ko and row.says.en and row.says.ko
