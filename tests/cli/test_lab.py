"""`ddpm lab` as users type it."""

import json

import pytest
from PIL import Image

from ddpm.laboratory.questions import QUESTIONS
from ddpm.report.lab_page import sources


@pytest.mark.parametrize(("language", "word"), [("en", "Why is the diffusion a Markov process?"), ("ko", "마르코프")])
def test_it_lists_its_questions(ddpm, language, word):
    said = ddpm("lab", "--language", language)
    assert said.code == 0
    assert word in said.out
    assert all(f"{name} " in said.out for name in QUESTIONS)


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
    assert list(listed) == list(QUESTIONS)
    assert listed["Q26"]["equations"] == "Eq. 8-12; E47-E51"


def test_sources_in_korean():
    assert sources("section 3.2, appendix C, Eq. 8; Table 2", "ko") == "3.2절, 부록 C, 식 8; 표 2"


def test_json_alone(ddpm, tmp_path):
    said = ddpm("lab", "Q8", "--output-dir", tmp_path, "--json", "-")
    assert json.loads(said.out)["Q8"]["tables"]
    assert "figure:" in said.err


@pytest.mark.parametrize("language", ["en", "ko"])
def test_one_page_of_all(ddpm, tmp_path, monkeypatch, language):
    """With three of the questions: the others have tests of their own."""
    some = {name: QUESTIONS[name] for name in ("Q2", "Q26", "masking")}
    monkeypatch.setattr("ddpm.cli.parts.answers.QUESTIONS", some)
    said = ddpm("lab", "all", "--output-dir", tmp_path, "--steps", 50, "--schedule", "cosine", "--language", language)
    assert said.code == 0, said.err
    page = (tmp_path / "lab.html").read_text(encoding="utf-8")
    assert page.count("<section id=") == 3
    assert f'<html lang="{language}">' in page
    assert "x<sub>t−1</sub>" in page
    assert "cosine, T = 50" in page
    assert f"--schedule cosine --steps 50 --seed 0 --language {language}" in page
    assert "http" not in page.replace("http://www.w3.org", "")


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
    ],
)
def test_what_cannot_be_asked(ddpm, tmp_path, arguments, code, words):
    said = ddpm("lab", *(["--output-dir", tmp_path] if "--output-dir" not in arguments else []), *arguments)
    assert said.code == code
    assert said.err.startswith("ddpm: error: ")
    assert all(word in said.err for word in words)
