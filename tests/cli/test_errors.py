"""Bad input: one clear line, the right exit code, nothing touched."""

import ast
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import ddpm.run.train as ddpm_train
from ddpm.data.sources import hub
from ddpm.errors import (
    CannotCreate,
    Failure,
    Interrupted,
    NotFound,
    OutOfResources,
    StorageError,
    ending_of,
    explained,
    in_json,
)
from tests.harness.commands import TINY


def _one_line(said, code, *words):
    """One line `ddpm: error: ...` and at most three hints."""
    lines = [line for line in said.err.splitlines() if line]
    assert said.code == code, said.err
    assert len([line for line in lines if line.startswith("ddpm: error: ")]) == 1, said.err
    assert sum(line.startswith("hint: ") for line in lines) <= 3
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


def _train(ddpm, folder, *more):
    return ddpm("train", "--output-dir", folder, *TINY, *more)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "digits"], ["--output-dir"]),
        (["train", "--data", "digits", "--output-dir", "x", "--steps", "0"], ["--steps", "at least 1", "'0'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--steps", "many"], ["'many'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--stpes", "5"], ["--stpes", "did you mean --steps"]),
        (["train", "--data", "digits", "--output-dir", "x", "--preset", "digit"], ["'digit'", "did you mean 'digits'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--schedule", "cosin"], ["did you mean 'cosine'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--precision", "int8"], ["'int8'", "bf16"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "training.lrr=1"], ["'lrr'", "'lr'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "training.lr=fast"], ["training.lr", "'fast'"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "nonsense"], ["A.B=VALUE"]),
        (["train", "--data", "digits", "--output-dir", "x", "--lr", "-1"], ["lr", "-1"]),
        (["train", "--data", "digits", "--output-dir", "x", "--lr", "inf"], ["lr", "inf"]),
        (["train", "--data", "digits", "--output-dir", ""], ["--output-dir", "empty"]),
        (["data", ""], ["SOURCE", "empty"]),
        (["train", "--data", "digits", "--output-dir", "x", "--objective", "simple"], ["learned variance"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "schedule.options.zeta=1"], ["zeta"]),
        (["train", "--data", "digits", "--output-dir", "x", "--schedule", "jsd"], ["alpha_bar_T = 0"]),
        (["train", "--data", "digits", "--output-dir", "x", "--precision", "fp16", "--device", "cpu"], ["fp16"]),
        (["train", "--data", "digits", "--output-dir", "x", "--steps", "9" * 20], ["--steps", "2^53"]),
        (
            [
                "train",
                "--data",
                "digits",
                "--output-dir",
                "x",
                "--schedule",
                "warmup",
                "--set",
                "schedule.options.fraction=2",
            ],
            ["2"],
        ),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "model.classes=3"], ["10 classes", "the model 3"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "model.classes=-2"], ["model.classes", "-2"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "model.attention=7"], ["attention"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "data.resolution=1,2,3"], ["data.resolution"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "data.levels=1"], ["data.levels"]),
        (["train", "--data", "digits", "--output-dir", "x", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["sample", "x", "--output-dir", "x", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["inpaint", "x", "a", "b", "--output-dir", "x", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["interpolate", "x", "a", "b", "--timestep", "1", "--output-dir", "x", "--seed", "-1"], ["--seed", "'-1'"]),
        (["evaluate", "x", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["compare", "x", "y", "--data", "digits", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["lab", "mean", "--seed", "-1"], ["--seed", "at least 0", "'-1'"]),
        (["lab", "mean", "--seed", "1.5"], ["--seed", "whole number", "'1.5'"]),
        (["demo", "--budget", "-3"], ["--budget", "'-3'"]),
        (["smaple"], ["smaple"]),
        ([], ["COMMAND"]),
        (["schedule", "liner"], ["'liner'", "did you mean 'linear'"]),
    ],
)
def test_wrong_usage(ddpm, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    _one_line(ddpm(*arguments), 2, *words)
    assert not list(tmp_path.iterdir())


def test_missing_and_empty_data(ddpm, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        _one_line(ddpm("train", "--data", tmp_path / name, "--output-dir", tmp_path / "run"), 66, name)
        _one_line(ddpm("data", tmp_path / name), 66, name)
    assert not (tmp_path / "run").exists()


def test_broken_images_and_a_tiny_one(ddpm, tmp_path):
    for i in range(10):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad\nname.png").write_bytes(b"no")
    said = ddpm("train", "--data", tmp_path, "--output-dir", tmp_path / "run")
    _one_line(said, 65, "1 of 11", "bad\\nname.png", "max_broken")
    (tmp_path / "bad\nname.png").unlink()
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / "tiny.png")
    said = ddpm("train", "--data", tmp_path, "--output-dir", tmp_path / "run")
    _one_line(said, 65, "tiny.png is 1x1", "data.resolution=32 scales each to cover 32x32", "ddpm data")
    assert not (tmp_path / "run").exists()


def test_another_experiment_in_the_same_folder(ddpm, run):
    before = sorted(path.name for path in run.rglob("*"))
    _one_line(_train(ddpm, run, "--seed", "7"), 78, "training.seed: 0 -> 7")
    _one_line(ddpm("train", "--data", "digits", "--output-dir", run, "--preset", "mnist"), 78, "another experiment")
    _one_line(_train(ddpm, run, "--resume", "never"), 73, "run")
    assert sorted(path.name for path in run.rglob("*")) == before


def test_a_checkpoint_of_another_preset(ddpm, trained, tmp_path):
    checkpoint = trained / "checkpoints" / "step-000000003"
    said = ddpm(
        "train", "--data", "digits", "--preset", "mnist", "--output-dir", tmp_path / "new", "--resume", checkpoint
    )
    _one_line(said, 78, "another experiment")
    assert not (tmp_path / "new").exists()


def test_what_needs_no_data_is_refused_without(ddpm, run, tmp_path, monkeypatch):
    """Before any is downloaded or looked through."""
    looked = []
    monkeypatch.setattr(ddpm_train, "open_again", lambda *_: looked.append(1))
    monkeypatch.setattr(hub, "pinned", looked.append)
    (tmp_path / "new").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "half" / "checkpoints" / "step-000000003").mkdir(parents=True)
    _one_line(_train(ddpm, run, "--resume", "never"), 73, "already")
    _one_line(_train(ddpm, tmp_path / "full"), 73, "thesis.tex")
    _one_line(_train(ddpm, tmp_path / "half"), 65, "config.json is missing")
    _one_line(_train(ddpm, tmp_path / "other", "--resume", tmp_path / "gone"), 66, "gone")
    _one_line(_train(ddpm, tmp_path / "other", "--resume", tmp_path / "new"), 66, "no run in")
    assert not looked
    assert not (tmp_path / "other").exists()


def test_resuming_from_a_named_checkpoint(ddpm, trained, tmp_path):
    checkpoint = trained / "checkpoints" / "step-000000003"
    assert _train(ddpm, tmp_path / "new", "--resume", checkpoint).code == 0
    last = "checkpoints/step-000000006/model.safetensors"
    assert (tmp_path / "new" / last).read_bytes() == (trained / last).read_bytes()
    _one_line(_train(ddpm, tmp_path / "other", "--resume", tmp_path / "gone"), 66, "gone")
    assert not (tmp_path / "other").exists()


def test_damaged_checkpoints(ddpm, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    newest = run / "checkpoints" / "step-000000006" / "ema.safetensors"
    newest.write_bytes(newest.read_bytes()[:-10])
    _one_line(ddpm("evaluate", newest.parent, "--data", "digits"), 65, "ema.safetensors")
    said = _train(ddpm, run)
    assert said.code == 0
    assert "passed over" in said.err
    assert "going on from step 3" in said.err
    for folder in (run / "checkpoints").iterdir():
        (folder / "manifest.json").write_text("{}")
    _one_line(_train(ddpm, run), 65, "damaged")
    _one_line(ddpm("sample", run, "--num", "1", "--output-dir", tmp_path / "o"), 65, "no whole checkpoint")
    assert not (tmp_path / "o").exists()


def test_no_run_there(ddpm, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in (["sample", "--num", "1", "--output-dir", tmp_path / "o"], ["evaluate", "--data", "digits"]):
        for name in ("gone", "empty"):
            _one_line(ddpm(command[0], tmp_path / name, *command[1:]), 66, name)
    _one_line(ddpm("schedule", tmp_path / "empty"), 66, "config.json")


def test_sampling_into_a_full_folder_or_with_wrong_flags(ddpm, trained, tmp_path):
    (tmp_path / "000000.png").write_bytes(b"")
    _one_line(ddpm("sample", trained, "--num", "1", "--output-dir", tmp_path), 73, "already")
    for flags, word in (
        (["--sampler", "dimd"], "'ddim'"),
        (["--steps", "13"], "13"),
        (["--spacing", "odd"], "'odd'"),
        (["--sampler", "ddim", "--eta", "2"], "eta"),
        (["--grid", "x.jpg"], "x.jpg"),
        (["--animation", "x.mp4"], "x.mp4"),
        (["--sampler", "ddim", "--variance", "optimal"], "ddim does not draw with a variance"),
        (["--variance", "odd"], "optimal"),
        (["--sampler", "unipc", "--option", "odd=1"], "order"),
        (["--option", "odd"], "--option needs NAME=NUMBER"),
        (["--first", "-1"], "at least 0"),
    ):
        _one_line(ddpm("sample", trained, "--num", "1", "--output-dir", tmp_path / "o", *flags), 2, word)
    assert not (tmp_path / "o").exists()
    (tmp_path / "file").write_text("")
    _one_line(ddpm("sample", trained, "--num", "1", "--output-dir", tmp_path / "file"), 73, "it is a file")


def test_a_run_of_samples_goes_on_in_its_folder(ddpm, trained, tmp_path, monkeypatch):
    """Ctrl-C after the second batch: what is there, and the command that draws the others."""
    from ddpm.trained import draw

    save, calls = draw.save_each, []

    def interrupted(*arguments):
        calls.append(save(*arguments))
        if len(calls) == 2:
            raise KeyboardInterrupt

    base = ("sample", trained, "--batch-size", "2", "--output-dir", tmp_path / "cut")
    with monkeypatch.context() as patched:
        patched.setattr(draw, "save_each", interrupted)
        said = ddpm(*base, "--num", "7")
    assert said.code == 130
    assert "4 of 7 images are in" in said.err
    assert "--first 4 --num 3" in said.err
    assert ddpm(*base, "--first", "3", "--num", "3").code == 73
    before = sorted((tmp_path / "cut").iterdir())
    said = ddpm(*base, "--first", "4", "--num", "3", "--sampler", "ddim", "--seed", "1")
    _one_line(said, 73, "drawn otherwise", 'sampler "ancestral" -> "ddim"', "seed 0 -> 1")
    assert sorted((tmp_path / "cut").iterdir()) == before
    said = ddpm(*base, "--first", "4", "--num", "3")
    assert said.code == 0
    assert "holds 4 images already" in said.err
    assert ddpm("sample", trained, "--num", "7", "--output-dir", tmp_path / "whole").code == 0
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "cut" / file.name).read_bytes()


def test_a_flag_of_a_metric_that_was_not_asked_for(ddpm, trained):
    base = ("evaluate", trained, "--data", "digits", "--num-images", "2")
    _one_line(ddpm(*base, "--draws", "4"), 2, "--draws", "importance-weighted")
    _one_line(ddpm(*base, "--metrics", "importance-weighted", "--trace", "exact"), 2, "--trace", "flow")


def test_data_of_another_shape(ddpm, trained, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((30, 9, 9), np.uint8))
    _one_line(ddpm("evaluate", trained, "--data", tmp_path / "a.npy"), 78, "(1, 9, 9)")
    _one_line(ddpm("evaluate", trained, "--data", "digits", "--split", "tset"), 2, "'tset'")
    _one_line(ddpm("evaluate", trained, "--data", "digits", "--metrics", "fidd"), 2, "'fidd'")


def test_an_output_that_cannot_be(ddpm, tmp_path):
    (tmp_path / "file").write_text("")
    _one_line(_train(ddpm, tmp_path / "file" / "run"), 73, "file")


def test_a_second_run_in_the_same_folder(ddpm, run):
    """The lock goes with the process that holds it; the second one touches nothing."""
    from ddpm.run.folder import RunFolder

    before = (run / "exit.json").read_text()
    with RunFolder(run).locked():
        _one_line(_train(ddpm, run, "--steps", "8"), 73, "in use", f"process {os.getpid()}")
    assert (run / "exit.json").read_text() == before


def test_a_named_checkpoint_below_later_ones(ddpm, run):
    early = run / "checkpoints" / "step-000000003"
    _one_line(_train(ddpm, run, "--resume", early), 73, "has gone further")
    assert (run / "checkpoints" / "step-000000006").exists()


def test_images_that_have_changed(ddpm, tmp_path):
    """The same shape, another pixel: 78, not a quiet mixture."""
    pixels = np.zeros((30, 8, 8), np.uint8)
    flags = [*TINY[2:], "--set", "data.held_out=0"]
    for value, code in ((0, 0), (0, 0), (1, 78)):
        pixels[3, 2, 1] = value
        np.save(tmp_path / "a.npy", pixels)
        said = ddpm("train", "--data", tmp_path / "a.npy", "--output-dir", tmp_path / "run", *flags)
        assert said.code == code, said.err
    _one_line(said, 78, "no longer those")


def test_a_folder_that_holds_something_else(ddpm, tmp_path):
    """Nothing of a run is mixed into somebody's photographs."""
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    _one_line(_train(ddpm, tmp_path), 73, "other files and no run", "photo.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_reading_past_a_damaged_checkpoint_is_said(ddpm, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "checkpoints" / "step-000000006" / "ema.safetensors").unlink()
    said = ddpm("sample", run, "--num", "1", "--output-dir", tmp_path / "o", "--json", "-")
    assert said.code == 0
    assert "passed over" in said.err
    assert "ema.safetensors" in said.err
    assert json.loads(said.out)["trained_steps"] == 3


def test_paths_that_are_no_run_or_no_image(ddpm, trained, tmp_path):
    _one_line(
        ddpm("sample", trained / "config.json", "--num", "1", "--output-dir", tmp_path / "o"), 66, "not a run folder"
    )
    said = ddpm("interpolate", trained, tmp_path, tmp_path, "--timestep", 3, "--output-dir", tmp_path / "o")
    _one_line(said, 66, "a folder, not an image")


def test_options_that_a_sampler_does_not_have(ddpm, trained, tmp_path):
    said = ddpm("sample", trained, "--num", "1", "--output-dir", tmp_path / "o", "--eta", "0.5")
    _one_line(said, 2, "'ancestral' has no 'eta'", "--sampler ddim")


def test_a_loss_that_explodes(ddpm, tmp_path):
    said = _train(ddpm, tmp_path / "run", "--lr", "1e30", "--steps", "40", "--set", "rhythm.evaluate=0")
    _one_line(said, 80, "finite")
    assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 80


def test_reading_a_network_otherwise(ddpm, trained):
    base = ("evaluate", trained, "--data", "digits", "--num-images", "2", "--json", "-")
    values = []
    for flags in ([], ["--set", "process.limit=unlimited"], ["--set", "process.sigma_1=beta-1"]):
        said = ddpm(*base, *flags)
        assert said.code == 0, said.err
        values.append(json.loads(said.out))
    assert values[1]["limit"] == "unlimited"
    assert "beta-1" in values[2]["decoder_variance"]
    assert len({value["bits_per_dim"]["total"] for value in values}) == 3
    _one_line(ddpm(*base, "--set", "process.prediction=x0"), 2, "process.prediction")
    _one_line(ddpm(*base, "--set", "process.variance=fixed-small"), 2, "not trained for")


def test_a_missing_device(ddpm, trained):
    import torch

    if not torch.cuda.is_available():
        _one_line(ddpm("evaluate", trained, "--data", "digits", "--device", "cuda"), 2, "'cuda'", "--device cpu")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device", "/x"), StorageError),
        (OSError(5, "Input/output error"), StorageError),
        (PermissionError(13, "Permission denied", "/x"), CannotCreate),
        (OSError(24, "Too many open files"), OutOfResources),
        (FileNotFoundError(2, "No such file", "/x"), NotFound),
        (MemoryError(), OutOfResources),
        (RuntimeError("CUDA out of memory. Tried to allocate"), OutOfResources),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            OutOfResources,
        ),
        (KeyboardInterrupt(), Interrupted),
    ],
)
def test_what_the_system_says_has_a_code(error, kind):
    assert isinstance(explained(error), kind)


@pytest.mark.parametrize("kind", [Failure, CannotCreate, Interrupted])
def test_another_process_is_told_the_same(kind):
    told = ending_of(json.loads(json.dumps(in_json(kind("what happened", "what to do")))))
    assert (type(told), str(told), told.hints) == (kind, "what happened", ("what to do",))


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("a smaller `batch_size`", "a smaller --batch-size"),
        ("`device=cpu` or `device=cuda`", "--device cpu or --device cuda"),
        ("or `training.accumulate=2`", "or --set training.accumulate=2"),
        ("a `quoted word`, 'x'", "a `quoted word`, 'x'"),
    ],
)
def test_a_setting_is_shown_as_its_flag(said, typed):
    from ddpm.cli.terminal.console import as_flags

    assert as_flags(said) == typed


