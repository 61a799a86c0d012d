"""The experiment that somebody asks for: a preset, or a configuration, changed by a few names."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ddpm.data.splits import Options
from ddpm.errors import DataError, UsageError, chosen
from ddpm.experiment.config import TABLE, Experiment
from ddpm.experiment.duration import seconds_of
from ddpm.experiment.presets import PRESETS
from ddpm.experiment.settings import changed, flat, from_dict
from ddpm.models.shape import ALL_CLASSES
from ddpm.storage.atomic import read_json

SHORT = {
    "steps": "training.steps",
    "batch_size": "training.batch_size",
    "lr": "training.lr",
    "seed": "training.seed",
    "schedule": "schedule.name",
    "prediction": "process.prediction",
    "variance": "process.variance",
    "objective": "objective",
    "precision": "precision",
    "budget": "rhythm.budget",
}
"""Short names of settings that are asked for most often: flags of `ddpm train`, keywords of `ddpm.fit`."""


HISTORY = {
    "init": "`init_from=RUN` begins with the weights of another run",
    "changes": "`change` gives a setting another value from here on",
}
"""What is in a config.json and is no setting, and what is meant."""


def requested(
    source: str,
    preset: str | None = None,
    config: Path | None = None,
    short: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    conditional: bool = False,
    base: Experiment | None = None,
) -> Experiment:
    """The preset (or configuration file), changed by `short` names, then by full names of `settings`.

    Args:
        source: of the images.
        preset: a name of `PRESETS`; None for that of `usual_preset` on a GPU.
        config: a config.json instead of a preset.
        short: by names of `SHORT`; None as a value changes nothing.
        settings: by their paths in config.json, such as "model.channels".
        conditional: whether the classes of the data are learned.
        base: an experiment instead of a preset.

    Raises:
        UsageError: names or values that make no experiment, or steps and a budget.
        NotFound: no such configuration file, or schedule.
        DataError: a file that holds none.
    """
    if config and preset:
        raise UsageError("--config and --preset exclude each other")
    for name in settings or {}:
        if name.partition(".")[0] in HISTORY:
            raise UsageError(f"cannot be set: {name!r}: it is what was done in a run", *HISTORY.values())
    if config:
        base = replace(from_dict(read_json(config.expanduser())), init=None, changes=())
    elif base is None:
        base = chosen(PRESETS, preset or usual_preset(source, "cuda"), "preset")()
    found: dict[str, Any] = {"data.source": source}
    found |= {SHORT[name]: value for name, value in (short or {}).items() if value is not None}
    schedule = (short or {}).get("schedule")
    if not isinstance(schedule, str | None):
        raise UsageError(
            f"schedule is a name, or a file of its betas, not {type(schedule).__name__}", "ddpm.train takes a Schedule"
        )
    if schedule not in (None, base.schedule.name):
        found |= {"schedule.options": {}, "schedule.beta": None}
    if schedule and schedule.endswith(".json"):
        beta = read_table(Path(schedule).expanduser())
        found |= {"schedule.name": TABLE, "schedule.T": len(beta), "schedule.beta": beta}
    if conditional:
        found["model.classes"] = ALL_CLASSES
    found |= dict(settings or {})
    if isinstance(found.get("rhythm.budget"), str):
        found["rhythm.budget"] = seconds_of(found["rhythm.budget"])
    if "training.steps" in found and found.setdefault("rhythm.budget", 0):
        raise UsageError(
            f"a budget and a number of steps exclude each other: {found['rhythm.budget']} seconds and "
            f"{found['training.steps']} steps",
            "give one of `budget` and `steps`",
        )
    return changed(base, found)


READ = tuple(
    f"data.{name}"
    for name in (
        "resolution",
        "channels",
        "levels",
        "layout",
        "max_broken",
        "held_out",
        "in_memory",
        "workers",
        "decoding",
    )
)
"""How images are read; the other settings of the data say which they are, and what a training makes of them."""


def reading(settings: Mapping[str, Any], taken: Sequence[str] = READ) -> Options:
    """How a source of images is read.

    Args:
        settings: such as ``{"data.resolution": 32}``.
        taken: those that may be set.

    Raises:
        UsageError: another setting, or a value that it cannot have.
    """
    if other := next((name for name in settings if name not in taken), None):
        raise UsageError(f"no setting of how images are read here: {other!r}", f"choose from {', '.join(taken)}")
    return changed(Experiment(), settings).data.options()


def says_how_long(config: Path | None, short: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether somebody said how many steps there are to be, or how much time: then nobody is asked whether they mean it."""
    named = {SHORT[name] for name, value in short.items() if name in SHORT and value is not None} | settings.keys()
    return config is not None or bool(named & {"training.steps", "rhythm.budget"})


def usual_preset(source: str, device_type: str) -> str:
    """The preset of a new run where none is named: "digits" for the digits; "laptop" on a CPU, else "small".

    Args:
        source: of the images.
        device_type: "cpu", "cuda" or "mps".
    """
    return "digits" if source == "digits" else "laptop" if device_type == "cpu" else "small"


def path_of(name: str) -> str:
    """The path in config.json of a setting that is named by its path, or by its last part where no other has it.

    Raises:
        UsageError: there is no such setting, or several.
    """
    paths = list(flat(asdict(Experiment())))
    paths = [path for path in paths if path not in HISTORY] + ["schedule.options"]
    if name in paths or name.startswith("schedule.options."):
        return name
    ends = [path for path in paths if path.rpartition(".")[2] == name]
    if len(ends) > 1:
        raise UsageError(
            f"several settings are called {name!r}", f"settings={{...}} takes {' or '.join(map(repr, ends))}"
        )
    if not ends:
        near = difflib.get_close_matches(name, [*SHORT, *(path.rpartition(".")[2] for path in paths)], n=1)
        raise UsageError(
            f"no setting {name!r}",
            f"did you mean {near[0]!r}?" if near else "print(ddpm.Experiment()) shows all of them",
        )
    return ends[0]


def read_table(path: Path) -> list[float]:
    """The betas for t = 1..T in a file that `ddpm schedule --json` wrote.

    Raises:
        NotFound: no such file.
        DataError: it is no JSON, or holds no list "beta" of numbers between 0 and 1.
    """
    values = read_json(path)
    beta = values.get("beta") if isinstance(values, dict) else None
    if not isinstance(beta, list) or not beta:
        raise DataError(f'{str(path)!r} holds no schedule: a list "beta" for t = 1..T is needed')
    for t, value in enumerate(beta, start=1):
        if not isinstance(value, float) or not 0 < value < 1:
            raise DataError(f"{str(path)!r} holds no schedule: beta for t = {t} is {value!r}, not between 0 and 1")
    return beta
