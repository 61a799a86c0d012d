"""What binds a checkpoint to its run: all settings but those that may change while a run goes on.

They are in the numbers of every checkpoint, whose digests guard them. Older checkpoints do not have them, and are still read.
"""

from collections.abc import Mapping
from typing import Any

from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import compared, from_dict, spelled

MAY_CHANGE = (
    *("preset", "training.steps", "training.accumulate", "rhythm.", "compile", "parallel"),
    *("data.source", "data.workers"),
)
"""What a resumed run may set anew: how far, how often, from where, by whom. (Where the learning rate decays towards the end of the
run, another end changes the steps that are left.)"""
READS = ("schedule.", "process.", "model.", "data.shape", "data.levels", "data.class_names")
"""What decides how weights are read."""
KEY = "experiment"
"""Where it is in a checkpoint's numbers."""


def binding(experiment: Experiment) -> dict[str, Any]:
    """What a checkpoint says of its experiment: as in config.json, without what may change."""
    return _bound(spelled(experiment), "")


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


def unlike(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings in which two experiments are not the same run, with both values."""
    return {name: both for name, both in compared(old, new).items() if not name.startswith(MAY_CHANGE)}


def misread(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings by which two experiments read the same weights otherwise, with both values."""
    return {name: both for name, both in compared(old, new).items() if name.startswith(READS)}
