"""Models with classes as users type them: trained, stopped, sampled, scored; and what cannot be asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.figures.pictures import text_of
from ddpm.trained import measured_curve
from ddpm.trained.interpolate import ENCODINGS, interpolate
from ddpm.trained.labels import asked
from ddpm.trained.loaded import load_run
from tests.harness.commands import TINY

CONDITIONAL = [*TINY, "--conditional"]


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A run of six steps on digits with their labels."""
    from ddpm.cli import main

    folder = tmp_path_factory.mktemp("conditional") / "run"
    assert main(["train", "--output-dir", str(folder), *CONDITIONAL]) == 0
    return folder


def _config(folder):
    return json.loads((folder / "config.json").read_text())


def _refused(said, code, *words):
    assert said.code == code, said.err
    assert said.err.startswith("ddpm: error: ")
    assert all(word in said.err for word in words), said.err


def test_the_classes_are_those_of_the_data(ddpm, conditional, trained):
    assert _config(conditional)["model"]["classes"] == 10
    assert _config(trained)["model"]["classes"] == 0
    said = ddpm("train", "--output-dir", conditional, *CONDITIONAL)
    assert said.code == 0, said.err
    assert "all 6 steps are done" in said.err
    unconditional = ("train", "--output-dir", conditional, "--set", "model.classes=0")
    _refused(ddpm(*unconditional), 78, "model.classes: 10 -> 0")
    with Image.open(conditional / "samples" / "step-000000006.png") as preview:
        assert preview.size[0] < preview.size[1] * 2


def test_stopping_in_the_middle_changes_nothing(ddpm, conditional, tmp_path):
    flags = [*CONDITIONAL, "--set", "training.decay=constant"]
    half = list(flags)
    half[half.index("--steps") + 1] = "3"
    for folder, arguments in ((tmp_path / "a", half), (tmp_path / "a", flags), (tmp_path / "b", flags)):
        assert ddpm("train", "--output-dir", folder, *arguments).code == 0
    for name in ("model", "ema", "optimizer"):
        last = f"checkpoints/step-000000006/{name}.safetensors"
        assert (tmp_path / "a" / last).read_bytes() == (tmp_path / "b" / last).read_bytes()


def test_a_run_of_before_there_were_classes(ddpm, trained, tmp_path):
    """Its config.json does not have the fields: it opens, draws the same images, and is the same experiment."""
    import shutil

    old = tmp_path / "old"
    shutil.copytree(trained, old)
    config = _config(old)
    del config["training"]["label_dropout"], config["data"]["class_names"]
    (old / "config.json").write_text(json.dumps(config))
    for run, out in ((old, "a"), (trained, "b")):
        assert (
            ddpm("sample", run, "--num", 2, "--output-dir", tmp_path / out, "--json", tmp_path / f"{out}.json").code
            == 0
        )
    for i in range(2):
        assert (tmp_path / "a" / f"{i:06d}.png").read_bytes() == (tmp_path / "b" / f"{i:06d}.png").read_bytes()
    assert "labels" not in json.loads((tmp_path / "a.json").read_text())
    assert "all 6 steps are done" in ddpm("train", "--output-dir", old, *TINY).err


def _drawn(ddpm, run, folder, *flags):
    said = ddpm(
        *("sample", run, "--num", 5, "--steps", 3, "--output-dir", folder, "--npz", folder.with_suffix(".npz")),
        *("--json", folder.with_suffix(".json"), *flags),
    )
    assert said.code == 0, said.err
    return json.loads(folder.with_suffix(".json").read_text()), dict(np.load(folder.with_suffix(".npz")))


def test_labels_go_round(ddpm, conditional, tmp_path):
    said, arrays = _drawn(ddpm, conditional, tmp_path / "a", "--label", "7, 2", "--guidance", 2)
    assert said["labels"] == arrays["arr_1"].tolist() == [7, 2, 7, 2, 7]
    assert said["classes"] == ["7", "2", "7", "2", "7"]
    assert (said["guidance"], said["guidance_interval"]) == (2, None)
    one = json.loads(text_of(tmp_path / "a" / "000003.png"))
    assert (one["number"], one["label"], one["guidance"], one["seed"]) == (3, 2, 2, 0)
    every, arrays = _drawn(ddpm, conditional, tmp_path / "b")
    assert every["labels"] == arrays["arr_1"].tolist() == [0, 1, 2, 3, 4]
    nothing, arrays = _drawn(ddpm, conditional, tmp_path / "c", "--label", "none")
    assert nothing["labels"] is None
    assert "arr_1" not in arrays


