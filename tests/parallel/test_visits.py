"""Processes of a launch that work together several times in one command."""

import os
import subprocess
import sys

import torch.distributed as dist

from ddpm.parallel import world
from tests.harness.zygote import free_port

PROGRAM = """
import torch
from ddpm.cli.terminal.processes import processes
for visit in range(20):
    with processes(torch.device("cpu")) as world:
        assert world.all_gather(world.rank + visit) == [visit, visit + 1]
print("all visits")
"""


def test_who_comes_back_at_once_meets_the_others_again():
    """Though the first process, which may keep the store, leaves each visit last."""
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    environments = [{**common, "RANK": str(rank), "OMP_NUM_THREADS": "1"} for rank in range(2)]
    command, pipes = (
        [sys.executable, "-c", PROGRAM],
        {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    started = [subprocess.Popen(command, env=environment, **pipes) for environment in environments]
    try:
        said = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [(process.returncode, out) for process, (out, _) in zip(started, said, strict=True)] == [
        (0, "all visits\n"),
        (0, "all visits\n"),
    ], said


def test_a_launch_meets_once(monkeypatch):
    """One that came back for another visit could find the store of the last, which is about to be closed."""
    place, meetings = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, []

    class Store(dist.HashStore):
        def clone(self):
            return self

    def rendezvous(*_, **__):
        meetings.append(Store())
        yield meetings[-1], 1, 2

    monkeypatch.setattr(dist, "rendezvous", rendezvous)
    for port, count in (("29001", 1), ("29001", 1), ("29002", 2)):
        for name, value in (place | {"MASTER_PORT": port}).items():
            monkeypatch.setenv(name, value)
        with world.joined() as found:
            assert (found.rank, found.size) == (1, 2)
        assert len(meetings) == count
