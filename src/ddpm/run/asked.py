"""The experiment that somebody asks for in a run folder.

Where a run goes on, it is that run's, and what is given is held against it. Where one begins with the weights of another, it is that
other one's. Else it is a preset.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.binding import may_change
from ddpm.experiment.config import Experiment
from ddpm.experiment.history import CHANGEABLE, recipe_at
from ddpm.experiment.request import requested, usual_preset
from ddpm.experiment.settings import NOTHING, changed, compared
from ddpm.run.fine_tune import begun_with, successor
from ddpm.run.folder import RunFolder
from ddpm.run.imported import place
from ddpm.run.start import From, Start, ways_on


def asked_for(
    folder: RunFolder,
    start: Start,
    source: str | None,
    preset: str | None = None,
    config: Path | None = None,
    short: Mapping[str, Any] = NOTHING,
    settings: Mapping[str, Any] = NOTHING,
    *,
    conditional: bool = False,
    init_from: str | Path | None = None,
    init_weights: str = "ema",
    device_type: str = "cpu",
) -> Experiment:
    """What a run in `folder` that starts so is to do.

    Args:
        folder: where it is to be done.
        start: how; `start.change` are settings to be changed from here on.
        source: of the images; None for those of the run that goes on.
        preset: a name; None for that of the run that goes on, or that the weights are of, else as `requested`.
        config: a config.json instead of a preset.
        short: by names of `request.SHORT`; None changes nothing.
        settings: by their paths in config.json.
        conditional: whether the classes of the data are learned.
        init_from: a run, or a checkpoint, with whose weights a new run begins.
        init_weights: which of its weights.
        device_type: where it is to be done: of a new run, the preset follows from it.

    Raises:
        UsageError: names or values that make no experiment; nothing to train on, or to change; ways to start that exclude each other.
        NotFound: no such configuration file, schedule, run or checkpoint.
        DataError: a file that holds none, or is damaged.
        Mismatch: the run began with other weights, or a setting is to be changed that cannot be.
    """
    own = start.own(folder)
    path = None if init_from is None else place(init_from)
    if path is not None and isinstance(start, From):
        raise UsageError(
            "`init_from` and a checkpoint to resume from exclude each other", "`resume` goes on with a run"
        )
    if own is None and start.change:
        raise UsageError(
            f"there is no run in {str(folder.path)!r} in which to change {next(iter(start.change))}",
            "of a new run, the settings say how it begins",
        )
    if source is None and own is None:
        raise UsageError(
            f"there is nothing to train on: no `data`, and no run in {str(folder.path)!r} to go on with",
            "`data=SOURCE` says what a new run trains on",
        )
    base = own
    if own is None and path is not None:
        base = successor(*begun_with(path, init_weights))
    init = base.init if base is not None else None
    if own is not None and path is not None:
        _require_begun_with(own, path, init_weights, folder)
    if config is not None or (base is not None and preset not in (None, base.preset)):
        base = None
    settings = {**settings, **(_without_a_step(own, start, folder) if own is not None else {})}
    here = source if source is not None else start.images(folder)
    if preset is None and base is None and config is None:
        preset = usual_preset(here, device_type)
    found = requested(here, preset, config, short, settings, conditional=conditional, base=base)
    changes = own.changes if own is not None else ()
    return replace(_as_changed(found, own), init=init, changes=changes)


def _as_changed(found: Experiment, own: Experiment | None) -> Experiment:
    """The flags with which a run was started are its flags still, though something was changed since."""
    if own is None:
        return found
    first = recipe_at(own.training, own.changes, -1)
    kept = {
        name: getattr(own.training, name)
        for name in (setting.removeprefix("training.") for setting in CHANGEABLE)
        if getattr(found.training, name) == getattr(first, name)
    }
    return replace(found, training=replace(found.training, **kept))


def _without_a_step(own: Experiment, start: Start, folder: RunFolder) -> dict[str, Any]:
    """Of what is to be changed, that which a run may have anew at any start.

    Raises:
        UsageError: no such setting, or a value that is none.
        Mismatch: a setting that no run changes.
    """
    found = compared(own, changed(own, start.change))
    odd = [
        f"{name}: {old} -> {new}"
        for name, (old, new) in found.items()
        if not may_change(name) and name not in CHANGEABLE
    ]
    if odd:
        raise Mismatch(
            f"cannot change in the middle of a run: {'; '.join(odd)}: {str(folder.path)!r}",
            *ways_on(start.command(folder), {}, changeable=False),
        )
    return {name: value for name, value in start.change.items() if may_change(name)}


def _require_begun_with(own: Experiment, path: Path, weights: str, folder: RunFolder) -> None:
    """The run in the folder began with these weights; where the path is the same they are not looked for."""
    if own.init is not None and (own.init.path, own.init.weights) == (str(path.absolute()), weights):
        return
    _, asked = begun_with(path, weights)
    if own.init is None or own.init.digest != asked.digest:
        began = f"{own.init.path!r}, step {own.init.step:,}" if own.init is not None else "new ones"
        raise Mismatch(
            f"the run in {str(folder.path)!r} began with other weights: {began} -> {str(path)!r}, step {asked.step:,}",
            "another `output_dir` begins a new run with them",
        )
