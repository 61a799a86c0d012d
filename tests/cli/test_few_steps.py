"""Few steps on the command line: spacings, the best steps and variances for samples and bound, --first, --option, --compare."""

import json

import numpy as np
import pytest
from PIL import Image

import ddpm as public
from tests.cli.test_errors import _one_line
from tests.harness.commands import TINY


def _files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def test_the_best_steps_and_variances_are_measured_once(ddpm, run, tmp_path):
    flags = ("--num", 2, "--steps", 4, "--spacing", "optimal", "--variance", "optimal", "--json", "-")
    said = ddpm("sample", run, *flags, "--output-dir", tmp_path / "a")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert (result["steps"], result["evaluations"], result["variance"]) == (4, 4, "optimal")
    assert (result["spacing"], result["kept_steps"][-1], len(result["kept_steps"])) == ("optimal", 12, 4)
    (kept,) = (run / "curves").iterdir()
    values = json.loads(kept.read_text())
    assert len(values["mse_x_0"]) == len(values["sigma2_1"]) == len(values["L_0"]) == 12
    before = kept.stat().st_mtime_ns
    assert ddpm("sample", run, *flags, "--output-dir", tmp_path / "b").code == 0
    assert kept.stat().st_mtime_ns == before
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    kept.write_text(kept.read_text()[:100])  # damaged: measured again
    assert ddpm("sample", run, *flags, "--output-dir", tmp_path / "c").code == 0
    assert json.loads(kept.read_text()) == values
    assert ddpm("train", "--output-dir", run, "--data", "digits", "--resume", "auto", "--steps", 6).code in (0, 78)


def test_the_bound_of_a_short_chain(ddpm, run):
    """Every t of the short chain; the best steps and variances cost less than even ones with the large variance."""
    bits = {}
    for name, flags in {"best": ("--spacing", "optimal", "--variance", "optimal"), "even": ()}.items():
        said = ddpm(
            "evaluate",
            run,
            "--data",
            "digits",
            "--num-images",
            20,
            "--steps",
            4,
            *flags,
            "--weights",
            "raw",
            "--json",
            "-",
        )
        assert said.code == 0, said.err
        result = json.loads(said.out)
        assert result["T"] == 4
        assert len(result["steps"]) == 4
        assert result["steps"][-1] == 12
        assert len(result["bits_per_dim"]["L_t"]) == 3
        bits[name] = result["bits_per_dim"]["total"]
    assert bits["best"] < bits["even"]


def test_a_run_can_be_cut(ddpm, trained, tmp_path):
    common = ("sample", trained, "--sampler", "ddim", "--eta", 1)
    assert ddpm(*common, "--num", 5, "--output-dir", tmp_path / "whole").code == 0
    assert ddpm(*common, "--num", 2, "--output-dir", tmp_path / "a").code == 0
    assert ddpm(*common, "--num", 3, "--first", 2, "--output-dir", tmp_path / "b").code == 0
    assert _files(tmp_path / "a") | _files(tmp_path / "b") == _files(tmp_path / "whole")


def test_compare(ddpm, trained, tmp_path):
    flags = ("--num", 2, "--output-dir", tmp_path / "o", "--compare", tmp_path / "sheet.png", "--spacing", "log-snr")
    said = ddpm("sample", trained, *flags)
    assert said.code == 0, said.err
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("L"))
    assert pixels.shape[0] > pixels.shape[1]
    assert pixels.std() > 20


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--steps", 13), ("can keep 1..12",)),
        (("--steps", 13, "--spacing", "optimal"), ("can keep 1..12",)),
        (("--spacing", "log_snr", "--steps", 3), ("unknown spacing", "did you mean 'log-snr'")),
        (("--variance", "best"), ("unknown variance",)),
        (("--sampler", "heun", "--option", "order=3"), ("has no 'order'", "--sampler multistep has")),
        (("--sampler", "unipc", "--option", "order=2.5"), ("whole number",)),
        (("--sampler", "unipc", "--option", "order=4"), ("order must be 1, 2 or 3",)),
        (("--sampler", "corrected", "--option", "predictor=1"), ("has no 'predictor'",)),
        (("--option", "order=three"), ("NAME=NUMBER",)),
        (("--compare", "sheet.txt"), (".png",)),
        (("--first", "-1"), ("--first",)),
    ],
)
def test_what_is_refused(ddpm, trained, tmp_path, flags, words):
    said = ddpm("sample", trained, "--num", 1, "--output-dir", tmp_path / "o", *flags)
    _one_line(said, 2, *words)
    assert not (tmp_path / "o").exists()


def test_training_data_that_are_gone(ddpm, run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config))
    flags = ("--num", 1, "--output-dir", tmp_path / "o", "--variance", "optimal")
    _one_line(ddpm("sample", run, *flags), 66, "measured on the training data", "--set data.source=SOURCE")
    assert ddpm("sample", run, *flags, "--set", "data.source=digits").code == 0


@pytest.fixture
def some(monkeypatch):
    """Curves are measured at five of the twelve t."""
    monkeypatch.setattr("ddpm.trained.measured_curve.some_steps", lambda schedule: [12, 9, 6, 3, 1])


def test_the_cost_is_said_first_and_exact_measures_all(ddpm, run, tmp_path, some):
    flags = ("--num", 1, "--steps", 4, "--spacing", "optimal")
    said = ddpm("sample", run, *flags, "--output-dir", tmp_path / "a")
    assert said.code == 0, said.err
    assert "at 5 of 12 t on 128 training images, 640 evaluations of the network; --exact measures all" in said.err
    assert "that takes about" in said.err
    (kept,) = (run / "curves").iterdir()
    assert kept.name.endswith("-some.json")
    assert "evaluations of the network" not in ddpm("sample", run, *flags, "--output-dir", tmp_path / "b").err
    said = ddpm("sample", run, *flags, "--exact", "--output-dir", tmp_path / "c")
    assert "at 12 of 12 t" in said.err
    assert len(list((run / "curves").iterdir())) == 2
    model = public.load(run)
    exact = ddpm("evaluate", run, "--data", "digits", "--num-images", 2, "--variance", "optimal", "--json", "-")
    assert exact.code == 0
    called = model.bits_per_dim("digits", num_images=2, variance="optimal", exact=True, progress=False).total
    assert json.loads(exact.out)["bits_per_dim"]["total"] == called, "the curve of every t comes first"


def test_a_training_measures_it_at_its_end_if_asked(ddpm, run, some):
    said = ddpm("train", "--output-dir", run, *TINY, "--curve")
    assert said.code == 0, said.err
    assert "640 evaluations" in said.err
    (kept,) = (run / "curves").iterdir()
    assert "640 evaluations" not in ddpm("train", "--output-dir", run, *TINY, "--curve").err
    assert [path.name for path in (run / "curves").iterdir()] == [kept.name]