def test_a_caller_of_the_library_reads_no_flags():
    """Nor does anything that is raised below the command line name one."""
    from pathlib import Path

    import ddpm as library

    rooms = ("training", "checkpoints", "parallel", "data", "run", "sampling", "figures", "diffusion")
    files = [path for room in rooms for path in (Path(library.__file__).parent / room).rglob("*.py")]
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Raise):
            text = ast.unparse(node)
            assert not re.search(r"(?<!torchrun )--[a-z]", text), text


def test_our_own_bugs_leave_a_traceback_in_a_file(ddpm, tmp_path, monkeypatch):
    from ddpm.cli import data

    def broken(_options):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(data, "run", broken)
    monkeypatch.chdir(tmp_path)
    _one_line(ddpm("data", "digits"), 70, "ZeroDivisionError: oops", "crash-")
    (crash,) = tmp_path.glob("crash-*.txt")
    assert "Traceback" in crash.read_text()
    assert "Traceback" in ddpm("data", "digits", "--debug").err


def _start(folder, *more, limit=0):
    """A training that would run for long, in a process of its own."""
    arguments = ["train", "--output-dir", str(folder), *TINY, "--steps", "100000", "--set", "rhythm.evaluate=0"]
    arguments += ["--set", "rhythm.sample=0", "--set", "rhythm.save=1000000", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def limited():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "ddpm", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=limited)  # noqa: PLW1509


