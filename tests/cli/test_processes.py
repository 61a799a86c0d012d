"""Several processes as one: the same training, samples and bounds however many there are, and a clean end when one is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from tests.cli.conftest import TINY

DROPPING = [*TINY, "--set", "model.dropout=0.3", "--set", "data.augmentation=horizontal-flip"]
PATIENCE = 4


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _start(processes, *arguments, **options):
    """As `torchrun` starts them, without waiting for the parent that it keeps."""
    port, base = str(_free_port()), {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    ranks = []
    for rank in range(processes):
        own = {"MASTER_PORT": port, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        command = [sys.executable, "-m", "ddpm", *map(str, arguments)]
        ranks.append(
            subprocess.Popen(command, env=base | own, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    return ranks


def _end(ranks, seconds=120):
    """The exit codes and what was said on standard error."""
    try:
        said = [process.communicate(timeout=seconds)[1] for process in ranks]
    finally:
        for process in ranks:  # those that wait for each other for ever
            process.kill()
    return [process.returncode for process in ranks], said


def _run(processes, *arguments):
    codes, said = _end(_start(processes, *arguments))
    assert codes == [0] * processes, said
    return said


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


def _wait_for(condition, ranks, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert all(process.poll() is None for process in ranks), _end(ranks)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Six steps by one process, and by two, one and two in turn."""
    folder = tmp_path_factory.mktemp("processes")
    constant = ["--set", "training.decay=constant"]  # another end must not be another rate
    _run(1, *_train(folder / "one", 6, *constant))
    for processes, steps in ((2, 2), (1, 4), (2, 6)):
        _run(processes, *_train(folder / "turns", steps, *constant))
    return folder


def test_the_number_of_processes_changes_nothing(runs):
    """Same images, flips, times, noise and dropout: losses and bounds agree to rounding, step by step (2 -> 1 -> 2)."""
    one, turns = _rows(runs / "one"), _rows(runs / "turns")
    assert [row["step"] for row in one] == [row["step"] for row in turns] == list(range(1, 7))
    for a, b in zip(one, turns, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-4)
    assert turns[-1]["bits_per_dim"] == pytest.approx(one[-1]["bits_per_dim"], rel=1e-4)
    for name, tensor in _tensors(runs / "one", 6).items():
        torch.testing.assert_close(_tensors(runs / "turns", 6)[name], tensor, rtol=1e-3, atol=1e-4)


def test_samples_and_bounds_are_the_same_to_the_bit(runs, tmp_path):
    made = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        drawn = ("--num-images", 7, "--batch-size", 2, "--output-dir", out / "drawn", "--npz", out / "all.npz")
        _run(processes, "sample", runs / "one", *drawn, "--animation", out / "moving.webp")
        scored = ("--num-images", 5, "--batch-size", 2, "--data", "digits")
        _run(processes, "evaluate", runs / "one", *scored, "--json", out / "bound.json")
        _run(processes, "evaluate", runs / "one", *scored, "--evaluations", 4, "--json", out / "cheap.json")
        made[processes] = {
            file.relative_to(out): file.read_bytes()
            for file in sorted(out.rglob("*"))
            if file.suffix not in ("", ".npz")
        }
        assert (out / "all.npz").exists()
    assert len(made[1]) == 7 + 3
    assert made[1] == made[2]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_stops_all_at_the_same_step(tmp_path, asked):
    """And going on is exact, to the bit."""
    folder = tmp_path / "run"
    ranks = _start(2, *_train(folder, 1000, "--set", "rhythm.save=1000", "--set", "rhythm.evaluate=0"))
    _wait_for(lambda: (folder / "metrics.jsonl").exists() and len(_rows(folder)) > 2, ranks)
    ranks[asked].send_signal(signal.SIGTERM)
    codes, said = _end(ranks)
    assert codes == [75, 75], said
    assert json.loads((folder / "exit.json").read_text())["code"] == 75
    (saved,) = (folder / "checkpoints").iterdir()
    step = int(saved.name.removeprefix("step-"))
    more = ("--set", "rhythm.save=1000", "--set", "rhythm.evaluate=0")
    _run(2, *_train(tmp_path / "whole", step + 3, *more, "--set", "training.decay=constant"))
    _run(2, *_train(tmp_path / "part", step, *more, "--set", "training.decay=constant"))
    _run(2, *_train(tmp_path / "part", step + 3, *more, "--set", "training.decay=constant"))
    whole, part = _tensors(tmp_path / "whole", step + 3), _tensors(tmp_path / "part", step + 3)
    assert all(torch.equal(part[name], tensor) for name, tensor in whole.items())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_lost_stops_the_others(tmp_path, number, victim):
    """They end with 69 and name it; nothing hangs; the run can go on."""
    folder = tmp_path / "run"
    more = ("--set", f"rhythm.patience={PATIENCE}", "--set", "rhythm.save=2", "--set", "rhythm.evaluate=0")
    ranks = _start(2, *_train(folder, 100_000, *more, "--set", "rhythm.sample=0"))
    _wait_for(lambda: (folder / "metrics.jsonl").exists() and len(_rows(folder)) > 4, ranks)
    ranks[victim].send_signal(number)
    survivor = ranks[1 - victim]
    _, said = survivor.communicate(timeout=PATIENCE + 20)
    assert survivor.returncode == 69, said
    assert f"process {victim} of 2 is lost" in said
    assert "Traceback" not in said
    found = json.loads((folder / "exit.json").read_text())
    assert (found["code"], found["kind"]) == (69, "PeerLost")
    ranks[victim].kill()
    ranks[victim].communicate(timeout=20)
    newest = max(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))
    said = _run(1, *_train(folder, newest + 1, *more, "--set", "rhythm.sample=0"))
    assert f"going on from step {newest:,}" in said[0]


def test_processes_that_do_not_agree(tmp_path):
    port = str(_free_port())
    ranks = []
    for rank, seed in enumerate(("1", "2")):
        own = {
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "ddpm", *map(str, _train(tmp_path / "run", 3, "--seed", seed))]
        ranks.append(subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True))
    codes, said = _end(ranks)
    assert codes == [78, 78], said
    assert "do not agree" in said[0]
    assert "configuration" in said[0]


def test_a_batch_smaller_than_the_processes(tmp_path):
    codes, said = _end(_start(2, *_train(tmp_path / "run", 3, "--batch-size", 1)))
    assert codes == [2, 2], said
    assert "2 processes" in said[0]
    assert not (tmp_path / "run").exists()
