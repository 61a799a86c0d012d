"""An experiment to and from JSON, its fields changed by name ("training.lr").

An unknown name is refused with the nearest that exists.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ddpm.errors import UsageError, chosen
from ddpm.experiment import Experiment

_ADAPTER = TypeAdapter(Experiment)


def to_json(experiment: Experiment) -> str:
    """The text of config.json."""
    return json.dumps(asdict(experiment), indent=1) + "\n"


def from_dict(values: object) -> Experiment:
    """An experiment from what JSON holds; where a list is asked for, a single number is one of one.

    Raises:
        UsageError: an unknown field, or an impossible value; the message names it.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"a configuration is an object with fields, not {type(values).__name__}")
    try:
        return _ADAPTER.validate_python(_named(values, Experiment(), ""))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        hint = (
            "several values are written with commas, such as 32,32"
            if first["type"].startswith(("tuple", "too_long"))
            else ""
        )
        raise UsageError(f"wrong value for {place}: {first['input']!r}: {first['msg']}", hint) from error


def _named(values: Mapping[str, Any], like: object, place: str) -> dict[str, Any]:
    """The values, all under names that `like` has, single ones as lists where `like` has a tuple."""
    known = {f.name: getattr(like, f.name) for f in fields(like)} if is_dataclass(like) else {}
    result = {}
    for name, value in values.items():
        current = chosen(known, name, f"setting {place}" if place else "setting")
        if is_dataclass(current) and isinstance(value, Mapping):
            result[name] = _named(value, current, f"{place}{name}.")
        else:
            if isinstance(value, int) and abs(value) >= 2**63:
                raise UsageError(f"wrong value for {place}{name}: {value}: whole numbers are less than 2^63")
            single = isinstance(current, tuple) and isinstance(value, int | float)
            result[name] = (value,) if single else value
    return result


def changed(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """The experiment with fields replaced: {"training.lr": 1e-4, "schedule.options.beta_T": 0.03}.

    Raises:
        UsageError: as `from_dict`.
    """
    values = asdict(experiment)
    for path, value in settings.items():
        *sections, name = path.split(".")
        here = values
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                raise UsageError(f"no setting {path!r}: {section!r} is a value")
        here[name] = value
    return from_dict(values)


def differences(old: Experiment, new: Experiment) -> list[str]:
    """What changed, as "training.lr: 0.0002 -> 0.0001"."""
    before, after = _flat(asdict(old)), _flat(asdict(new))
    names = [*before, *(name for name in after if name not in before)]
    return [f"{n}: {before.get(n)} -> {after.get(n)}" for n in names if before.get(n) != after.get(n)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