def _wait_for_a_row(folder, process):
    end = time.monotonic() + 120
    while not ((folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").read_text()):
        assert time.monotonic() < end
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        *(pytest.param(*case, marks=pytest.mark.long) for case in ((signal.SIGINT, 130), (signal.SIGHUP, 75))),
    ],
)
def test_a_real_signal_saves_and_says_so(tmp_path, number, code):
    folder = tmp_path / "run"
    process = _start(folder)
    _wait_for_a_row(folder, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "is saved" in err
    assert "Traceback" not in err
    (saved,) = (folder / "checkpoints").iterdir()
    step = json.loads((saved / "state.json").read_text())["step"]
    assert f"step {step:,}" in err
    assert json.loads((folder / "exit.json").read_text())["code"] == code


@pytest.mark.slow
def test_a_file_that_grows_too_large_keeps_the_last_checkpoint(tmp_path):
    """EFBIG instead of ENOSPC: no rights are needed for a limit on the size of files. The log has nearly reached it."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 0} | {f"{i:09}": 0 for i in range(24_965)}) + "\n")
    process = _start(folder, "--steps", "12", "--set", "rhythm.save=4", "--set", "rhythm.log=1", limit=400_000)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 74, err
    assert err.count("ddpm: error: ") == 1
    assert "metrics.jsonl': File too large; training goes on" in err
    from ddpm import checkpoints

    found, damaged = checkpoints.newest(folder / "checkpoints")
    assert (found.numbers["step"], damaged) == (12, [])
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(len(rows)))  # no half of a line
    assert 1 < len(rows) < 12


@pytest.mark.slow
def test_output_that_nobody_reads_is_no_error(trained):
    """`ddpm schedule linear --json - | head -c 9`: of 200 kB."""
    command = f"{sys.executable} -m ddpm schedule linear --json - | head -c 9"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stdout == '{"name": '
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
