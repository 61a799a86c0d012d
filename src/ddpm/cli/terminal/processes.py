"""Commands that several processes carry out together: what happens where one of them is lost."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ddpm.cli.terminal.console import complain
from ddpm.errors import Ending
from ddpm.parallel.heartbeat import attended
from ddpm.parallel.world import World, connected, joined

PATIENCE = 60.0
"""Seconds of silence after which a process is lost."""


def leave(failure: Ending) -> None:
    """At once, from any thread: the main one may wait for a process that is gone."""
    complain(failure)
    sys.stdout.flush()
    os._exit(failure.code)


@contextmanager
def processes(device: torch.device) -> Iterator[World]:
    """Inside, those that were launched together work as one, and end with 69 if one of them is lost."""
    with joined() as world, attended(world, PATIENCE, leave), connected(world, device):
        yield world