def test_the_samples_are_data_again(ddpm, conditional, tmp_path):
    """--npz with labels is a source with labels."""
    _drawn(ddpm, conditional, tmp_path / "a", "--label", "1,0")
    said = ddpm("data", tmp_path / "a.npz")
    assert "; 10 classes, 2 of them in use (0, 1, " in said.out


def test_an_image_depends_on_its_seed_and_its_label_alone(ddpm, conditional, tmp_path):
    flags = ["--label", "all", "--guidance", 2.5, "--guidance-interval", "2,9"]
    for name, size in (("a", 1), ("b", 3)):
        _drawn(ddpm, conditional, tmp_path / name, "--batch-size", size, *flags)
    for i in range(5):
        assert (tmp_path / "a" / f"{i:06d}.png").read_bytes() == (tmp_path / "b" / f"{i:06d}.png").read_bytes()


def test_scoring(ddpm, conditional, trained, tmp_path):
    def scored(run, *flags):
        path = tmp_path / "e.json"
        said = ddpm("evaluate", run, "--data", "digits", "--num-images", 4, "--json", path, *flags)
        assert said.code == 0, said.err
        return said.out, json.loads(path.read_text())["label"]

    out, label = scored(conditional)
    assert label == "own"
    assert "each given its label" in out
    out, label = scored(conditional, "--label", "none")
    assert label == "none"
    assert "given no label" in out
    out, label = scored(conditional, "--label", "3")
    assert label == "3"
    assert "given the label '3'" in out
    out, label = scored(trained)
    assert label is None
    assert "label" not in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--label", "10"], ["'10'", "0, 1, 2"]),
        (["--label", "3,cat"], ["'cat'"]),
        (["--label", ""], ["''"]),
        (["--label", "none", "--guidance", "2"], ["--guidance", "none"]),
        (["--guidance", "nan"], ["finite"]),
        (["--guidance", "much"], ["--guidance", "'much'"]),
        (["--guidance-interval", "2,9"], ["--guidance-interval needs --guidance"]),
        (["--guidance", "2", "--guidance-interval", "9,2"], ["'9,2'", "<= 12"]),
        (["--guidance", "2", "--guidance-interval", "2,13"], ["'2,13'", "<= 12"]),
        (["--guidance", "2", "--guidance-interval", "2"], ["'2'"]),
    ],
)
def test_what_cannot_be_drawn(ddpm, conditional, tmp_path, flags, words):
    said = ddpm("sample", conditional, "--num", 2, "--output-dir", tmp_path / "out", *flags)
    _refused(said, 2, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flags", [["--label", "3"], ["--guidance", "2"], ["--guidance-interval", "1,2"]])
def test_a_model_without_classes(ddpm, trained, tmp_path, flags):
    _refused(ddpm("sample", trained, "--num", 2, "--output-dir", tmp_path, *flags), 2, flags[0], "--conditional")


def test_labels_of_evaluation(ddpm, conditional, trained, tmp_path):
    scores = ["--data", "digits", "--num-images", 2]
    _refused(ddpm("evaluate", trained, *scores, "--label", "own"), 2, "no classes")
    _refused(ddpm("evaluate", conditional, *scores, "--label", "cat"), 2, "'cat'")
    np.savez(tmp_path / "bare.npz", images=np.zeros((3, 8, 8), np.uint8), levels=17)
    bare = ["--data", tmp_path / "bare.npz", "--split", "all"]
    _refused(ddpm("evaluate", conditional, *bare), 78, "bare.npz", "--label none")
    assert ddpm("evaluate", conditional, *bare, "--label", "none").code == 0


def test_a_model_that_always_saw_labels(ddpm, tmp_path):
    """Nothing was learned for no label: it cannot be asked for, nor guided away from."""
    run = tmp_path / "run"
    always = ["--set", "training.label_dropout=0", "--steps", "1"]
    assert ddpm("train", "--output-dir", run, *CONDITIONAL, *always).code == 0
    for flags in (["--label", "none"], ["--guidance", "2"]):
        said = ddpm("sample", run, "--num", 1, "--output-dir", tmp_path / "out", *flags)
        _refused(said, 2, flags[0], "label_dropout = 0")
    assert ddpm("sample", run, "--num", 1, "--steps", 2, "--output-dir", tmp_path / "out", "--guidance", 1).code == 0


def _arrays(path, **more):
    np.savez(path, x_train=np.zeros((9, 8, 8), np.uint8), x_test=np.zeros((3, 8, 8), np.uint8), levels=17, **more)
    return path


def test_data_that_have_no_labels(ddpm, tmp_path):
    path = _arrays(tmp_path / "bare.npz")
    arguments = [
        str(path) if a == "digits" and CONDITIONAL[i - 1] == "--data" else a for i, a in enumerate(CONDITIONAL)
    ]
    _refused(ddpm("train", "--output-dir", tmp_path / "run", *arguments), 2, "bare.npz", "no labels")
    _arrays(path, y_train=np.arange(9) % 3, y_test=np.array([0, 1, 4]))
    _refused(ddpm("train", "--output-dir", tmp_path / "run", *arguments), 78, "'4'")
    assert not (tmp_path / "run").exists()


def test_other_labels_are_other_data(ddpm, tmp_path):
    path = _arrays(tmp_path / "set.npz", y_train=np.arange(9) % 3, y_test=np.arange(3))
    arguments = [
        str(path) if a == "digits" and CONDITIONAL[i - 1] == "--data" else a for i, a in enumerate(CONDITIONAL)
    ]
    assert ddpm("train", "--output-dir", tmp_path / "run", *arguments).code == 0
    _arrays(path, y_train=np.arange(9) % 3 * -1 % 3, y_test=np.arange(3))
    _refused(ddpm("train", "--output-dir", tmp_path / "run", *arguments), 78, "no longer those")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("label", "told"), [("3", 3), ("none", -1)])
