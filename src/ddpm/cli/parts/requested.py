"""The experiment that the flags of `ddpm train` ask for."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from ddpm.cli.flags.settings import assignments
from ddpm.errors import UsageError, chosen
from ddpm.experiment.config import ALL_CLASSES, TABLE, Experiment
from ddpm.experiment.presets import PRESETS
from ddpm.experiment.settings import changed, from_dict
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
