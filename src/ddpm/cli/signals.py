"""Stopping in good order: the first Ctrl-C, SIGTERM or SIGHUP asks for an end after the running step; a second Ctrl-C insists."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ddpm.errors import Failure, Interrupted, Stopped


@dataclass
class Stop:
    """Whether and by what the process was asked to stop; calling it answers whether.

    Until training has `begun` there is nothing to save, and a signal ends the command at once.
    """

    by: int = 0
    begun: bool = False

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.by != 0

    def failure(self, step: int) -> Failure:
        """How the command ends once the state of `step` is saved."""
        hint = "run the same command again to go on"
        if self.by == signal.SIGINT:
            return Interrupted(f"interrupted: the state of step {step:,} is saved", hint)
        what = signal.Signals(self.by).name if self.by else "a signal to another process"
        return Stopped(f"stopped by {what}: the state of step {step:,} is saved", hint)


@contextmanager
def stop_in_order() -> Iterator[Stop]:
    """While inside, signals set the `Stop` instead of ending the process."""
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.by == number == signal.SIGINT:
            raise KeyboardInterrupt
        if stop.by:  # a terminal that closes may say so twice: only Ctrl-C insists
            return
        stop.by = number
        if not stop.begun:
            kind = Interrupted if number == signal.SIGINT else Stopped
            raise kind(f"stopped by {signal.Signals(number).name} before training began")
        insist = "; once more leaves at once" if number == signal.SIGINT else ""
        text = f"\nddpm: {signal.Signals(number).name}: finishing the step and saving{insist}\n"
        os.write(2, text.encode())  # print() must not be entered again from a handler

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
