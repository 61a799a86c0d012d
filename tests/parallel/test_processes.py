"""Several processes as one: the same training, samples and bounds however many there are, and a clean end when one is lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch

import ddpm
from tests.harness.commands import TINY
from tests.harness.untouched import PATIENCE, SHARDS, Mode, Tally, require_lost
from tests.harness.zygote import BREAK, Strike, moment

DROPPING = [*TINY, "--set", "model.dropout=0.3", "--set", "data.augmentation=horizontal-flip"]
TWO = [Mode(2), Mode(2, 0, SHARDS)]


def _train(folder, steps, *more):
    return ["train", "--output-dir", folder, *DROPPING, "--steps", steps, "--set", "rhythm.log=1", *more]


def _rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _tensors(folder, step, groups=3):
    files = sorted((folder / "checkpoints" / f"step-{step:09d}").glob("*.safetensors"))
    assert len(files) == groups
    return {
        f"{file.name}/{name}": tensor for file in files for name, tensor in safetensors.torch.load_file(file).items()
    }


def require_near(found, wanted, name):
    """Equal but for the rounding of sums in another order, which Adam and Muon enlarge where gradients are nearly zero.

    Attention does not see the bias of its keys: all its gradient is rounding, and it stays near zero.
    """
    if name.endswith("attention.key.bias"):
        assert max(found.norm(), wanted.norm()) < 1e-7, name
    else:
        assert (found - wanted).norm() <= 1e-3 * wanted.norm() + 1e-9, name


def _run(forked, processes, *arguments):
    ended = forked.run(*arguments, ranks=processes)
    assert ended.codes == [0] * processes, ended.said
    return ended.said


@pytest.fixture(scope="module")
def runs(forked, tmp_path_factory):
    """Six steps by one process, and by two, one and two in turn."""
    folder = tmp_path_factory.mktemp("processes")
    constant = ["--set", "training.decay=constant"]  # another end must not be another rate
    _run(forked, 1, *_train(folder / "one", 6, *constant))
    for processes, steps in ((2, 2), (1, 4), (2, 6)):
        _run(forked, processes, *_train(folder / "turns", steps, *constant))
    return folder


def test_the_number_of_processes_changes_nothing(runs):
    """Same images, flips, times, noise and dropout: losses and bounds agree to rounding, step by step (2 -> 1 -> 2)."""
    one, turns = _rows(runs / "one"), _rows(runs / "turns")
    assert [row["step"] for row in one] == [row["step"] for row in turns] == list(range(1, 7))
    for a, b in zip(one, turns, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-4)
    assert turns[-1]["bits_per_dim"] == pytest.approx(one[-1]["bits_per_dim"], rel=1e-4)
    found = _tensors(runs / "turns", 6)
    for name, tensor in _tensors(runs / "one", 6).items():
        require_near(found[name], tensor, name)


QUIET = ("--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0", "--set", "training.decay=constant")


def _require_same_run(one, two, step):
    """Two runs up to a step, by one process and by two: losses and weights agree to rounding."""
    rows = [[row for row in _rows(run) if row["step"] <= step] for run in (one, two)]
    assert [row["step"] for row in rows[1]] == [row["step"] for row in rows[0]] == list(range(1, step + 1))
    for a, b in zip(*rows, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
        assert (b["images"], b["lr"]) == (a["images"], a["lr"])
    found = _tensors(two, step)
    for name, tensor in _tensors(one, step).items():
        require_near(found[name], tensor, name)


def test_a_change_and_a_beginning_are_the_same_however_many_processes(forked, runs, tmp_path):
    """From six steps on another rate and batch, which two processes do not share evenly; and from the weights of another run."""
    change = ("--change", "training.lr=1e-3", "--change", "training.batch_size=5")
    for processes in (1, 2):
        changed, tuned = tmp_path / f"changed-{processes}", tmp_path / f"tuned-{processes}"
        shutil.copytree(runs / "one", changed)
        said = _run(forked, processes, "train", "--output-dir", changed, "--steps", 8, *change, *QUIET[:4])
        assert "training.batch_size: 8 -> 5 from step 6 on" in said[0]
        said = _run(forked, processes, *_train(tuned, 2, *QUIET, "--init-from", runs / "one"))
        assert f"begins with the weights 'ema' of step 6 of {runs / 'one'}" in said[0]
    for name, step in (("changed", 8), ("tuned", 2)):
        _require_same_run(tmp_path / f"{name}-1", tmp_path / f"{name}-2", step)


def test_a_budget_of_two_processes(forked, tmp_path):
    """Both stop after the same step, and its steps are those of a number of steps."""
    timed, fixed = tmp_path / "timed", tmp_path / "fixed"
    flags = [flag for flag in _train(timed, 0, *QUIET) if flag not in ("--steps", "6", 0)]
    _run(forked, 2, *flags, "--budget", "2s")
    last = json.loads((timed / "config.json").read_text())["training"]["steps"]
    assert last == _rows(timed)[-1]["step"] > 0
    assert json.loads((timed / "exit.json").read_text())["code"] == 0
    _run(forked, 1, *_train(fixed, min(last, 6), *QUIET, "--set", "rhythm.save=0"))
    for a, b in zip(_rows(fixed), _rows(timed), strict=False):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)


def test_samples_and_bounds_are_the_same_to_the_bit(forked, runs, tmp_path):
    made = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        drawn = ("--num-images", 7, "--batch-size", 2, "--output-dir", out / "drawn", "--npz", out / "all.npz")
        _run(forked, processes, "sample", runs / "one", *drawn, "--animation", out / "moving.webp")
        scored = ("--num-images", 5, "--batch-size", 2, "--data", "digits")
        _run(forked, processes, "evaluate", runs / "one", *scored, "--json", out / "bound.json")
        _run(forked, processes, "evaluate", runs / "one", *scored, "--evaluations", 4, "--json", out / "cheap.json")
        far = ("--metrics", "fid,kid", "--num-samples", 7, "--features", "pixels", "--json", out / "far.json")
        _run(forked, processes, "evaluate", runs / "one", *scored, *far)
        made[processes] = {
            file.relative_to(out): file.read_bytes()
            for file in sorted(out.rglob("*"))
            if file.suffix not in ("", ".npz")
        }
        assert (out / "all.npz").exists()
    assert len(made[1]) == 7 + 4
    assert made[1] == made[2]


def test_a_process_without_an_image_has_nothing_to_show(forked, runs, tmp_path):
    made = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        shown = ("--animation", out / "a.webp", "--progressive", out / "p.png", "--json", "-")
        ended = forked.run(
            "sample", runs / "one", "--num-images", 1, "--output-dir", out / "i", *shown, ranks=processes
        )
        assert ended.codes == [0] * processes, ended.said
        made.append([path.read_bytes() for path in (out / "a.webp", out / "p.png")])
    assert made[0] == made[1]


@pytest.mark.long
def test_the_moments_that_are_saved(forked, tmp_path):
    """Of 61 images in batches of 8, by one, two and three processes, of which the last then has less: the same file."""
    ddpm.images("digits")[:61].save(tmp_path / "b")
    found = {}
    for processes in (1, 2, 3):
        saved = tmp_path / f"{processes}.npz"
        how = ("--features", "pixels", "--metrics", "fid", "--batch-size", 8, "--save-moments", saved, "--json", "-")
        ended = forked.run("distance", tmp_path / "b", tmp_path / "b", *how, ranks=processes)
        assert ended.codes == [0] * processes, ended.said
        with np.load(saved, allow_pickle=False) as held:
            found[processes] = {name: held[name] for name in held.files}
    pixels = ddpm.images("digits")[:61].tensor.flatten(1).double().numpy() * 0.5 + 0.5
    scale = found[1]["mu"].max() / pixels.mean(0).max()
    np.testing.assert_allclose(found[1]["sigma"], np.cov(pixels.T) * scale**2, rtol=1e-2, atol=1e-3 * scale**2)
    for processes in (2, 3):
        assert found[processes].keys() == found[1].keys()
        for name in ("mu", "sigma"):
            np.testing.assert_allclose(found[processes][name], found[1][name], rtol=1e-10, atol=1e-10 * scale**2)
        assert all(found[processes][name] == found[1][name] for name in ("images", "features", "digest", "how"))
    assert found[3]["images"] == 61


@pytest.mark.slow
def test_torchrun(runs, tmp_path):
    """The launcher that users have, and what it does to a signal."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ddpm"]
    flags = map(str, _train(tmp_path / "run", 6, "--set", "training.decay=constant"))
    done = subprocess.run(
        [*run, *flags], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 0
    assert "<section" in (tmp_path / "run" / "report.html").read_text()
    for found, wanted in zip(_rows(tmp_path / "run"), _rows(runs / "one"), strict=True):
        assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("victim", "number"),
    [
        (0, signal.SIGKILL),
        pytest.param(1, signal.SIGSTOP, marks=pytest.mark.long),
        pytest.param(1, signal.SIGKILL, marks=pytest.mark.long),
        pytest.param(0, signal.SIGSTOP, marks=pytest.mark.long),
    ],
)
def test_a_process_that_is_lost_stops_the_others(course, number, victim):
    """They end with 69 and name it; nothing hangs; the run goes on to the bit."""
    strike = Strike("network", 9, number, victim)
    assert course.until_done(f"lost-{number}-{victim}", TWO[0], [strike], require_lost)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_process_that_is_lost_at_any_moment(course, record_property):
    """Twenty times: killed or frozen, the first or the second, with copies of the network or in shards."""
    draw, tally = random.Random(0), Tally()
    for i in range(20):
        number, victim, mode = (signal.SIGKILL, signal.SIGSTOP)[i % 2], i // 2 % 2, TWO[i // 4 % 2]
        strike = moment(draw, course.whole(mode)[1], number, victim)
        assert course.tallied(tally, f"lost-{i}", mode, [strike], require_lost) == 1
    record_property("figures", str(tally))


