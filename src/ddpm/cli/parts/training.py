"""`ddpm train` on the terminal: the run as it goes."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import torch

from ddpm.checkpoints import Noted
from ddpm.cli.terminal.console import Bar, as_flags, note, question, remark
from ddpm.cli.terminal.processes import leave
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted
from ddpm.experiment.config import Experiment
from ddpm.experiment.duration import in_words
from ddpm.run.ending import ended_in_order, heard
from ddpm.run.events import Event, Expected, Logged, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.pace import ends_by_time
from ddpm.run.plan import DAY, Consent, how_long, refuse
from ddpm.run.start import Start

SMALLEST = 16
"""Smaller images than this are not proposed."""
FEW = 2000
"""Steps of training below which images of anything but digits show little."""


def follow(
    experiment: Experiment, folder: RunFolder, device: torch.device, start: Start, consent: Consent | None = None
) -> None:
    """Train, showing what happens.

    Raises:
        Interrupted, Stopped: on a signal, once the state is saved.
    """
    with ended_in_order(experiment, folder, device, start, leave, _heard, consent) as (_, events):
        started = next(events)
        assert isinstance(started, Started)
        _introduce(started, folder, device)
        total = None if ends_by_time(started.experiment) else started.experiment.training.steps
        _show_all(events, Bar(total, "training", started.step), started)


def _heard(text: str) -> None:
    heard(said(text))


def ask(experiment: Experiment, seconds: float) -> None:
    """Whether so long a training is meant: a question on a terminal; where there is none, it is refused.

    Raises:
        UsageError: it is not meant, or there is nobody to ask.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty() and question(f"{how_long(experiment, seconds)}. Begin it?")):
        refuse(experiment, seconds)


def _show_all(events: Iterator[Event], bar: Bar, started: Started) -> None:
    """Everything up to the end."""
    with closing(bar):
        for event in events:
            match event:
                case Stepped():
                    bar.advance()
                case Expected():
                    _forecast(event, bar, started)
                case Logged():
                    _show(event.row, bar)
                case Noted():
                    bar.say(f"ddpm: {event.text}")
                case _:
                    pass


def _forecast(expected: Expected, bar: Bar, started: Started) -> None:
    """How long it will take, once that is known."""
    by_time = ends_by_time(started.experiment)
    timed = by_time or expected.planned is not None
    bar.expect(expected.steps, time.monotonic() + expected.seconds if timed else None)
    end = time.strftime(
        "%H:%M" if expected.seconds < DAY else "%Y-%m-%d %H:%M", time.localtime(time.time() + expected.seconds)
    )
    bar.say(
        f"ddpm: a step takes {expected.per_step:.2g} s: {expected.steps:,} steps are done in about "
        f"{in_words(expected.seconds)}, at {end}"
    )
    if expected.planned is not None:
        bar.say(
            f"ddpm: warning: the time is over after about {expected.steps:,} of the {expected.planned:,} steps that were planned, "
            "before the learning rate has fallen to its end: a longer --budget plans again"
        )
    if expected.seconds > DAY:
        bar.say(
            f"ddpm: warning: this training takes about {in_words(expected.seconds)}; Ctrl-C stops it, and saves what there is"
        )
    if by_time and expected.steps < FEW:
        side = min(started.experiment.shape[1:]) // 2
        smaller = f", or smaller images (--set data.resolution={side})" if side >= SMALLEST else ""
        bar.say(
            f"ddpm: warning: only about {expected.steps:,} steps fit into the time, and images need some {FEW:,} to show "
            f"anything: a longer --budget{smaller}"
        )


def _introduce(started: Started, folder: RunFolder, device: torch.device) -> None:
    experiment = started.experiment
    for line in (*started.notes, *started.told, *started.data):
        remark(as_flags(said(f"ddpm: {line}")))
    recipe = experiment.training
    held_out = f", {started.held_out:,} held out" if started.held_out else ""
    note(
        f"{experiment.preset}: {started.parameters:,} parameters; {counted(started.images, 'image')} "
        f"{'x'.join(str(side) for side in experiment.shape)} of {experiment.levels} levels{held_out}"
    )
    note(
        f"{experiment.schedule.name} schedule, T = {experiment.schedule.T}; {_length(started)}, of "
        f"{counted(recipe.batch_size, 'image')}; {started.precision} on {device}, "
        f"{counted(torch.get_num_threads(), 'thread')}{_shared(started)}; in {folder.path}"
    )
    if started.step and started.left is not None and started.left <= 0:
        note(f"the time is used up, after {counted(started.step, 'step')}; a longer --budget goes further")
    elif started.step >= recipe.steps and not ends_by_time(experiment):
        note(
            f"all {counted(started.step, 'step')} {'is' if started.step == 1 else 'are'} done; more --steps go further"
        )
    elif started.step:
        note(f"going on from step {started.step:,}")


def _length(started: Started) -> str:
    """How many steps there are, and in which time if there is one."""
    experiment, left = started.experiment, started.left
    steps = counted(experiment.training.steps, "step")
    if left is None:
        return steps
    if left <= 0 and started.step:
        return f"{counted(started.step, 'step')} in {_budget(started)}"
    if ends_by_time(experiment):
        return f"as many steps as fit into {_time(started)}" if left >= 1 else f"a step at least, as {_time(started)}"
    return f"{steps} in {_time(started)}" if left >= 1 else f"{steps}, as {_time(started)}"


def _time(started: Started) -> str:
    """The time that is left for steps, or that hardly any is, and where the rest of the budget went."""
    left, budget = max(started.left or 0.0, 0.0), _budget(started)
    before = "earlier steps, and " if started.step else ""
    rest = f"({before}looking at the data and trying steps out, took the rest)"
    if left < 1:
        return f"less than a second is left of {budget} {rest}"
    return budget if in_words(left) == budget else f"the {in_words(left)} that are left of {budget} {rest}"


def _budget(started: Started) -> str:
    """All the time that there was."""
    budget = started.experiment.rhythm.budget
    assert budget is not None
    return in_words(budget) if budget >= 1 else f"{budget:g} s"


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
