"""Processes that are launched together and do not all arrive: nobody waits for ever, and nobody is deaf to signals."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch.distributed as dist

from ddpm.distributed import joined
from ddpm.errors import PeerLost
from tests.cli.conftest import TINY
from tests.cli.zygote import free_port

ARRIVES = """
import os, time
from ddpm.distributed import joined
from ddpm.heartbeat import attended
with joined() as world, attended(world, 60, print):
    time.sleep(1)
    os._exit(9)
"""
"""A process that is heard of, and is gone before tensors are exchanged."""


WAITS = """
import os, time
from ddpm.distributed import joined
from ddpm.heartbeat import attended
with joined() as world, attended(world, 6, lambda failure: (print(failure, flush=True), os._exit(failure.code))):
    print("here", flush=True)
    time.sleep(100)
"""
"""A process whose main thread hears nothing."""
FAILS = """
import os
from ddpm.distributed import joined
from ddpm.errors import Stopped
from ddpm.heartbeat import attended
try:
    with joined() as world, attended(world, 6, print):
        raise Stopped("asked to stop")
except Stopped as stopped:
    os._exit(stopped.code)
"""
"""A process that leaves as soon as it can."""


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


def test_who_keeps_the_store_leaves_when_the_others_know_why(launch):
    first, second = launch(0, "-c", FAILS), launch(1, "-c", WAITS)
    assert first.wait(timeout=60) == 75
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, said) == (75, "here\nasked to stop\n")


def test_so_it_does_where_only_a_thread_hears_the_signal(launch):
    """While torch waits for the second, which does not come to exchange anything."""
    first, second = launch(0), launch(1, "-c", WAITS)
    assert second.stdout.readline() == "here\n"
    time.sleep(1)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 75, first.communicate()[1]
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, said) == (75, "stopped by SIGTERM before training began\n")


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
    with pytest.raises(PeerLost, match=r"did not find each other: failed to recv, got 0 bytes$"), joined():
        pass