def test_a_gradient_that_is_not_finite_anywhere_is_skipped_everywhere(forked, tmp_path):
    """One process computes NaN in its third step: the step changes nothing, in both, and the next one goes on."""
    folder, quiet = tmp_path / "run", ("--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0")
    ended = forked.run(*_train(folder, 4, *quiet), ranks=2, strikes=[Strike("network", 2, 0, 1)])
    assert ended.codes == [0, 0], ended.said
    rows = _rows(folder)
    assert [row["skipped"] for row in rows] == [0, 0, 1, 1]
    assert rows[2]["loss"] is None
    assert all(tensor.isfinite().all() for tensor in _tensors(folder, 4).values())


def test_ten_steps_in_a_row_that_are_not_finite_are_allowed(forked, tmp_path):
    """Not eleven (80); a stop in between does not forgive them."""
    quiet = ("--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0", "--set", "rhythm.save=5")
    ten = [Strike("network", at, 0) for at in range(2, 12)]
    ended = forked.run(*_train(tmp_path / "ten", 14, *quiet), strikes=ten)
    assert ended.codes == [0], ended.said
    assert _rows(tmp_path / "ten")[-1]["skipped"] == 10
    ended = forked.run(*_train(tmp_path / "more", 16, *quiet), strikes=[*ten[:8], Strike("network", 9, signal.SIGTERM)])
    assert ended.codes == [75], ended.said
    ended = forked.run(*_train(tmp_path / "more", 16, *quiet), strikes=[Strike("network", at, 0) for at in range(3)])
    assert ended.codes == [80], ended.said
    assert "11 steps in a row" in ended.said[0]


def test_processes_that_do_not_agree(forked, tmp_path):
    ended = forked.run(*_train(tmp_path / "run", 3), ranks=2, also=[["--seed", "1"], ["--seed", "2"]])
    assert ended.codes == [78, 78], ended.said
    assert "do not agree" in ended.said[0]
    assert "configuration" in ended.said[0]


def test_one_that_fails_is_believed_by_the_others(forked, tmp_path):
    """Not called lost: its own failure is theirs, and the folder's."""
    strike = [Strike("network", 2, BREAK, 1)]
    ended = forked.run(*_train(tmp_path / "run", 6, "--set", f"rhythm.patience={PATIENCE}"), ranks=2, strikes=strike)
    assert ended.codes == [65, 65], ended.said
    assert "broken on purpose" in ended.said[0]
    assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 65


def test_a_batch_smaller_than_the_processes(forked, tmp_path):
    ended = forked.run(*_train(tmp_path / "run", 3, "--batch-size", 1), ranks=2)
    assert ended.codes == [2, 2], ended.said
    assert "2 processes" in ended.said[0]
    assert not (tmp_path / "run").exists()
