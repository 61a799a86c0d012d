"""How a run ends: after the running step where a signal asks for it, and always with a word in RUN/exit.json.

The first Ctrl-C, SIGTERM or SIGHUP lets the step finish and saves; a second Ctrl-C leaves at once, with the last checkpoint.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType

import torch

from ddpm import checkpoints
from ddpm.errors import CannotCreate, Ending, Failure, Interrupted, PeerLost, Stopped, explained, in_json
from ddpm.experiment.config import Experiment
from ddpm.parallel.heartbeat import farewell, leaving
from ddpm.parallel.launch import number
from ddpm.run.events import Event, Halted, Started
from ddpm.run.folder import RunFolder
from ddpm.run.plan import Consent
from ddpm.run.start import Start
from ddpm.run.train import train_run
from ddpm.storage.atomic import replacing, to_strict_json

KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3.0
"""Seconds that the main thread has to hear a signal before training has begun."""

Leave = Callable[[Ending], None]
"""What ends the process from a thread that is not the main one: it says why, and does not return."""
Say = Callable[[str], None]
"""What tells the user that a signal was heard. It is called inside a signal handler: no print(), which may be running."""


def heard(text: str) -> None:
    """Say so on stderr; a `Say` for who has no terminal of its own to tell it on."""
    with suppress(OSError):  # nobody hears it: that is no reason to end otherwise
        os.write(2, f"\nddpm: {text}\n".encode())


@dataclass
class Stop:
    """Whether the process was asked to stop, and by which signal; calling it answers whether.

    Until training has `begun` there is nothing to save, and a signal ends it at once.
    """

    by: int = 0
    begun: bool = False
    asked: bool = False

    def __call__(self) -> bool:
        """Whether a signal came, or the program itself asks."""
        return self.asked or self.by != 0

    def ask(self) -> None:
        """Ask for an end after the running step, from any thread."""
        self.asked = True

    def failure(self, step: int) -> Ending:
        """How the run ends once the state of `step` is saved."""
        hint = "run the same command again to go on"
        if self.by == signal.SIGINT:
            return Interrupted(f"interrupted: the state of step {step:,} is saved", hint)
        other = "the program itself" if self.asked else "a signal to another process"
        what = signal.Signals(self.by).name if self.by else other
        return Stopped(f"stopped by {what}: the state of step {step:,} is saved", hint)


@contextmanager
def ended_in_order(
    experiment: Experiment,
    folder: RunFolder,
    device: torch.device,
    start: Start,
    leave: Leave,
    say: Say,
    consent: Consent | None = None,
) -> Iterator[tuple[Stop, Iterator[Event]]]:
    """The events of a training run, which is ended in order whatever happens to it, or inside the `with` block.

    At its end signals, which it hears meanwhile, are heard by who heard them before; the run is closed; and RUN/exit.json
    says how it went. Python hears signals in its main thread only: elsewhere only `Stop.ask` ends a run in order.

    Args:
        experiment: as in `train_run`, like the next three.
        folder: where to do it.
        device: where to compute.
        start: whether a run goes on.
        leave: ends this process from another thread, where the main one waits for what does not come.
        say: tells the user that a signal was heard, from its handler.
        consent: as in `train_run`.

    Raises:
        Interrupted, Stopped: by the events, on a signal or when asked, once the state is saved.
        Failure: as `train_run`.
    """
    abandon = partial(_abandon, folder, leave)
    with (
        stop_in_order(abandon, say, partial(what_stands, folder)) as stop,
        recorded(folder),
        closing(_events(train_run(experiment, folder, device, start, stop, abandon, consent), stop)) as events,
    ):
        yield stop, events


def _events(run: Generator[Event], stop: Stop) -> Generator[Event]:
    """What happens in the run; of one that was stopped all of it, before that is raised."""
    halted = None
    with closing(run) as events:
        for event in events:
            stop.begun |= isinstance(event, Started)
            if isinstance(event, Halted):
                halted = event  # the last one; the processes take leave of each other before any ends
            yield event
    if halted:
        raise stop.failure(halted.step)


@contextmanager
def stop_in_order(leave: Leave, say: Say, stands: Callable[[], str]) -> Iterator[Stop]:
    """While inside, signals set the `Stop` instead of ending the process; in a thread of which Python tells none, nothing does.

    `stands` says what there is on the disk, where a signal ends all at once.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.by == number == signal.SIGINT:
            raise Interrupted(f"interrupted at once: {stands()}")
        if stop.by:  # a terminal that closes may say so twice: only Ctrl-C insists
            return
        stop.by = number
        if leaving():  # for another reason, which stands
            return
        if not stop.begun:
            raise _too_soon(number, stands)
        insist = "; once more leaves at once" if number == signal.SIGINT else ""
        say(f"{signal.Signals(number).name}: finishing the step and saving{insist}")

    before = {kind: signal.signal(kind, ask) for kind in KINDS}
    try:
        with _insisting(stop, leave, stands):
            yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _insisting(stop: Stop, leave: Leave, stands: Callable[[], str]) -> Iterator[None]:
    """While inside, a thread calls `leave` where the main one hears no signal: it may wait for others inside a library.

    Of a training that has begun it is the heartbeat that notices if others are lost.
    """
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)

    def listen() -> None:
        while said := ours.recv(1):
            if said[0] in KINDS and not stop.begun and _main_thread_unresponsive(stop):
                leave(farewell(_too_soon(said[0], stands)))

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


