"""An experiment to and from JSON, its fields changed by name ("training.lr").

An unknown name is refused with the nearest that exists.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ddpm.data.decoding.scaled import FULL
from ddpm.errors import SHOWN, UsageError, chosen
from ddpm.experiment.config import Experiment
from ddpm.models.networks import KINDS, kind_of
from ddpm.models.shape import ALL_CLASSES, OF_OTHERS, UNetShape

_ADAPTER = TypeAdapter(Experiment)
UNKNOWN: Mapping[str, int | tuple[()]] = {"data.shape": (), "data.levels": 0}
"""How old files wrote what the data will say; now it is null, which a run that has begun has nowhere."""
NOT_GIVEN: Mapping[str, int | tuple[()]] = {
    **UNKNOWN,
    **{"data.class_names": (), "data.resolution": (), "data.channels": 0, "data.workers": -1},
    **{"model.classes": 0, "schedule.beta": (), "rhythm.budget": 0},
    **{"model.head_channels": 0, "model.time_channels": 0, "model.time_embedding": 0},
}
"""How JSON, and whoever types a setting, writes that it is not given: None in an experiment."""
BEFORE: Mapping[str, Mapping[str, Any]] = {"data": {"decoding": FULL}}
"""What settings are, by their sections, in files that were written before there were such settings: what was done then."""
ALL_IN_JSON = -1
"""How JSON writes `ALL_CLASSES`."""
_LIMITS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "less_than": lambda context: f"less than {context['lt']:g}" if math.isfinite(context["lt"]) else "finite",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "too_short": lambda context: f"a list of at least {context['min_length']}",
    "too_long": lambda context: f"a list of at most {context['max_length']}",
    "literal_error": lambda context: context["expected"],
}
"""What a value must be, by pydantic's name of what is wrong and its numbers; where these do not matter, `_KINDS`."""
_KINDS = {
    **{"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "a list"},
    "none": "not given",
}


def to_json(experiment: Experiment) -> str:
    """The text of config.json. What the networks of others do otherwise is in it only where this one does so too."""
    values, model = spelled(experiment), experiment.model
    if isinstance(model, UNetShape):
        usual = {name for name in OF_OTHERS if getattr(model, name) == getattr(UNetShape(), name)}
        values["model"] = {name: value for name, value in values["model"].items() if name not in usual}
    return json.dumps(values, indent=1) + "\n"


def spelled(experiment: Experiment) -> dict[str, Any]:
    """The fields as JSON writes them."""
    values = asdict(experiment)
    for place, spelling in NOT_GIVEN.items():
        section, name = place.split(".")
        if values[section].get(name, 0) is None and place not in UNKNOWN:
            values[section][name] = spelling
    if values["model"]["classes"] == ALL_CLASSES:
        values["model"]["classes"] = ALL_IN_JSON
    return values


def _meant(place: str, value: object) -> object:
    """What a setting is that was written so."""
    if place == "model.classes" and value == ALL_IN_JSON:
        return ALL_CLASSES
    written = tuple(value) if isinstance(value, list) else value
    return None if place in NOT_GIVEN and written == NOT_GIVEN[place] else value


def from_dict(values: object) -> Experiment:
    """An experiment from what JSON holds; where a list is asked for, a single number is one of one.

    Raises:
        UsageError: an unknown field, or an impossible value; the message names it.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"a configuration is an object with fields, not {type(values).__name__}")
    like, values = _like(values), _with_what_was(values)
    try:
        experiment = _ADAPTER.validate_python(_named(values, like, ""))
    except ValidationError as error:
        first, *more = error.errors()
        place = _place(first["loc"], like)
        same = [
            first,
            *(each for each in more if _place(each["loc"], like) == place and each["input"] is first["input"]),
        ]
        wanted = ", or ".join(dict.fromkeys(_wanted(each["type"], each.get("ctx", {})) for each in same))
        if NOT_GIVEN.get(place, ()) != ():
            wanted = f"{NOT_GIVEN[place]}{', ' if first['type'] == 'literal_error' else ', or '}{wanted}"
        lists = first["type"].startswith(("tuple", "too_"))
        hint = "several values are written with commas, such as 32,32" if lists else ""
        raise _wrong(place, first["input"], wanted, hint) from error
    for name, value in flat(asdict(experiment)).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):  # JSON has no way to write it
                raise _wrong(name, number, "finite")
    return experiment


def _wrong(place: str, value: object, wanted: str, hint: str = "") -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    return UsageError(f"wrong value for {place}: {shown}: it must be {wanted}", hint)


def _wanted(kind: str, context: Mapping[str, Any]) -> str:
    """In our words, which kind of value is asked for."""
    if kind in _LIMITS:
        return _LIMITS[kind](context)
    return _KINDS.get(kind.split("_", maxsplit=1)[0], "an object with fields")


def _with_what_was(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the settings that a section of an older file does not have."""
    added = {name: {**BEFORE[name], **values[name]} for name in BEFORE if isinstance(values.get(name), Mapping)}
    return {**values, **added}


def _like(values: Mapping[str, Any]) -> Experiment:
    """One with the fields that these values are for: those of a model depend on its kind."""
    kind = kind_of(values.get("model"))
    return Experiment() if kind == "unet" else Experiment(model=chosen(KINDS, kind, "kind of model")())


def _place(parts: Sequence[str | int], like: Experiment) -> str:
    """The setting that pydantic's path leads to, which goes on inside lists and alternatives, and names the kind of a model."""
    names: list[str] = []
    here: object = like
    for part in parts:
        if names == ["model"] and part in KINDS:
            continue
        if is_dataclass(here):
            here = getattr(here, str(part))
        elif isinstance(here, dict):
            here = None
        else:
            break
        names.append(str(part))
    return ".".join(names)


def _named(values: Mapping[str, Any], like: object, place: str) -> dict[str, Any]:
    """The values, all under names that `like` has, single ones as lists where `like` has a tuple."""
    known = {f.name: getattr(like, f.name) for f in fields(like)} if is_dataclass(like) else {}
    result = {}
    for name, value in values.items():
        if not place and name not in known and (meant := _ending_in(name)):
            raise UsageError(f"unknown setting: {name!r}", f"did you mean {' or '.join(meant)}?")
        current, here = chosen(known, name, f"setting of {place[:-1]}" if place else "setting"), f"{place}{name}"
        if is_dataclass(current) and isinstance(value, Mapping):
            result[name] = _named(value, current, f"{here}.")
            continue
        for number in value if isinstance(value, list | tuple) else (value,):
            if isinstance(number, int) and abs(number) >= 2**63:
                raise _wrong(here, number, "less than 2^63")
        written = NOT_GIVEN.get(here, current)
        if isinstance(value, bool) and isinstance(written, int | float) and not isinstance(written, bool):
            raise _wrong(here, value, "a number")
        single = isinstance(written, tuple) and isinstance(value, int | float)
        result[name] = (value,) if single else _meant(here, value)
    return result


def _ending_in(name: str) -> list[str]:
    """The settings by their paths whose last part this is: of "lr" training.lr."""
    return [path for path in flat(asdict(Experiment())) if path.endswith(f".{name}")]


NOTHING: Mapping[str, Any] = {}
"""No settings."""


def changed(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """The experiment with fields replaced: {"training.lr": 1e-4, "schedule.options.beta_T": 0.03}.

    Raises:
        UsageError: as `from_dict`.
    """
    values = spelled(experiment)
    for path, value in settings.items():
        *sections, name = path.split(".")
        here = values
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                raise UsageError(f"no setting {path!r}: {section!r} is a value")
        here[name] = value
    return from_dict(values)


def compared(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings that are not the same, by their paths, with both values."""
    before, after = flat(spelled(old)), flat(spelled(new))
    names = [*before, *(name for name in after if name not in before)]
    return {n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}


def differences(old: Experiment, new: Experiment) -> list[str]:
    """What changed, as "training.lr: 0.0002 -> 0.0001"."""
    return [f"{name}: {before} -> {after}" for name, (before, after) in compared(old, new).items()]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their paths: {"training.lr": 2e-4, ...}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
