"""What binds a checkpoint to its run: all settings but those that may change while a run goes on.

They are in the numbers of every checkpoint, whose digests guard them. Older checkpoints do not have them, and are still read.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ddpm.experiment.config import Experiment
from ddpm.experiment.history import recipe_at
from ddpm.experiment.settings import compared, from_dict, spelled

MAY_CHANGE = (
    *("preset", "training.steps", "training.accumulate", "rhythm.", "compile", "gradient_checkpointing", "parallel"),
    *("data.source", "data.workers", "init", "changes"),
)
"""What a resumed run may set anew: how far, how often, from where, by whom. (Where the learning rate decays towards the end of the
run, another end changes the steps that are left.)"""
READS = ("schedule.", "process.", "model.", "data.shape", "data.levels", "data.class_names")
"""What decides how weights are read."""
KEY = "experiment"
"""Where it is in a checkpoint's numbers."""


def binding(experiment: Experiment, step: int) -> dict[str, Any]:
    """What the checkpoint of a step says of its experiment: as in config.json, without what may change."""
    return _bound(spelled(as_of(experiment, step)), "")


def as_of(experiment: Experiment, step: int) -> Experiment:
    """The experiment as it was when `step` steps were done: without the changes from there on."""
    return replace(experiment, training=recipe_at(experiment.training, experiment.changes, step - 1))


def _bound(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in values.items():
        inside = isinstance(value, dict)
        if not f"{place}{name}{'.' if inside else ''}".startswith(MAY_CHANGE):
            kept[name] = _bound(value, f"{place}{name}.") if inside else value
    return kept


def experiment_in(numbers: Mapping[str, Any]) -> Experiment | None:
    """The experiment that a checkpoint with these numbers is bound to; what may change is as by default. None in older ones.

    Raises:
        UsageError: what is there is no experiment.
    """
    return from_dict(numbers[KEY]) if KEY in numbers else None


def may_change(setting: str) -> bool:
    """Whether a run may go on with another value of this."""
    return setting.startswith(MAY_CHANGE)


def unlike(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings in which two experiments are not the same run, with both values."""
    return {name: both for name, both in compared(old, new).items() if not may_change(name)}


def misread(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings by which two experiments read the same weights otherwise, with both values."""
    return {name: both for name, both in compared(old, new).items() if name.startswith(READS)}
