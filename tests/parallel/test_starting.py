"""Processes that are launched together and do not all arrive: nobody waits for ever, and nobody is deaf to signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist

from ddpm.cli.parts import training
from ddpm.errors import Mismatch, PeerLost, Stopped
from ddpm.experiment.config import DataConfig
from ddpm.experiment.presets import PRESETS
from ddpm.parallel.heartbeat import attended
from ddpm.parallel.world import World, joined
from ddpm.run import ending
from ddpm.run.events import Halted, Started
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue
from tests.harness.commands import TINY
from tests.harness.zygote import free_port

ARRIVES = """
import os, time
from ddpm.parallel.world import joined
from ddpm.parallel.heartbeat import attended
with joined() as world, attended(world, 60, print):
    time.sleep(1)
    os._exit(9)
"""
"""A process that is heard of, and is gone before tensors are exchanged."""


WAITS = """
import os, time
from ddpm.parallel.world import joined
from ddpm.parallel.heartbeat import attended
with joined() as world, attended(world, 6, lambda failure: (print(failure, flush=True), os._exit(failure.code))):
    print("here", flush=True)
    time.sleep(100)
"""
"""A process whose main thread hears nothing."""
FAILS = """
import os, sys
from ddpm.parallel.world import joined
from ddpm.errors import *
from ddpm.parallel.heartbeat import attended
try:
    with joined() as world, attended(world, 20, print):
        raise {}
except Exception:
    os._exit(9)
"""
"""A process that ends as soon as it can."""


@pytest.fixture
def launch(tmp_path):
    """Start process `rank` of two, to train or to run some lines; all are ended with the test."""
    port, started = str(free_port()), []

    def start(rank, *command):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        flags = [*TINY, "--output-dir", tmp_path / "run", "--set", "rhythm.patience=6"]
        command = command or ("-m", "ddpm", "train", *map(str, flags))
        process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    start.port = int(port)
    yield start
    for process in started:
        process.kill()
        process.communicate()


def _listening(port):
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("nobody listens")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_who_waits_for_the_others_hears_a_signal(launch, number, code):
    """Though torch does the waiting, and lets no Python in."""
    first = launch(0)
    _listening(launch.port)
    time.sleep(0.5)
    first.send_signal(number)
    _, said = first.communicate(timeout=30)
    assert (first.returncode, said.count("\n")) == (code, 1), said
    assert f"stopped by {signal.Signals(number).name} before training began" in said


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("Stopped('asked to stop')", 75, "asked to stop"),
        ("MemoryError('gone')", 71, "out of memory: gone"),
        ("TypeError('a bug')", 70, "internal error in process 0: TypeError: a bug"),
    ],
)
def test_who_keeps_the_store_leaves_when_the_others_know_why(launch, error, code, said):
    """Whatever it is: a bug, or too little memory, is not the loss of a process, which starting again would mend."""
    first, second = launch(0, "-c", FAILS.format(error)), launch(1, "-c", WAITS)
    assert first.wait(timeout=60) == 9
    assert second.communicate(timeout=60)[0] == f"here\n{said}\n"
    assert second.returncode == code


@pytest.mark.long
def test_so_it_does_where_only_a_thread_hears_the_signal(launch, tmp_path):
    """While torch waits for the second, which does not come to exchange anything. The folder says so, too."""
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").write_experiment(PRESETS["digits"]())
    first, second = launch(0), launch(1, "-c", WAITS)
    assert second.stdout.readline() == "here\n"
    time.sleep(1)
    first.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    assert first.wait(timeout=60) == 75, first.communicate()[1]
    assert time.monotonic() - asked >= ending.PATIENCE
    said, _ = second.communicate(timeout=60)
    stands = f"there is no checkpoint yet, only the configuration: {tmp_path / 'run'}"
    assert (second.returncode, said) == (75, f"stopped by SIGTERM before training began: {stands}\n")
    assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 75


def test_a_signal_is_no_other_reason():
    """While a process waits until the others know why it ends: torchrun sends one then."""
    store, ended = dist.HashStore(), threading.Event()

    def beat():  # a process that hears nothing
        while not ended.wait(0.05):
            store.set("1", str(time.monotonic()))

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    asking = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM])
    with pytest.raises(Mismatch, match="other data"), ending.stop_in_order(print, print, str) as stop:  # noqa: SIM117
        with attended(World(0, 2, store), 4, print):
            asking.start()
            raise Mismatch("other data")
    ended.set()
    beating.join()
    assert stop.by == signal.SIGTERM


def test_a_run_that_stops_is_read_to_its_end(monkeypatch, tmp_path):
    """The processes take leave of each other there."""
    done, experiment = [], replace(PRESETS["small"](), data=DataConfig(shape=(3, 8, 8), levels=256))

    def run(*_):
        yield Started(experiment, 8, 0, 1, 0, "fp32", 2, (), ())
        os.kill(os.getpid(), signal.SIGTERM)
        yield Halted(3)
        done.append(True)

    monkeypatch.setattr(ending, "train_run", run)
    with pytest.raises(Stopped, match="the state of step 3 is saved"):
        training.follow(experiment, RunFolder(tmp_path / "run"), torch.device("cpu"), Continue())
    assert done


def test_whose_folder_it_is(tmp_path):
    """The exit.json of a run that another process is at is not ours to write."""
    folder = RunFolder(tmp_path)
    assert not folder.in_use_by_another()
    folder.config.touch()
    assert not folder.in_use_by_another()
    with folder.locked():
        assert not folder.in_use_by_another()
        code = (
            f"from ddpm.run.folder import RunFolder as F, Path; print(F(Path({str(tmp_path)!r})).in_use_by_another())"
        )
        asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == "True\n"


VISITS = """
import os, torch
from ddpm.parallel.world import connected, joined
from ddpm.errors import DataError
from ddpm.parallel.heartbeat import attended
for visit in range(2):
    with joined() as world, attended(world, 6, print), connected(world, torch.device("cpu")):
        world.any(False)
        if visit == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            raise DataError("in the first attempt")
"""
"""Together with others, twice; the second time it fails, unless it was started again."""


@pytest.mark.slow
def test_started_again_by_torchrun(tmp_path):
    """Its store keeps what was said before, which is no news."""
    (tmp_path / "visits.py").write_text(VISITS)
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
    ]
    done = subprocess.run([*run, tmp_path / "visits.py"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "in the first attempt" in done.stderr


def test_who_leaves_as_they_meet_is_missed(launch, tmp_path):
    first, second = launch(0), launch(1, "-c", ARRIVES)
    _, said = first.communicate(timeout=60)
    assert second.wait() == 9
    assert (first.returncode, said.count("\n")) == (69, 2), said
    assert "process 1 of 2 is lost" in said
    assert not list(tmp_path.glob("crash-*"))


def test_a_launcher_that_is_gone_is_no_bug_of_ours(monkeypatch):
    """It is the loss of a process: the same command goes on."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)

    def gone(*_, **__):
        raise dist.DistNetworkError("failed to recv, got 0 bytes\nframe #0: c10d")

    monkeypatch.setattr(dist, "rendezvous", gone)
    with pytest.raises(PeerLost, match=r"did not find each other: failed to recv, got 0 bytes(\n|$)"), joined():
        pass
