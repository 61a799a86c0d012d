"""The notes with answers: both notebooks are what their source gives, ask what exists, and run."""

import ast
import json
import re
import runpy
from pathlib import Path

import nbformat
import pytest

from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.notes import statements
from ddpm.laboratory.own.questions import ON_MODEL
from ddpm.laboratory.questions import QUESTIONS
from ddpm.report.answers.notes import in_the_notes

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTES = FOLDER.parents[1].parent / "shared" / "notes"
BUILD = runpy.run_path(str(FOLDER / "build.py"))
TEXTS = {
    language: BUILD["cells"](BUILD["SOURCE"].read_text(encoding="utf-8"), language) for language in BUILD["LANGUAGES"]
}
"""Kind and text of each cell."""


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_notebook_is_what_its_source_gives(language):
    """`python examples/notebooks/build.py` writes it anew."""
    written = BUILD["path"](language).read_text(encoding="utf-8")
    assert written == BUILD["notebook"](language)
    assert len(written) < 100_000
    found = nbformat.reads(written, as_version=4)
    nbformat.validate(found)
    assert not any(cell.get("outputs") for cell in found.cells)


def test_the_two_languages_have_the_same_cells_and_code():
    english, korean = TEXTS["en"], TEXTS["ko"]
    assert [kind for kind, _ in english] == [kind for kind, _ in korean]
    for (kind, en), (_, ko) in zip(english, korean, strict=True):
        if kind == "code":
            assert ast.dump(ast.parse(en.replace('"en"', '"ko"'))) == ast.dump(ast.parse(ko))
        else:
            assert re.search("[가-힣]", ko) and not re.search("[가-힣]", en)
            assert en.count("$$") == ko.count("$$")
            assert re.findall(r"\d{3}:\d+", en) == re.findall(r"\d{3}:\d+", ko)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_depends_on_the_schedule_is_left_to_the_number(language):
    """Which steps L_simple stresses: what follows the words says it, and on log-snr it is the nearly clean ones."""
    texts = TEXTS[language]
    (at,) = (place for place, (_, text) in enumerate(texts) if 'ddpm.lab("Q22"' in text)
    words = texts[at - 1][1]
    assert re.search("schedule|스케줄", words)
    assert not re.search(r"\b(more|less|larger|smaller|nois\w+|clean)\b|크게|작게|잡음|깨끗", words)


def asked(texts):
    """What `ddpm.lab` is asked in code, with the names of its arguments, and in words."""
    for kind, text in texts:
        if kind == "markdown":
            yield from ((key, set()) for key in re.findall(r'ddpm\.lab\("([^"]+)"\)', text))
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ddpm.lab":
                yield ast.literal_eval(node.args[0]), {keyword.arg for keyword in node.keywords}


def test_what_it_asks_exists():
    keys = list(asked(TEXTS["en"]))
    assert len(keys) > 25
    assert keys == list(asked(TEXTS["ko"]))
    for key, how in keys:
        known = ON_MODEL if "run" in how else {**QUESTIONS, **DERIVATIONS}
        assert key in known or in_the_notes(key, "en") is not None, key


def test_it_goes_through_the_notes():
    """Every place that it names is one, and all but a few statements lie in a range of lines that it names."""
    words = "\n".join(text for kind, text in TEXTS["en"] if kind == "markdown")
    for note, line in re.findall(r"(000|003):(\d+)", words):
        statements.at(f"{note}:{line}")
    ranges = [(a, int(b), int(c)) for a, b, c in re.findall(r"(000|003):(\d+) to \1:(\d+)", words)]
    held = [
        one
        for one in statements.statements()
        if any(note == one.note and first <= line <= last for note, first, last in ranges for line in one.lines)
    ]
    assert len(held) > 85


@pytest.mark.skipif(not NOTES.exists(), reason="needs ../shared/notes, which users do not have")
def test_the_words_are_our_own():
    notes = re.sub(r"\s+", "", "".join(path.read_text(encoding="utf-8") for path in sorted(NOTES.glob("*.txt"))))
    for _, words in TEXTS["ko"]:
        text = re.sub(r"\s+", "", re.sub(r"[^가-힣 ]", " ", words))
        assert not [text[i : i + 20] for i in range(len(text) - 19) if text[i : i + 20] in notes]


def test_it_uses_the_public_face_only():
    for kind, text in TEXTS["en"]:
        if kind == "code":
            assert not re.findall(r"^\s*from ddpm|import ddpm\.", text, re.MULTILINE)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_notebook_runs(language, tmp_path, monkeypatch):
    """Every cell, with a model of a few steps; what is computed by hand is what the library says."""
    from nbclient import NotebookClient

    monkeypatch.setenv("DDPM_NOTEBOOK_STEPS", "4")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = nbformat.reads(BUILD["notebook"](language), as_version=4)
    NotebookClient(found, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in found.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    differences = [float(number) for number in re.findall(r"largest difference: (\S+)", printed)]
    assert len(differences) == 3 and max(differences) < 1e-4
    for one, other in re.findall(r"by hand (\S+)\s+(?:library|ddpm\.kl) (\S+)", printed):
        assert float(one) == pytest.approx(float(other), rel=1e-4)
    bayes, eq_7 = re.findall(r"(?:Bayes|Eq\. 7)  mean (\S+)   variance (\S+)", printed)
    assert [float(number) for number in bayes] == pytest.approx([float(number) for number in eq_7], rel=1e-5)
    shown = [output.data for output in outputs if output.output_type in ("execute_result", "display_data")]
    assert sum("ddpm-answer" in data.get("text/html", "") for data in shown) > 20
    assert sum("image/png" in data for data in shown) >= 7
    assert len(json.dumps(found)) < 2_500_000
    assert (tmp_path / "runs" / "notes-with-answers" / "mine.gif").stat().st_size < 300_000
