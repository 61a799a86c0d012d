"""`ddpm lab --run RUN` and `ddpm lab table-2` as users type them."""

import json

import pytest
from PIL import Image

from ddpm.laboratory.own import ablation
from ddpm.laboratory.own.questions import ON_MODEL


def test_one_answer(ddpm, trained, tmp_path):
    said = ddpm(
        "lab", "q22", "--run", trained, "--num-images", 4, "--output-dir", tmp_path, "--json", tmp_path / "a.json"
    )
    assert said.code == 0, said.err
    assert "this network" in said.out
    assert "4 images of digits" in " ".join(said.out.split())  # it is wrapped
    with Image.open(tmp_path / "Q22-own.png") as figure:
        assert figure.size[0] > 1000
    answer = json.loads((tmp_path / "a.json").read_text())["Q22"]
    assert answer["model"]["images"] == 4
    assert answer["model"]["T"] == 12
    assert answer["answer"]["ko"]
    again = ddpm("lab", "Q22", "--run", trained, "--data", "digits", "--num-images", 4, "--output-dir", tmp_path)
    assert again.out == said.out.replace(f"json: {tmp_path / 'a.json'}\n", "")  # its own data are the digits


def test_fewer_steps_and_other_weights(ddpm, run, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("ddpm.figures.style.png", lambda _, language="en": drawn.append(language) or b"")
    flags = ("--run", run, "--steps", 5, "--weights", "raw", "--split", "train", "--num-images", 3)
    said = ddpm("lab", "Q5", *flags, "--output-dir", tmp_path, "--json", "-", "--language", "ko")
    assert said.code == 0, said.err
    model = json.loads(said.out)["Q5"]["model"]
    assert (model["weights"], model["images"], model["data"]) == ("raw", 3, "digits")
    assert json.loads(said.out)["Q5"]["tables"][0]["rows"][0][0] == 5
    assert "이론: " in said.err
    assert "raw 가중치; digits 이미지 3장" in " ".join(said.err.split())
    assert drawn == ["ko"]


def test_the_list(ddpm, trained):
    said = ddpm("lab", "--run", trained)
    assert [line.split()[0] for line in said.out.splitlines()] == list(ON_MODEL)
    assert list(json.loads(ddpm("lab", "--run", trained, "--json", "-").out)) == list(ON_MODEL)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_one_page_of_all(ddpm, run, tmp_path, monkeypatch, language):
    some = {name: ON_MODEL[name] for name in ("Q5", "masking")}
    monkeypatch.setattr("ddpm.cli.laboratory.own_model.ON_MODEL", some)
    said = ddpm("lab", "all", "--run", run, "--num-images", 3, "--output-dir", tmp_path, "--language", language)
    assert said.code == 0, said.err
    page = (tmp_path / "lab-own.html").read_text(encoding="utf-8")
    assert page.count("<section id=") == 2
    assert f'<html lang="{language}">' in page
    assert "--num-images 3 --seed 0 --language" in page
    assert "<b>2</b>" in page
    assert "schedule is its own" not in page
    assert "실험 자체의 것" not in page


def test_table_2(ddpm, tmp_path, monkeypatch):
    """With two rows of the nine."""
    kinds = (ablation.PAPER, ablation.Kind("eps", "fixed-large", "variational"))

    def two(*arguments, **named):
        return ablation.trained(*arguments, **named, kinds=kinds, steps=2)

    monkeypatch.setattr("ddpm.cli.laboratory.own_model.trained", two)
    flags = ("--budget", "5s", "--num-images", 4, "--steps", 6, "--output-dir", tmp_path, "--json", tmp_path / "t.json")
    said = ddpm("lab", "table-2", *flags)
    assert said.code == 0, said.err
    assert "FIDs, and they are left out" in " ".join(said.out.split())
    assert (tmp_path / "table-2.png").exists()
    found = json.loads((tmp_path / "t.json").read_text())["table-2"]
    assert found["training_steps"] == 2
    assert found["setting"]["schedule"] == {"name": "linear", "T": 6}
    assert len(found["tables"][0]["rows"]) == 9


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["Q1", "--run", "RUN"], 2, ["Q1 is answered on exact models alone", "Q20", "masking", "ddpm lab Q1"]),
        (["mean", "--run", "RUN"], 2, ["mean is a derivation", "Q20"]),
        (["Q36", "--run", "RUN"], 2, ["Q36"]),
        (["Q20", "--run", "RUN", "--schedule", "cosine"], 2, ["that of the run"]),
        (["Q20", "--run", "RUN", "--steps", "13"], 2, ["13"]),
        (["Q20", "--run", "RUN", "--steps", "1"], 2, ["at least 2 steps"]),
        (["Q20", "--run", "RUN", "--num-images", "1"], 66, ["at least two images"]),
        (["Q20", "--run", "runs/gone"], 66, ["runs/gone"]),
        (["Q20", "--run", "RUN", "--data", "nowhere"], 66, ["nowhere"]),
        (["Q20", "--data", "digits"], 2, ["--data", "--run RUN"]),
        (["Q20", "--num-images", "4"], 2, ["--num-images", "--run RUN"]),
        (["Q20", "--budget", "3m"], 2, ["--budget", "table-2"]),
        (["table-2", "--run", "RUN"], 2, ["networks of its own"]),
    ],
)
def test_what_cannot_be_asked(ddpm, tmp_path, trained, arguments, code, words):
    typed = [trained if word == "RUN" else word for word in arguments]
    said = ddpm("lab", *typed, "--output-dir", tmp_path)
    assert said.code == code, said.err
    assert said.err.startswith("ddpm: error: ")
    assert all(word in said.err for word in words)


def test_data_that_are_gone(ddpm, run, tmp_path):
    """The run's own images are asked for, and where they are not there any more the flag that names others is said."""
    config = run / "config.json"
    values = json.loads(config.read_text())
    values["data"]["source"] = str(tmp_path / "gone")
    config.write_text(json.dumps(values))
    said = ddpm("lab", "Q22", "--run", run, "--output-dir", tmp_path)
    assert said.code == 66
    assert "the run's own data cannot be read" in said.err
    assert "--data SOURCE names other images" in said.err
    flags = ("--run", run, "--data", "digits", "--num-images", 3, "--output-dir", tmp_path)
    assert ddpm("lab", "Q22", *flags).code == 0  # the Gaussian is then of these images


def test_the_hints_hold(ddpm, trained, tmp_path, monkeypatch):
    """What is refused says what to type, and that works."""
    where = ("--output-dir", tmp_path)
    hint = ddpm("lab", "Q8", "--run", trained, *where).err.splitlines()[-1].removeprefix("hint: ddpm ")
    assert hint == "lab Q8"
    assert ddpm(*hint.split(), *where).code == 0
    assert "--run RUN names the run" in ddpm("lab", "Q25", "--num-images", 3, *where).err
    assert ddpm("lab", "Q25", "--num-images", 3, "--run", trained, *where).code == 0
    hint = ddpm("lab", "Q20", "--budget", "3m", *where).err.splitlines()[-1].removeprefix("hint: ddpm ")
    assert hint == "lab table-2 --budget 3m"
    few = {"steps": 1, "num_images": 2, "kinds": (ablation.PAPER, ablation.Kind("eps", "learned", "variational"))}
    monkeypatch.setattr(
        "ddpm.cli.laboratory.own_model.trained", lambda *given, **named: ablation.trained(*given, **named | few)
    )
    assert ddpm(*hint.split(), *where).code == 0
