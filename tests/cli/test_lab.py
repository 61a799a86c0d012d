"""`ddpm lab` as users type it."""

import json

import pytest
from PIL import Image

from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.questions import QUESTIONS, ask
from ddpm.report.links import sources
from tests.harness.undrawn import formulas_undrawn

BESIDE = 5
"""Sections of the page that are no answers: the notes, the errata, the equations of the paper and E1 to E92, the code."""


@pytest.mark.parametrize(("language", "word"), [("en", "Why is the diffusion a Markov process?"), ("ko", "마르코프")])
def test_it_lists_its_questions(ddpm, language, word):
    said = ddpm("lab", "--language", language)
    assert said.code == 0
    assert word in said.out
    assert all(f"{name} " in said.out for name in (*QUESTIONS, *DERIVATIONS))


def test_one_answer(ddpm, tmp_path):
    said = ddpm("lab", "q17", "--output-dir", tmp_path / "lab", "--json", tmp_path / "a.json")
    assert said.code == 0, said.err
    assert "0.990077" in said.out
    assert "sqrt(alpha_bar_{t-1})" in said.out
    with Image.open(tmp_path / "lab" / "Q17.png") as figure:
        assert figure.size[0] > 1000
    answer = json.loads((tmp_path / "a.json").read_text())["Q17"]
    assert answer["setting"] == {"schedule": {"name": "linear", "T": 1000}, "seed": 0}
    assert answer["tables"][0]["rows"][-1][0] == 1000
    assert answer["answer"]["ko"]


def test_the_list_as_json(ddpm):
    listed = json.loads(ddpm("lab", "--json", "-").out)
    assert list(listed) == [*QUESTIONS, *DERIVATIONS]
    assert listed["mean"]["title"]["ko"]
    assert listed["Q26"]["equations"] == "Eq. 8-12; E47-E51"


def test_a_derivation_line_by_line(ddpm, tmp_path):
    said = ddpm("lab", "mean", "--steps", 100, "--timestep", 40, "--x-0", 0.25, "--json", tmp_path / "a.json")
    assert said.code == 0, said.err
    lines = [line for line in said.out.splitlines() if line.startswith(("Eq.", "ERR"))]
    assert [line.split("  ")[0] for line in lines] == ["Eq. 7", "ERR-49", "ERR-50", "Eq. 10", "ERR-51", "ERR-40"]
    assert "(x - beta / sqrt(1 - alpha_bar) * eps) / sqrt(alpha)" in said.out
    assert all(len(line) <= 100 for line in said.out.splitlines() if not line.startswith("json: "))
    found = json.loads((tmp_path / "a.json").read_text())["mean"]
    assert found["setting"] == {"schedule": {"name": "linear", "T": 100}, "seed": 0, "t": 40, "x_0": 0.25}
    assert {line["erratum"] for line in found["lines"] if abs(line["off"]) > 1e-6} == {
        f"ERR-{n}" for n in (40, 49, 50, 51)
    }


def test_a_derivation_in_korean(ddpm):
    said = ddpm("lab", "kl", "--steps", 50, "--language", "ko")
    assert "두 가우시안의 KL 발산" in said.out
    assert "차이" in said.out


def test_sources_in_korean():
    assert sources("section 3.2, appendix C, Eq. 8; Table 2", "ko") == "3.2절, 부록 C, 식 8; 표 2"


def test_json_alone(ddpm, tmp_path):
    said = ddpm("lab", "Q8", "--output-dir", tmp_path, "--json", "-")
    assert json.loads(said.out)["Q8"]["tables"]
    assert "figure:" in said.err


@pytest.fixture
def alone(monkeypatch):
    """On one core: the answers are given by this process."""
    monkeypatch.setattr("ddpm.cli.laboratory.answers.cores", lambda: 1)


@pytest.fixture
def undrawn():
    """Formulas, which are the same in every language, and take most of the time."""
    with formulas_undrawn():
        yield


@pytest.mark.usefixtures("alone")
def test_one_page_of_all(ddpm, tmp_path, monkeypatch):
    """With its formulas."""
    page = _page_of_all(ddpm, tmp_path, monkeypatch, "en")
    assert page.count('<svg class="formula"') > 3 + 26 + 92 + len(DERIVATIONS)


@pytest.mark.usefixtures("alone", "undrawn")
def test_one_page_of_all_in_korean(ddpm, tmp_path, monkeypatch):
    _page_of_all(ddpm, tmp_path, monkeypatch, "ko")