def test_a_way_between_two_images_is_told_one_class(conditional, encoding, label, told):
    trained, seen = load_run(str(conditional), "ema", torch.device("cpu")), []

    def heard(x_t, timestep, *labels):
        seen.extend(labels or [torch.full((len(x_t),), -1)])
        return trained.process.network(x_t, timestep, *labels)

    listening = replace(trained, process=replace(trained.process, network=heard))
    condition = asked(trained.experiment, label, None, None)
    ends = tuple(torch.zeros(2, 1, 1, 8, 8))
    *_, last = interpolate(listening, ends, 2, 5, 0, encoding, condition=condition)[1]
    assert last.x.shape == (5, 1, 8, 8)
    assert {len(labels) for labels in seen} == ({2, 5} if encoding == "deterministic" else {5})
    assert torch.cat(seen).unique().tolist() == [told]


def test_a_way_is_not_told_two_classes(ddpm, conditional, tmp_path):
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    base = ("interpolate", conditional, image, image, "--timestep", 2, "--output-dir", tmp_path / "way")
    _refused(ddpm(*base, "--label", "1,2"), 2, "one class as label")
    assert ddpm(*base, "--label", "1", "--guidance", "2").code == 0


def test_classes_by_name(ddpm, tmp_path, monkeypatch):
    """Folders of images: their names are kept with the run, and asked for."""
    random = np.random.default_rng(0)
    for name in ("cat", "ape, great"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / "set" / name / f"{i}.png")
    assert "2 classes (ape, great, cat)" in ddpm("data", tmp_path / "set").out
    run = tmp_path / "run"
    arguments = [
        str(tmp_path / "set") if a == "digits" and CONDITIONAL[i - 1] == "--data" else a
        for i, a in enumerate(CONDITIONAL)
    ]
    said = ddpm("train", "--output-dir", run, *arguments, "--steps", 2)
    assert said.code == 0, said.err
    assert _config(run)["data"]["class_names"] == ["ape, great", "cat"]
    drawn, _ = _drawn(ddpm, run, tmp_path / "out", "--label", "cat,0")
    assert drawn["classes"] == ["cat", "ape, great", "cat", "ape, great", "cat"]
    assert drawn["labels"] == [1, 0, 1, 0, 1]
    drawn, _ = _drawn(ddpm, run, tmp_path / "apes", "--label", "ape, great")
    assert drawn["labels"] == [0, 0, 0, 0, 0]
    _refused(ddpm("sample", run, "--num", 1, "--output-dir", tmp_path / "o", "--label", "bat"), 2, "did you mean 'cat'")
    assert ddpm("train", "--output-dir", run, *arguments, "--steps", 2).code == 0
    monkeypatch.setattr(measured_curve, "IMAGES", 8)  # half of them, which are in the order of their classes
    assert set(measured_curve.images_for_curve(load_run(str(run), "ema", torch.device("cpu"))).labels.tolist()) == {
        0,
        1,
    }
    scores = ("evaluate", run, "--data", tmp_path / "set", "--split", "train", "--evaluations", 2, "--num-images")
    assert "the first 3 are of 1 of 2 classes" in ddpm(*scores, 3).err
    assert "classes" not in ddpm(*scores, 16).err