def _too_soon(number: int, stands: Callable[[], str]) -> Ending:
    kind = Interrupted if number == signal.SIGINT else Stopped
    return kind(f"stopped by {signal.Signals(number).name} before training began: {stands()}")


def what_stands(folder: RunFolder) -> str:
    """What of a run is on the disk, as far as names say. It is asked in a signal handler: a disk that fails is told, not raised."""
    try:
        if found := checkpoints.found(folder.checkpoints):
            return f"the last checkpoint on the disk is that of step {checkpoints.step_of(found[-1]):,}: {folder.path}"
        if folder.config.exists():
            return f"there is no checkpoint yet, only the configuration: {folder.path}"
    except OSError as error:
        return f"what is on the disk cannot be read ({error.strerror}): {folder.path}"
    return f"no run was written: {folder.path}"


def _main_thread_unresponsive(stop: Stop) -> bool:
    """Whether the main thread hears no signal in time."""
    until = time.monotonic() + PATIENCE
    while not stop.by and time.monotonic() < until:
        time.sleep(0.01)
    return not stop.by


@contextmanager
def told_what_stands(folder: RunFolder) -> Iterator[None]:
    """Ctrl-C that comes before training hears signals, or after, says what of the run is on the disk."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {what_stands(folder)}") from None


@contextmanager
def recorded(folder: RunFolder) -> Iterator[None]:
    """Write RUN/exit.json, however what is inside ends (a full disk may prevent it: what matters has been said then).

    Unless another process is at the folder: it is that one's run. Inside another `recorded`, the outer one has the last word.
    """
    try:
        yield
    except BaseException as error:
        failure = explained(error, str(folder.path)) or Failure(f"internal error: {error}")
        first = not number() and folder.config.exists()
        with suppress(CannotCreate), folder.locked() if first else nullcontext():
            _write_exit(folder, failure)
        raise
    _write_exit(folder)


def _abandon(folder: RunFolder, leave: Leave, failure: Ending) -> None:
    """Leave at once, saying so in the folder, unless another run is at it."""
    with suppress(OSError):
        if number() or not folder.in_use_by_another():
            _write_exit(folder, failure)
    leave(failure)


def _write_exit(folder: RunFolder, failure: Ending | None = None) -> None:
    """Write exit.json of a run that failed or is done; nothing where there is no run.

    The first process writes it; another one does if it has lost the first.
    """
    lost = isinstance(failure, PeerLost)
    if not folder.config.exists() or (number() and (not lost or folder.exit.exists())):
        return
    code, what = (failure.code, in_json(failure)) if failure else (0, {"kind": "Done", "message": ""})
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    said = {"code": code, "kind": what["kind"], "message": what["message"], "time": moment}
    with suppress(Failure), replacing(folder.exit) as temporary:
        temporary.write_text(to_strict_json(said) + "\n", encoding="utf-8")
