"""`ddpm.lab`: the same answer as the command's, as text, as JSON and for a notebook."""

import json
import re

import pytest

import ddpm as public
from ddpm.errors import UsageError
from ddpm.report.page import Figure, fragment

KINDS = [
    "Q17",
    "q2",
    "000:163",
    "003:8",
    "err-40",
    "E45",
    "Eq. 12",
    "algorithm-1",
    "mean",
    "KL-Matrix",
    "KERNEL",
    "P-2",
    "notes",
]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("asked", KINDS)
def test_it_is_what_the_command_says(ddpm, tmp_path, asked, language):
    """Text and numbers to the letter; `ddpm lab` adds where its files are."""
    answer = public.lab(asked, T=40, seed=2, language=language)
    flags = ("--steps", 40, "--seed", 2, "--language", language)
    said = ddpm("lab", asked, *flags, "--output-dir", tmp_path, "--json", tmp_path / "a.json")
    assert said.code == 0, said.err
    assert said.out.startswith(str(answer) + "\n")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == json.loads(json.dumps(answer.numbers))
    assert (answer.figure is None) == (not list(tmp_path.glob("*.png")))


@pytest.mark.parametrize("asked", ["Q17", "000:163", "err-40", "E45", "mean"])
def test_a_notebook_shows_formulas_tables_and_the_figure(asked):
    """In the colours of the text around it, and without links that lead nowhere."""
    answer = public.lab(asked, T=40, language="ko")
    shown = answer._repr_html_()
    assert repr(answer) == str(answer)
    assert "<a " not in shown and 'lang="ko"' in shown
    assert "#010203" not in shown and "currentColor" in shown
    assert ('class="formula"' in shown) == (asked in ("Q17", "E45", "mean"))
    assert ("<table" in shown) == (asked in ("Q17", "000:163", "err-40"))
    assert shown.count("<div") == shown.count("</div>")
    rules = re.findall(r"[{}]", shown[shown.index("<style>") : shown.index("</style>")])
    assert rules.count("{") == rules.count("}") > 10  # every rule is inside of the one for this answer


def test_links_become_words():
    found = fragment(Figure("T", '<p><a href="#Q2">Q2</a><b>bold</b></p>', 'see <a id="x"></a>it'), "en")
    assert "<h4>T</h4><figure><p>Q2<b>bold</b></p><figcaption>see it</figcaption></figure>" in found


def test_of_which_process():
    schedule = public.cosine(T=50)
    assert (
        public.lab("Q17", schedule=schedule).numbers["Q17"]["tables"]
        == (public.lab("Q17", schedule="cosine", T=50).numbers["Q17"]["tables"])
    )
    placed = public.lab("mean", T=100, t=40, x_0=0.25).numbers["mean"]["setting"]
    assert (placed["t"], placed["x_0"]) == (40, 0.25)


def test_on_a_trained_model(ddpm, trained, tmp_path):
    """By its folder or as a value, the command's numbers."""
    said = ddpm(
        "lab", "Q22", "--run", trained, "--num-images", 4, "--output-dir", tmp_path, "--json", tmp_path / "a.json"
    )
    assert said.code == 0, said.err
    answer = public.lab("Q22", run=trained, num_images=4)
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(answer.numbers))
    assert said.out.startswith(str(answer) + "\n")
    images = public.images("digits", "test")[:4]
    of_value = public.lab("Q22", run=public.load(trained), data=images, num_images=4)
    assert of_value.numbers["Q22"]["tables"] == answer.numbers["Q22"]["tables"]
    assert 'class="formula"' in of_value._repr_html_()


@pytest.mark.parametrize(
    ("asked", "how", "words"),
    [
        ("Q99", {}, "a numbered question is Q1 to Q35: Q99"),
        ("nothing", {}, "unknown question: 'nothing'"),
        (None, {}, "question is a name, such as Q20, not NoneType"),
        (5, {"run": "runs/none"}, "question is a name, such as Q20, not int"),
        ("MEAN", {"run": "runs/none"}, "mean is a derivation; on your own model Q4"),
        ("E45", {"run": "runs/none"}, "unknown question: 'E45'"),
        ("all", {}, "more than one answer"),
        ("table-2", {}, "more than one answer"),
        ("000:900", {}, "a place in the notes is"),
        ("Q1", {"language": "de"}, "unknown language"),
        ("Q1", {"T": 1}, "at least 2 steps"),
        ("Q1", {"steps": 5}, "how a model is asked"),
        ("Q1", {"data": "digits"}, "how a model is asked"),
        ("Q22", {"run": "runs/none", "T": 5}, "the schedule is that of the run"),
        ("Q1", {"run": "runs/none"}, "on exact models alone"),
        ("mean", {"t": 2000}, r"t of 2\.\.1000"),
    ],
)
def test_what_cannot_be_asked(asked, how, words):
    unchecked = getattr(public.lab, "__wrapped__", public.lab)  # the tests' type checker refuses None and 5 first
    with pytest.raises(UsageError, match=words):
        unchecked(asked, **how)


def test_a_schedule_has_its_own_number_of_steps():
    with pytest.raises(UsageError, match="its own T = 50"):
        public.lab("Q17", schedule=public.cosine(T=50), T=40)
