"""`ddpm train` on the terminal: the run as it goes."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import torch

from ddpm.checkpoints import Noted
from ddpm.cli.terminal.console import Bar, note
from ddpm.cli.terminal.processes import leave
from ddpm.experiment.config import Experiment
from ddpm.run.ending import ended_in_order, heard
from ddpm.run.events import Event, Logged, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.start import Start


def follow(experiment: Experiment, folder: RunFolder, device: torch.device, start: Start) -> None:
    """Train, showing what happens.

    Raises:
        Interrupted, Stopped: on a signal, once the state is saved.
    """
    with ended_in_order(experiment, folder, device, start, leave, heard) as (_, events):
        started = next(events)
        assert isinstance(started, Started)
        _introduce(started, folder, device)
        _show_all(events, Bar(started.experiment.training.steps, "training", started.step))


def _show_all(events: Iterator[Event], bar: Bar) -> None:
    """Everything up to the end."""
    with closing(bar):
        for event in events:
            match event:
                case Stepped():
                    bar.advance()
                case Logged():
                    _show(event.row, bar)
                case Noted():
                    bar.say(f"ddpm: {event.text}")
                case _:
                    pass


def _introduce(started: Started, folder: RunFolder, device: torch.device) -> None:
    experiment = started.experiment
    for line in started.notes:
        note(f"ddpm: {line}")
    recipe = experiment.training
    held_out = f", {started.held_out:,} held out" if started.held_out else ""
    note(
        f"{experiment.preset}: {started.parameters:,} parameters; {started.images:,} images "
        f"{'x'.join(str(side) for side in experiment.shape)} of {experiment.levels} levels{held_out}"
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
