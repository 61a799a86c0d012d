"""The commands as users type them: files, numbers, and the same result by another way."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.harness.commands import TINY


def _rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_run_folder_of_the_contract(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"config.json", "metrics.jsonl", "exit.json", "samples", "logs", "checkpoints"} <= names
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["step-000000003", "step-000000006"]
    files = {path.name for path in (trained / "checkpoints" / "step-000000006").iterdir()}
    assert files == {"model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json", "manifest.json"}
    assert (trained / "samples" / "step-000000006.png").exists()
    assert json.loads((trained / "exit.json").read_text())["code"] == 0
    rows = _rows(trained)
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    assert all({"step", "images", "seconds", "loss", "grad_norm", "lr"} <= row.keys() for row in rows)
    assert rows[-1]["images"] == 48
    assert math.isfinite(rows[-1]["bits_per_dim"])
    assert any((trained / "logs").iterdir())


def test_the_same_command_again_has_nothing_to_do(ddpm, run):
    before = (run / "metrics.jsonl").read_bytes()
    said = ddpm("train", "--output-dir", run, *TINY)
    assert said.code == 0
    assert "all 6 steps are done" in said.err
    assert (run / "metrics.jsonl").read_bytes() == before


def test_stopping_in_the_middle_changes_nothing(ddpm, tmp_path, trained, monkeypatch):
    """Ctrl-C after step 4, then the same command: weights, optimiser and log lines as in the run without a stop."""
    from ddpm.run.ending import Stop

    asked = []

    def after_four(stop):
        asked.append(None)
        if len(asked) == 4:
            stop.by = 2
        return stop.by != 0

    folder = tmp_path / "stopped"
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__call__", after_four)
        said = ddpm("train", "--output-dir", folder, *TINY)
    assert said.code == 130
    assert "the state of step 4 is saved" in said.err
    assert json.loads((folder / "exit.json").read_text())["code"] == 130
    said = ddpm("train", "--output-dir", folder, *TINY)
    assert said.code == 0
    assert "going on from step 4" in said.err
    last = "checkpoints/step-000000006"
    for name in ("model", "ema", "optimizer"):
        assert (folder / last / f"{name}.safetensors").read_bytes() == (
            trained / last / f"{name}.safetensors"
        ).read_bytes()
    for ours, theirs in zip(_rows(folder), _rows(trained), strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_sample(ddpm, trained, tmp_path):
    out = tmp_path / "out"
    said = ddpm(
        *("sample", trained, "--num", 5, "--output-dir", out, "--batch-size", 2, "--json", tmp_path / "s.json"),
        *("--grid", tmp_path / "grid.png", "--animation", tmp_path / "a.gif", "--npz", tmp_path / "s.npz"),
        *("--progressive", tmp_path / "p.png"),
    )
    assert said.code == 0, said.err
    assert sorted(path.name for path in out.iterdir()) == [f"{i:06d}.png" for i in range(5)]
    images = np.load(tmp_path / "s.npz")["arr_0"]
    assert images.shape == (5, 8, 8, 1)
    assert images.dtype == np.uint8
    assert images.max() <= 16
    assert (_pixels(out / "000003.png") == (images[3, :, :, 0] * 15.9375).round()).all()
    with Image.open(tmp_path / "a.gif") as moving:
        assert moving.n_frames > 5
    assert _pixels(tmp_path / "grid.png").shape[1] > 100
    assert _pixels(tmp_path / "p.png").shape[1] > 300
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["images"] == 5
    assert written["weights"] == "ema"
    assert f"json: {tmp_path / 's.json'}" in said.out
    flags = ("--steps", 4, "--sampler", "ddim", "--first", 5, "--json", "-")
    written = json.loads(ddpm("sample", trained, "--num", 1, "--output-dir", tmp_path / "few", *flags).out)
    assert (written["kept_steps"], written["spacing"], written["first"]) == ([1, 5, 8, 12], "uniform", 5)
    assert (written["variance"], written["options"]) == (None, {"eta": 0.0})


def test_an_image_depends_on_its_seed_alone(ddpm, trained, tmp_path):
    for name, size in (("a", 1), ("b", 4)):
        assert ddpm("sample", trained, "--num", 4, "--batch-size", size, "--output-dir", tmp_path / name).code == 0
    for i in range(4):
        assert (tmp_path / "a" / f"{i:06d}.png").read_bytes() == (tmp_path / "b" / f"{i:06d}.png").read_bytes()
    assert ddpm("sample", trained, "--num", 1, "--seed", 1, "--output-dir", tmp_path / "c").code == 0
    assert (_pixels(tmp_path / "c" / "000000.png") != _pixels(tmp_path / "a" / "000000.png")).any()


@pytest.mark.parametrize(
    "flags",
    [
        ["--sampler", "ddim", "--steps", "5"],
        ["--sampler", "ddim", "--eta", "1"],
        ["--steps", "1"],
        ["--weights", "raw"],
    ],
)
def test_ways_to_sample(ddpm, trained, tmp_path, flags):
    assert ddpm("sample", trained, "--num", 2, "--output-dir", tmp_path / "out", *flags).code == 0


def test_evaluate(ddpm, trained, tmp_path):
    said = ddpm(
        *("evaluate", trained, "--data", "digits", "--num-images", 20, "--metrics", "bpd,rate-distortion"),
        *("--json", tmp_path / "e.json", "--plot", tmp_path / "e.png"),
    )
    assert said.code == 0, said.err
    result = json.loads((tmp_path / "e.json").read_text())
    bits = result["bits_per_dim"]
    assert (result["images"], result["dims"], result["T"], result["weights"]) == (20, 64, 12, "ema")
    assert result["decoder_variance"]
    assert len(bits["L_t"]) == 11
    assert len(bits["mse_eps"]) == 12
    assert bits["total"] == pytest.approx(bits["L_T"] + sum(bits["L_t"]) + bits["L_0"])
    curve = result["rate_distortion"]
    assert [point["t"] for point in curve] == list(range(12, 0, -1))
    assert curve[-1]["rate_bits_per_dim"] + bits["L_0"] == pytest.approx(bits["total"])
    assert f"{bits['total']:.4f}" in said.out
    parts = ddpm("evaluate", trained, "--data", "digits", "--num-images", 20, "--batch-size", 7, "--json", "-")
    assert json.loads(parts.out)["bits_per_dim"]["total"] == pytest.approx(bits["total"], rel=1e-5)
    one = trained / "checkpoints" / "step-000000003"
    assert ddpm("evaluate", one, "--data", "digits", "--num-images", 2).code == 0


def test_interpolate(ddpm, trained, tmp_path):
    for i, value in enumerate((0, 255)):
        Image.new("L", (8, 8), value).save(tmp_path / f"{i}.png")
    ends = tmp_path / "0.png", tmp_path / "1.png"
    said = ddpm("interpolate", trained, *ends, "--timestep", 0, "--num", 3, "--output-dir", tmp_path / "out")
    assert said.code == 0, said.err
    middle = _pixels(tmp_path / "out" / "000001.png")
    assert np.abs(middle.astype(int) - 128).max() <= 8
    assert _pixels(tmp_path / "out" / "000002.png").min() == 255
    assert ddpm("interpolate", trained, *ends, "--timestep", 12, "--num", 3, "--output-dir", tmp_path / "b").code == 0
    assert ddpm("interpolate", trained, *ends, "--timestep", 13, "--output-dir", tmp_path / "c").code == 2
    Image.new("L", (20, 16), 255).save(tmp_path / "large.png")
    said = ddpm(
        "interpolate", trained, ends[0], tmp_path / "large.png", "--timestep", 0, "--output-dir", tmp_path / "d"
    )
    assert said.code == 0
    assert "20x16 pixels, not 8x8" in said.err
    assert "scaled and cut" in said.err


def test_schedule(ddpm, trained, tmp_path, reference):
    said = ddpm("schedule", "linear", "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png")
    assert said.code == 0
    tables = json.loads((tmp_path / "s.json").read_text())
    expected = reference["schedules"]["linear_1000"]["t"]["500"]
    assert tables["alpha_bar"][499] == pytest.approx(float(expected["abar"]), rel=1e-12)
    assert tables["L_T_bits_per_dim"]["x_0^2=0.25"] == pytest.approx(7.27867696388454e-6, rel=1e-10)
    assert "7.279e-06" in said.out
    assert (tmp_path / "s.png").stat().st_size > 10_000
    assert "T = 12" in ddpm("schedule", trained).out


def test_one_image_has_no_standard_error(ddpm, trained):
    said = ddpm("evaluate", trained, "--data", "digits", "--num-images", 1, "--json", "-")
    assert json.loads(said.out)["bits_per_dim"]["stderr"] is None
    assert "no standard error" in said.err


def test_no_file_of_the_current_folder_is_a_font(ddpm, run, tmp_path, monkeypatch):
    """Matplotlib once took a file named `bb` for the font of a blackboard bold E."""
    for name in ("bb", "cal", "rm", "it", "sf", "tt"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert ddpm("train", "--output-dir", run, *TINY).code == 0


def test_a_warning_is_one_line(ddpm):
    warnings.simplefilter("default")
    said = ddpm("schedule", "linear", "--steps", 10)
    assert said.code == 0
    (line,) = said.err.splitlines()
    assert line.startswith("ddpm: warning: alpha_bar_T = 0.9037 leaves signal")


def test_data(ddpm, tmp_path):
    said = ddpm("data", "digits")
    assert said.code == 0
    assert "1,797 images (1,497 to train on, 300 held out)" in said.out
    assert "17 levels" in said.out
    for i in range(3):
        Image.new("RGB", (4, 4 + i // 2)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.jpg").write_bytes(b"no")
    said = ddpm("data", tmp_path, "--json", "-")
    assert said.code == 0
    assert "2 sizes" in said.err
    assert "bad.jpg" in said.err
    found = json.loads(said.out)
    assert [b["file"] for b in found["broken"]] == ["bad.jpg"]


def test_data_and_training_count_classes_alike(ddpm, tmp_path):
    """A class is every number up to the highest, as the network is told them; an unknown class is none."""
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 3 * 2
    images[0], labels[7] = 255, -1
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    said = ddpm("data", tmp_path / "a.npz", "--json", tmp_path / "a.json")
    assert "; 5 classes, 3 of them in use\n" in said.out
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["classes"], found["classes_in_use"]) == (5, 3)
    more = ("--conditional", "--steps", 1)
    said = ddpm("train", "--data", tmp_path / "a.npz", "--output-dir", tmp_path / "run", *TINY[2:], *more)
    assert "of 5 classes, 3 of them in use (0 " in said.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["classes"] == 5


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_data_of_12_bits_in_16_are_seen(ddpm, tmp_path, kind):
    source = tmp_path / kind
    values = np.random.RandomState(0).randint(0, 4096, (9, 8, 8)).astype(np.uint16)
    values[0, 0, 0] = 4095
    if kind == "npz":
        source = tmp_path / "a.npz"
        np.savez(source, images=values)
    else:
        source.mkdir()
        for i, image in enumerate(values):
            Image.fromarray(image).save(source / f"{i}.png")
    line = "the values use 12 of 16 bits: to train on these alone, --set data.levels=4096\n"
    assert line in ddpm("data", source).out
    more = ("--steps", 1, "--set", "data.levels=4096")
    said = ddpm("train", "--data", source, "--output-dir", tmp_path / "run", *TINY[2:], *more)
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["levels"] == 4096
    assert "16 bits" not in ddpm("data", "digits").out


def test_a_folder_of_odd_pictures_from_end_to_end(ddpm, tmp_path):
    """RGB, 13 x 9, broken ones left out, flips, the default preset made small."""
    data = tmp_path / "data"
    data.mkdir()
    random = np.random.RandomState(0)
    for i in range(30):
        pixels = random.randint(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / f"{i}.png")
    (data / "x.png").write_bytes(b"broken")
    run = tmp_path / "run"
    said = ddpm(
        *("train", "--data", data, "--output-dir", run, "--steps", 2, "--batch-size", 2),
        *("--set", "data.resolution=13,9", "--set", "data.max_broken=0.1", "--set", "model.channels=8"),
        *("--set", "model.groups=4", "--set", "schedule.T=40", "--set", "schedule.options.beta_T=0.4"),
        *("--set", "rhythm.images=2", "--set", "rhythm.samples=2"),
    )
    assert said.code == 0, said.err
    assert ddpm("sample", run, "--num", 1, "--output-dir", tmp_path / "out").code == 0
    assert _pixels(tmp_path / "out" / "000000.png").shape == (13, 9, 3)
    assert ddpm("evaluate", run, "--data", data, "--num-images", 1).code == 0


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_readme_commands_are_understood(name):
    """Every `ddpm ...` line of a README parses, and those that train make an experiment."""
    from ddpm.cli.parser import parse
    from ddpm.cli.train import experiment_of

    text = (Path(__file__).resolve().parents[2] / name).read_text(encoding="utf-8")
    lines = [line.split("#")[0].split() for line in text.splitlines() if line.startswith(".venv/bin/ddpm ")]
    assert len(lines) >= 6
    for words in lines:
        options = parse(words[1:])
        if options.command == "train":
            experiment_of(options)


@pytest.mark.slow
def test_demo(ddpm, tmp_path, monkeypatch):
    """A demo of two seconds, of a small network on a chain of 12 steps to save time: every file of it."""
    from ddpm.experiment import presets
    from ddpm.experiment.config import ScheduleConfig

    digits = presets.digits()
    small = replace(digits.model, channels=8, multipliers=(1, 2), blocks=1, groups=4, attention=())
    short = replace(digits, model=small, schedule=ScheduleConfig("log-snr", T=12))
    monkeypatch.setattr(presets, "digits", lambda: short)
    folder = tmp_path / "demo"
    said = ddpm("demo", "--output-dir", folder, "--budget", 2)
    assert said.code == 0, said.err
    assert "bits/dim on 300 held-out digits" in said.out
    assert "report.html" in said.out
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["images"] == 300
    assert 1.5 < result["bits_per_dim"]["total"] < 8
    assert len(result["rate_distortion"]) == result["T"]
    assert _pixels(folder / "samples.png").shape[0] > 300
    page = (folder / "report.html").read_text()
    assert page.count("<section id=") == 6
    assert f"{result['bits_per_dim']['total']:.3f}" in page


def test_a_demo_is_not_made_of_another_run(ddpm, trained, tmp_path):
    import shutil

    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"preset": "digits"', '"preset": "mnist"'))
    said = ddpm("demo", "--output-dir", tmp_path / "run")
    assert said.code == 78
    assert "not a demo" in said.err


@pytest.mark.long
def test_a_compiled_network_trains(tmp_path):
    """torch.compile, in a process without run-time shape checks: it ends, and its loss is that of the plain network."""
    import subprocess
    import sys

    losses = []
    for compiled in ("false", "true"):
        folder = tmp_path / compiled
        command = [
            sys.executable,
            "-m",
            "ddpm",
            "train",
            "--output-dir",
            str(folder),
            *TINY,
            "--set",
            f"compile={compiled}",
        ]
        subprocess.run(command, check=True, capture_output=True)
        losses.append(_rows(folder)[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
