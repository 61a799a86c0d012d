"""What is not given is None in an experiment; in config.json, and as a setting is typed, it is what it always was."""

import json
from dataclasses import asdict

import pytest
import torch

from ddpm.errors import UsageError
from ddpm.experiment.presets import PRESETS, digits
from ddpm.experiment.settings import NOT_GIVEN, UNKNOWN, changed, differences, from_dict, to_json
from ddpm.models.shape import ALL_CLASSES, OF_OTHERS, size
from ddpm.models.unet import UNet

OLD = {
    **{"data.class_names": [], "data.resolution": [], "data.channels": 0, "data.workers": -1},
    **{"model.classes": 0, "schedule.beta": [], "data.shape": [], "data.levels": 0, "rhythm.budget": 0},
    **{"model.head_channels": 0, "model.time_channels": 0, "model.time_embedding": 0},
}
"""As config.json writes, or once wrote, what is not given."""


def _at(values, place):
    section, name = place.split(".")
    return values[section][name]


@pytest.mark.parametrize("preset", PRESETS)
def test_config_json_is_written_and_read_as_before(preset):
    experiment = PRESETS[preset]()
    values = json.loads(to_json(experiment))
    for place in NOT_GIVEN:
        if _at(asdict(experiment), place) is None and place.partition(".")[2] not in OF_OTHERS:
            assert _at(values, place) == (None if place in UNKNOWN else OLD[place])
    assert from_dict(values) == experiment
    assert differences(from_dict(values), experiment) == []


def test_config_json_is_the_papers_network_and_what_others_do_where_it_does():
    """Every field of the network but what others do is in it; what differs is, and comes back."""
    model = json.loads(to_json(digits()))["model"]
    assert list(model) == ["channels", "multipliers", "blocks", "attention", "dropout", "groups", "classes"]
    assert model.keys() | OF_OTHERS == asdict(digits().model).keys()
    other = changed(digits(), {"model.head_channels": 8, "model.middle": "plain"})
    written = json.loads(to_json(other))
    assert written["model"].keys() & OF_OTHERS == {"head_channels", "middle"}
    assert from_dict(written) == other


@pytest.mark.parametrize("place", NOT_GIVEN)
def test_what_is_typed_for_not_given_is_none(place):
    """Also JSON's own word for it."""
    given = {"data.class_names": ["a"], "data.resolution": 28, "data.channels": 3, "data.workers": 0}
    given |= {"model.classes": 2, "schedule.beta": [0.1, 0.2], "data.shape": [1, 8, 8], "data.levels": 17}
    given |= {"rhythm.budget": 60.0, "model.head_channels": 8, "model.time_channels": 16, "model.time_embedding": 64}
    experiment = changed(digits(), {place: given[place]})
    assert _at(asdict(experiment), place) is not None
    assert changed(experiment, {place: OLD[place]}) == digits()
    assert changed(experiment, {place: None}) == digits()
    written = None if place in UNKNOWN else tuple(OLD[place]) if OLD[place] == [] else OLD[place]
    assert differences(digits(), experiment)[0].startswith(f"{place}: {written} -> ")


def test_what_the_data_will_say_is_not_known_before():
    """Null in a new config.json, as 0 and [] were in an old one; a known value is written as ever."""
    data = json.loads(to_json(digits()))["data"]
    assert (data["shape"], data["levels"]) == (None, None)
    old = from_dict({"data": {"shape": [], "levels": 0}})
    assert (old.data.shape, old.data.levels) == (None, None)
    for unknown in ("shape", "levels"):
        with pytest.raises(ValueError, match="known once the data are"):
            getattr(old, unknown)
    known = changed(old, {"data.shape": (1, 8, 8), "data.levels": 17})
    assert (known.shape, known.levels) == ((1, 8, 8), 17)
    assert '"shape": [\n   1,\n   8,\n   8\n  ],\n  "levels": 17,' in to_json(known)


def test_no_workers_are_not_as_many_as_suit():
    assert changed(digits(), {"data.workers": 0}).data.workers == 0
    assert changed(digits(), {"data.workers": 0}).data.options().workers == 0
    assert digits().data.options().workers is None


def test_as_many_classes_as_the_data_have():
    """A value of its own, which JSON writes as before; no network is built before the number is known."""
    experiment = changed(digits(), {"model.classes": -1})
    assert experiment.model.classes == ALL_CLASSES
    assert changed(digits(), {"model.classes": "all"}) == experiment
    assert json.loads(to_json(experiment))["model"]["classes"] == -1
    for build in (size, UNet):
        with pytest.raises(ValueError, match="known once the data are"), torch.device("meta"):
            build(experiment.model, 1, 1)


@pytest.mark.parametrize("place", [place for place, spelling in NOT_GIVEN.items() if spelling != ()])
@pytest.mark.parametrize("value", [-2, True, "x"])
def test_what_it_may_be_is_said(place, value):
    with pytest.raises(
        UsageError, match=rf"wrong value for {place}: {value!r}: it must be ({NOT_GIVEN[place]}, |a number)"
    ):
        changed(digits(), {place: value})
