"""Stopping in good order: the first Ctrl-C, SIGTERM or SIGHUP asks for an end after the running step; a second Ctrl-C insists."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ddpm.errors import Failure, Interrupted, Stopped
from ddpm.parallel.heartbeat import farewell, leaving


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


KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3.0
"""Seconds that the main thread has to hear a signal before training has begun."""


def _too_soon(number: int) -> Failure:
    kind = Interrupted if number == signal.SIGINT else Stopped
    return kind(f"stopped by {signal.Signals(number).name} before training began")


def _main_thread_unresponsive(stop: Stop) -> bool:
    """Whether the main thread hears no signal in time."""
    until = time.monotonic() + PATIENCE
    while not stop.by and time.monotonic() < until:
        time.sleep(0.01)
    return not stop.by


@contextmanager
def _insisting(stop: Stop, leave: Callable[[Failure], None]) -> Iterator[None]:
    """While inside, a thread calls `leave` where the main one hears no signal: it may wait for others inside a library.

    Of a training that has begun it is the heartbeat that notices if others are lost.
    """
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)

    def listen() -> None:
        while said := ours.recv(1):
            if said[0] in KINDS and not stop.begun and _main_thread_unresponsive(stop):
                leave(farewell(_too_soon(said[0])))

    thread = threading.Thread(target=listen, daemon=True, name="signals")
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()
        thread.join()
        ours.close()


@contextmanager
def stop_in_order(leave: Callable[[Failure], None]) -> Iterator[Stop]:
    """While inside, signals set the `Stop` instead of ending the process; `leave` ends it from another thread."""
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.by == number == signal.SIGINT:
            raise KeyboardInterrupt
        if stop.by:  # a terminal that closes may say so twice: only Ctrl-C insists
            return
        stop.by = number
        if leaving():  # for another reason, which stands
            return
        if not stop.begun:
            raise _too_soon(number)
        insist = "; once more leaves at once" if number == signal.SIGINT else ""
        text = f"\nddpm: {signal.Signals(number).name}: finishing the step and saving{insist}\n"
        os.write(2, text.encode())  # print() must not be entered again from a handler

    before = {kind: signal.signal(kind, ask) for kind in KINDS}
    try:
        with _insisting(stop, leave):
            yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
