"""`ddpm train` on the terminal: the experiment that the flags ask for, and the run as it goes."""

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch

from ddpm.checkpoints.background import Noted
from ddpm.cli.console import Bar, note
from ddpm.cli.processes import leave
from ddpm.errors import UsageError, chosen
from ddpm.experiment.config import ALL_CLASSES, TABLE, Experiment
from ddpm.experiment.presets import PRESETS
from ddpm.experiment.settings import changed, from_dict
from ddpm.run.ending import followed
from ddpm.run.events import Event, Logged, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.storage.atomic import read_json
from ddpm.trained.schedules import read_table

FLAGS = {
    "steps": "training.steps",
    "batch_size": "training.batch_size",
    "lr": "training.lr",
    "seed": "training.seed",
    "schedule": "schedule.name",
    "prediction": "process.prediction",
    "variance": "process.variance",
    "objective": "objective",
    "precision": "precision",
}


def requested(options: Namespace) -> Experiment:
    """The preset (or file), changed by the flags, then by --set.

    Raises:
        UsageError: names or values that make no experiment.
        NotFound: no such configuration file.
    """
    if options.config and options.preset:
        raise UsageError("--config and --preset exclude each other")
    if options.config:
        base = from_dict(read_json(Path(options.config).expanduser()))
    else:
        name = options.preset or ("digits" if options.data == "digits" else "small")
        base = chosen(PRESETS, name, "preset")()
    settings: dict[str, Any] = {"data.source": options.data}
    settings |= {path: getattr(options, flag) for flag, path in FLAGS.items() if getattr(options, flag) is not None}
    if options.schedule not in (None, base.schedule.name):
        settings |= {"schedule.options": {}, "schedule.beta": []}
    if options.schedule and options.schedule.endswith(".json"):
        beta = read_table(Path(options.schedule).expanduser())
        settings |= {"schedule.name": TABLE, "schedule.T": len(beta), "schedule.beta": beta}
    if options.conditional:
        settings["model.classes"] = ALL_CLASSES
    return changed(base, settings | assignments(options.set))


def assignments(texts: Sequence[str], flag: str = "--set A.B=VALUE") -> dict[str, Any]:
    """What a flag like --set A.B=VALUE says.

    Raises:
        UsageError: there is no "=", or nothing before it.
    """
    settings = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise UsageError(f"{flag.replace(' ', ' needs ')}: {text!r}")
        settings[path] = _value(value)
    return settings


def _value(text: str) -> Any:  # noqa: ANN401
    """A number, true or false, a list such as 1,2,2, or text."""
    for shape in ("{}", "[{}]"):
        with suppress(ValueError, RecursionError):
            return json.loads(shape.replace("{}", text))
    return text


def follow(experiment: Experiment, folder: RunFolder, device: torch.device, resume: str) -> None:
    """Train, showing what happens.

    Raises:
        Interrupted, Stopped: on a signal, once the state is saved.
    """
    with followed(experiment, folder, device, resume, leave, _heard) as (_, events):
        started = next(events)
        assert isinstance(started, Started)
        _introduce(started, folder, device)
        _show_all(events, Bar(started.experiment.training.steps, "training", started.step))


def _heard(text: str) -> None:
    """Say so inside a signal handler, from which print() must not be entered again."""
    os.write(2, f"\nddpm: {text}\n".encode())


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
