"""`ddpm train` on the terminal: the run as it goes."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import torch

from ddpm.checkpoints.background import Noted
from ddpm.cli.signals import Stop, stop_in_order
from ddpm.cli.terminal.console import Bar, note
from ddpm.cli.terminal.processes import leave
from ddpm.errors import CannotCreate, Failure, PeerLost, explained, in_json
from ddpm.experiment.config import Experiment
from ddpm.parallel.launch import number
from ddpm.run.events import Event, Halted, Logged, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.train import train_run
from ddpm.storage.atomic import replacing, to_strict_json


def follow(experiment: Experiment, folder: RunFolder, device: torch.device, resume: str) -> None:
    """Train, showing what happens; how it ended is written to exit.json.

    Raises:
        Interrupted, Stopped: on a signal, once the state is saved.
    """
    abandon = partial(_abandon, folder)
    with (
        stop_in_order(abandon) as stop,
        _recorded(folder),
        closing(train_run(experiment, folder, device, resume, stop, abandon)) as events,
    ):
        started = next(events)
        stop.begun = True
        assert isinstance(started, Started)
        _introduce(started, folder, device)
        _show_all(events, Bar(started.experiment.training.steps, "training", started.step), stop)


def _show_all(events: Iterator[Event], bar: Bar, stop: Stop) -> None:
    """Everything up to the end.

    Raises:
        Interrupted, Stopped: it was asked for.
    """
    halted = None
    try:
        for event in events:
            match event:
                case Stepped():
                    bar.advance()
                case Logged():
                    _show(event.row, bar)
                case Noted():
                    bar.say(f"ddpm: {event.text}")
                case Halted():
                    halted = event  # the last one; the processes take leave of each other before any ends
                case _:
                    pass
    finally:
        bar.close()
    if halted:
        raise stop.failure(halted.step)


@contextmanager
def _recorded(folder: RunFolder) -> Iterator[None]:
    """Write RUN/exit.json, however the run ends (a full disk may prevent it: what matters has been said then).

    Unless another process is at the folder: it is that one's run.
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


def _abandon(folder: RunFolder, failure: Failure) -> None:
    """Leave at once, saying so in the folder, unless another run is at it."""
    with suppress(OSError):
        if number() or not folder.in_use_by_another():
            _write_exit(folder, failure)
    leave(failure)


def _write_exit(folder: RunFolder, failure: Failure | None = None) -> None:
    """Of a run that failed, or is done: by the first process, or by another one that lost it; not where there is no run."""
    lost = isinstance(failure, PeerLost)
    if not folder.config.exists() or (number() and (not lost or folder.exit.exists())):
        return
    code, told = (failure.code, in_json(failure)) if failure else (0, {"kind": "Done", "message": ""})
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    said = {"code": code, "kind": told["kind"], "message": told["message"], "time": moment}
    with suppress(Failure), replacing(folder.exit) as temporary:
        temporary.write_text(to_strict_json(said) + "\n")


def _introduce(started: Started, folder: RunFolder, device: torch.device) -> None:
    experiment = started.experiment
    for line in started.notes:
        note(f"ddpm: {line}")
    recipe, data = experiment.training, experiment.data
    held_out = f", {started.held_out:,} held out" if started.held_out else ""
    note(
        f"{experiment.preset}: {started.parameters:,} parameters; {started.images:,} images "
        f"{'x'.join(str(side) for side in data.shape)} of {data.levels} levels{held_out}"
    )
    note(
        f"{experiment.schedule.name} schedule, T = {experiment.schedule.T}; {recipe.steps:,} steps of {recipe.batch_size} "
        f"images; {started.precision} on {device}, {torch.get_num_threads()} threads{_shared(started)}; in {folder.path}"
    )
    if started.step >= recipe.steps:
        note(f"all {started.step:,} steps are done; more --steps go further")
    elif started.step:
        note(f"going on from step {started.step:,}")


def _shared(started: Started) -> str:
    """How the work is shared, if it is."""
    if started.processes == 1:
        return ""
    shards = ", the network in shards" if started.experiment.parallel == "fsdp" else ""
    each = started.experiment.training.batch_size / started.processes
    return f" in each of {started.processes} processes, {each:g} images each{shards}"


def _show(row: dict[str, Any], bar: Bar) -> None:
    bar.show(f"loss {row['loss']:.4f}")
    if "bits_per_dim" in row:
        bar.say(
            f"step {row['step']:>7,}   loss {row['loss']:.4f}   held out "
            f"{row['bits_per_dim']:.3f} ± {row['bits_per_dim_stderr']:.3f} bits/dim   {row['seconds']:,.0f} s"
        )
