"""A new run that begins with the weights of another one: what is kept, what is new, and what does not fit."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as face
from ddpm import checkpoints
from ddpm.checkpoints import read
from ddpm.run.folder import RunFolder
from ddpm.trained.loaded import load_run
from tests.harness.commands import TINY

SHORT = ["--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0", "--steps", "2"]


def weights_of(run, step, group):
    return read(run / "checkpoints" / checkpoints.folder_name(step)).tensors[group]


def written(folder, classes, channels=1):
    """Random pictures in folders of classes."""
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(6):
            pixels = random.integers(0, 256, (8, 8, channels), np.uint8).squeeze()
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def other(tmp_path):
    """Other data, grey and of the same size."""
    return written(tmp_path / "other", ["new"])


def test_it_begins_at_step_0_with_the_average(ddpm, trained, other, tmp_path):
    """The average, and with the learning rate at 0 that is what stays; all but the data is as it was; the source is recorded."""
    new = tmp_path / "new"
    flags = ["--set", "training.warmup=1000000000", *SHORT]
    said = ddpm("train", "--init-from", trained, "--data", other, "--output-dir", new, *flags, "--lr", "1e-9")
    assert (said.code, f"begins with the weights 'ema' of step 6 of {trained}" in said.err) == (0, True)
    ema = weights_of(trained, 6, "ema")
    for group in ("model", "ema"):
        found = weights_of(new, 2, group)
        assert all(torch.allclose(found[name], ema[name], atol=1e-7) for name in ema)
    raw = weights_of(trained, 6, "model")
    assert not all(torch.allclose(raw[name], ema[name], atol=1e-7) for name in ema)
    old, now = (json.loads((run / "config.json").read_text()) for run in (trained, new))
    assert all(old[part] == now[part] for part in ("preset", "schedule", "process", "model", "objective"))
    assert (now["data"]["levels"], now["data"]["source"]) == (256, str(other))
    assert now["init"] == {
        "path": str(trained),
        "step": 6,
        "weights": "ema",
        "digest": load_run(str(trained), "ema", torch.device("cpu")).digest,
    }


def test_the_call_does_the_same(ddpm, trained, other, tmp_path):
    """And the same command again goes on, also when the source has gone; other weights are refused."""
    source = shutil.copytree(trained, tmp_path / "source")
    command = [
        "--init-from",
        source,
        "--init-weights",
        "raw",
        "--data",
        other,
        *SHORT[:-2],
        "--set",
        "training.decay=constant",
    ]
    assert ddpm("train", *command, "--output-dir", tmp_path / "a", "--steps", "1").code == 0
    shutil.move(source, tmp_path / "moved")
    assert ddpm("train", *command, "--output-dir", tmp_path / "a", "--steps", "2").code == 0
    assert ddpm("train", "--output-dir", tmp_path / "a", "--steps", "3").code == 0
    quiet = {"rhythm.evaluate": 0, "rhythm.sample": 0, "training.decay": "constant"}
    begun = {"init_from": tmp_path / "moved", "init_weights": "raw", "settings": quiet}
    with pytest.warns(face.RunWarning, match=r"data\.levels: 17 -> 256"):
        face.fit(str(other), tmp_path / "b", steps=3, progress=False, **begun)
    for group in ("model", "ema", "optimizer"):
        ours, theirs = (weights_of(tmp_path / run, 3, group) for run in "ab")
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    said = ddpm("train", "--init-from", tmp_path / "moved", "--data", other, "--output-dir", tmp_path / "a")
    assert (said.code, "began with other weights" in said.err) == (78, True)


def test_classes_are_matched_by_their_names(ddpm, tmp_path):
    """A known class keeps its row wherever it stands now; a new one begins at 0; one that is left out is named."""
    old, data = tmp_path / "old", written(tmp_path / "ab", ["a", "b"])
    assert ddpm("train", "--output-dir", old, *TINY, *SHORT, "--data", data, "--conditional").code == 0
    more = written(tmp_path / "more", ["b", "c", "d"])
    flags = ["--data", more, "--set", "training.warmup=1000000000", "--lr", "1e-12", *SHORT]
    said = ddpm("train", "--init-from", old, "--output-dir", tmp_path / "new", *flags)
    assert said.code == 0
    assert "classes that the weights do not know, which begin at 0: c, d" in said.err
    assert "classes that are left out: a" in said.err
    before, after = weights_of(old, 2, "ema")["label.weight"], weights_of(tmp_path / "new", 2, "ema")["label.weight"]
    expected = torch.stack([before[1], torch.zeros_like(before[1]), torch.zeros_like(before[1])])
    assert torch.allclose(after, expected, atol=1e-9)
    assert RunFolder(tmp_path / "new").read_experiment().classes == ("b", "c", "d")
    said = ddpm("train", "--init-from", old, "--output-dir", tmp_path / "none", *flags, "--set", "model.classes=0")
    assert (said.code, "classes that are left out: a, b" in said.err) == (0, True)


def test_a_network_without_classes_learns_some(ddpm, trained, other, tmp_path):
    """At the first step it says of each what it said of all."""
    new = tmp_path / "new"
    flags = ["--data", other, "--conditional", "--lr", "1e-12", *SHORT]
    assert ddpm("train", "--init-from", trained, "--output-dir", new, *flags).code == 0
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 9])
    ours, theirs = face.load(new).network, face.load(trained).network
    with torch.no_grad():
        assert torch.allclose(ours(x_t, t, torch.tensor([0, 0])), theirs(x_t, t), atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "model.channels=16"], ["model.channels: 8 there, 16 here", "time.0.weight is (32, 8) there"]),
        (["--set", "model.multipliers=1,2,2"], ["model.multipliers: (1, 2) there, (1, 2, 2) here"]),
        (["--variance", "fixed-small", "--objective", "simple"], ["process.variance: learned there, fixed-small here"]),
        (["--preset", "small"], ["model.channels: 8 there, 64 here"]),
    ],
    ids=["width", "levels", "variance", "preset"],
)
def test_what_does_not_fit_is_named(ddpm, trained, other, tmp_path, flags, words):
    """Before anything is made."""
    new = tmp_path / "new"
    said = ddpm("train", "--init-from", trained, "--data", other, "--output-dir", new, *flags, *SHORT)
    assert said.code == 78
    assert all(word in said.err for word in ["do not fit", *words]), said.err
    assert not new.exists()


def test_colour_for_grey_is_named_and_the_hint_works(ddpm, trained, tmp_path):
    data, new = written(tmp_path / "colour", ["x"], channels=3), tmp_path / "new"
    command = ["train", "--init-from", trained, "--data", data, "--output-dir", new, *SHORT]
    said = ddpm(*command)
    assert (said.code, "hint: --set data.channels=1 reads" in said.err) == (78, True)
    assert ddpm(*command, "--set", "data.channels=1").code == 0


def test_what_is_read_otherwise_is_said(ddpm, trained, other, tmp_path):
    """It fits, and means something else: nothing is refused, all is told."""
    flags = ["--prediction", "v", "--set", "schedule.T=20", *SHORT]
    said = ddpm("train", "--init-from", trained, "--data", other, "--output-dir", tmp_path / "new", *flags)
    assert said.code == 0
    for word in ("process.prediction: eps -> v", "schedule.T: 12 -> 20", "data.levels: 17 -> 256"):
        assert word in said.err


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--init-from", "gone"], 66, "no such run"),
        (["--init-from", "{run}", "--init-weights", "best"], 2, "unknown weights: 'best'"),
        (["--init-from", "{run}", "--resume", "{run}"], 2, "exclude each other"),
        (["--set", "init.path=x"], 2, "--init-from RUN"),
    ],
    ids=["gone", "weights", "both", "set"],
)
def test_what_makes_no_beginning(ddpm, trained, tmp_path, flags, code, words):
    flags = [flag.format(run=trained) for flag in flags]
    said = ddpm("train", "--data", "digits", "--output-dir", tmp_path / "new", *flags)
    assert (said.code, words in said.err) == (code, True), said.err
    assert not (tmp_path / "new").exists()


def test_a_run_that_began_anew_is_not_begun_otherwise(ddpm, run, trained):
    """Its folder is taken: --init-from does not replace what it has learned."""
    said = ddpm("train", "--data", "digits", "--output-dir", run, "--init-from", trained)
    assert (said.code, "began with other weights: new ones" in said.err) == (78, True)


def test_a_damaged_source_is_no_beginning(ddpm, run, other, tmp_path):
    path = run / "checkpoints" / checkpoints.folder_name(6)
    (path / "ema.safetensors").write_bytes(b"no")
    new = tmp_path / "new"
    assert ddpm("train", "--init-from", path, "--data", other, "--output-dir", new).code == 65
    assert not new.exists()


def test_of_a_source_with_damage_the_older_weights_are_said(ddpm, run, other, tmp_path):
    """Once; and not where the source has only gone on since."""
    damaged, new = run / "checkpoints" / checkpoints.folder_name(6) / "manifest.json", tmp_path / "new"
    whole = damaged.read_text()
    damaged.write_text("{}")
    said = ddpm("train", "--init-from", run, "--data", other, "--output-dir", new, *SHORT)
    assert said.code == 0, said.err
    assert said.err.count(f"passed over: damaged checkpoint: {damaged}") == 1
    assert f"begins with the weights 'ema' of step 3 of {run}" in said.err
    damaged.write_text(whole)
    shutil.rmtree(new / "checkpoints")
    (new / "metrics.jsonl").unlink()
    said = ddpm("train", "--output-dir", new)
    assert (said.code, "passed over: damaged" in said.err) == (0, False), said.err
    assert f"begins with the weights 'ema' of step 3 of {run}" in said.err