def _page_of_all(ddpm, tmp_path, monkeypatch, language):
    """With three of the questions: the others have tests of their own."""
    some = {name: QUESTIONS[name] for name in ("Q2", "Q26", "masking")}
    monkeypatch.setattr("ddpm.cli.laboratory.answers.QUESTIONS", some)
    said = ddpm("lab", "all", "--output-dir", tmp_path, "--steps", 50, "--schedule", "cosine", "--language", language)
    assert said.code == 0, said.err
    page = (tmp_path / "lab.html").read_text(encoding="utf-8")
    assert page.count("<section id=") == 3 + len(DERIVATIONS) + BESIDE
    assert all(f'<section id="{name}">' in page and f'href="#{name}"' in page for name in (*some, *DERIVATIONS))
    assert page.count('class="line slip"') == sum(len(found.slips) for found in DERIVATIONS.values())
    assert f'<html lang="{language}">' in page
    assert "x<sub>t−1</sub>" in page
    assert "cosine, T = 50" in page
    assert f"--schedule cosine --steps 50 --seed 0 --language {language}" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<b>3</b>" in page
    return page


@pytest.mark.usefixtures("alone", "undrawn")
@pytest.mark.parametrize(("language", "words"), [("en", "answered so far"), ("ko", "지금까지 답한")])
def test_the_page_grows_with_the_answers(ddpm, tmp_path, monkeypatch, language, words):
    """Each answer is on it as soon as it is there, with how many there are so far: also where the command is then killed."""
    some = {name: QUESTIONS[name] for name in ("Q2", "Q26", "masking")}
    monkeypatch.setattr("ddpm.cli.laboratory.answers.QUESTIONS", some)

    def killed(question, setting):
        if question.name == "masking":
            raise KeyboardInterrupt
        return ask(question, setting)

    monkeypatch.setattr("ddpm.report.answers.together.ask", killed)
    said = ddpm("lab", "all", "--output-dir", tmp_path, "--steps", 50, "--language", language)
    assert said.code == 130
    page = (tmp_path / "lab.html").read_text(encoding="utf-8")
    assert page.count("<section id=") == 2 + len(DERIVATIONS) + BESIDE
    assert "<b>2 / 3</b>" in page
    assert words in page


def test_the_schedule_of_a_run_or_of_a_file(ddpm, tmp_path, trained):
    assert ddpm("lab", "Q17", "--schedule", trained, "--output-dir", tmp_path, "--json", tmp_path / "a.json").code == 0
    assert ddpm("schedule", trained, "--json", tmp_path / "table.json").code == 0
    said = ddpm(
        *("lab", "Q17", "--schedule", tmp_path / "table.json"),
        *("--output-dir", tmp_path, "--json", tmp_path / "b.json"),
    )
    assert said.code == 0, said.err
    a, b = (json.loads((tmp_path / f"{name}.json").read_text())["Q17"] for name in "ab")
    assert a["tables"] == b["tables"]
    assert a["setting"]["schedule"] == {"name": "log-snr", "T": 12}
    assert b["setting"]["schedule"] == {"name": "table", "T": 12}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["Q36"], 2, ["Q36", "Q35"]),
        (["Q1", "--schedule", "cosin"], 2, ["cosin", "cosine"]),
        (["Q1", "--steps", "1"], 2, ["at least 2 steps"]),
        (["Q1", "--schedule", "jsd"], 2, ["alpha_bar_T = 0"]),
        (["Q1", "--schedule", "none.json"], 66, ["none.json"]),
        (["Q1", "--schedule", "learned"], 2, ["run folder", "ddpm train --schedule learned"]),
        (["Q1", "--schedule", "runs/gone"], 2, ["runs/gone", "a run folder"]),
        (["all", "--output-dir", "pyproject.toml"], 73, ["pyproject.toml"]),
        (["Q1", "--language", "de"], 2, ["de"]),
        (["mean", "--timestep", "1001"], 2, ["2..1000: 1001"]),
        (["mean", "--x-0", "2"], 2, ["[-1, 1]: 2"]),
    ],
)
def test_what_cannot_be_asked(ddpm, tmp_path, arguments, code, words):
    said = ddpm("lab", *(["--output-dir", tmp_path] if "--output-dir" not in arguments else []), *arguments)
    assert said.code == code
    assert said.err.startswith("ddpm: error: ")
    assert all(word in said.err for word in words)
