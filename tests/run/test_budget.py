"""A training that ends by time: in the steps that it makes it is the training that ends by their number, to the bit."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from ddpm import checkpoints
from ddpm.cli.parts.training import _forecast as forecast
from ddpm.cli.parts.training import _introduce as introduce
from ddpm.errors import UsageError
from ddpm.experiment.presets import PRESETS, laptop
from ddpm.experiment.request import requested, says_how_long, usual_preset
from ddpm.experiment.settings import NOTHING, changed
from ddpm.figures.pictures import square
from ddpm.run import pace, plan
from ddpm.run.ending import ended_in_order
from ddpm.run.events import Expected, Logged, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue
from ddpm.run.train import train_run

CPU = torch.device("cpu")
SMALL = {
    **{"data.source": "digits", "model.channels": 8, "model.multipliers": (1, 2), "model.blocks": 1, "model.groups": 4},
    **{"model.attention": (), "schedule.T": 12, "schedule.options": {"beta_T": 0.5}, "training.batch_size": 8},
    **{"precision": "fp32", "rhythm.images": 8, "rhythm.samples": 4, "rhythm.evaluate": 0, "rhythm.sample": 0},
}


def small(**settings):
    """The preset "laptop" in small, with other settings."""
    return changed(laptop(), SMALL | {name.replace("__", "."): value for name, value in settings.items()})


def events(experiment, folder, steps_until_stop=None, change=NOTHING):
    """All events of a run, which may be stopped after so many steps of this session."""
    found, start = [], Continue(change=change)
    run = train_run(experiment, folder, CPU, start, lambda: len(_steps(found)) + 1 == steps_until_stop)
    found.extend(_appended(run, found))
    return found


def _appended(run, found):
    for event in run:
        found.append(event)
    return ()


def _steps(found):
    return [event.step for event in found if isinstance(event, Stepped)]


def weights(folder, step):
    return checkpoints.read(folder.checkpoints / checkpoints.folder_name(step)).tensors


def seconds_spent(folder, step):
    return checkpoints.read(folder.checkpoints / checkpoints.folder_name(step)).numbers["spent"]


def same(one, other):
    return all(torch.equal(one[g][n], other[g][n]) for g in ("model", "ema", "optimizer") for n in one[g])


@pytest.fixture
def ticking(monkeypatch):
    """A clock on which every look at it takes 0.1 seconds: time without waiting."""
    now = [time.monotonic()]  # what began before is in the past, however long the machine runs

    def monotonic():
        now[0] += 0.1
        return now[0]

    monkeypatch.setattr(pace.time, "monotonic", monotonic)
    return now


def test_it_ends_by_time_with_its_last_look_and_its_number_of_steps(ticking, tmp_path):
    folder = RunFolder(tmp_path / "run")
    found = events(small(rhythm__budget=6.0, rhythm__evaluate=1000, rhythm__sample=1000), folder)
    (*_, last) = _steps(found)
    assert 3 < last < 60
    assert folder.read_experiment().training.steps == last
    assert "bits_per_dim" in [event.row for event in found if isinstance(event, Logged)][-1]
    assert [path.name for path in folder.samples.iterdir()] == [f"step-{last:09d}.png"]
    assert not _steps(events(small(rhythm__budget=6.0), folder)), "the same budget again has no more steps"
    assert folder.read_experiment().training.steps == last
    more = _steps(events(small(rhythm__budget=9.0), folder))
    assert more[0] == last + 1
    assert folder.read_experiment().training.steps == more[-1]


def test_what_is_changed_once_the_time_is_used_up_is_kept_for_a_longer_one(ticking, tmp_path):
    folder = RunFolder(tmp_path / "run")
    (*_, last) = _steps(events(small(rhythm__budget=6.0), folder))
    ended = folder.read_experiment()
    assert not _steps(events(ended, folder, change={"training.lr": 1e-4}))
    found = folder.read_experiment()
    assert [(c.step, c.after) for c in found.changes] == [(last, 1e-4)]
    assert (found.training.lr, found.training.steps, found.rhythm) == (1e-4, last, ended.rhythm)


def test_its_steps_are_those_of_a_number_of_steps_to_the_bit(ticking, tmp_path):
    whole, parts, fixed = (RunFolder(tmp_path / name) for name in ("whole", "parts", "fixed"))
    count = _steps(events(small(rhythm__budget=6.0), whole))[-1]
    assert _steps(events(small(rhythm__budget=60.0), parts, steps_until_stop=3)) == [1, 2, 3]
    assert _steps(events(small(rhythm__budget=60.0), parts, steps_until_stop=count - 3))[0] == 4
    events(small(rhythm__budget=None, training__steps=count), fixed)
    assert same(weights(whole, count), weights(fixed, count))
    assert same(weights(parts, count), weights(fixed, count))


def test_where_the_learning_rate_falls_the_number_of_steps_is_fixed_as_the_run_begins(ticking, tmp_path):
    folder, cosine = RunFolder(tmp_path / "run"), small(rhythm__budget=12.0, training__decay="cosine")
    begun = _steps(events(cosine, folder, steps_until_stop=2))
    planned = folder.read_experiment().training.steps
    ticking[0] += 4  # the machine is busy with something else
    went_on = events(cosine, folder)
    assert folder.read_experiment().training.steps == planned
    fixed = RunFolder(tmp_path / "fixed")
    reached = [*begun, *_steps(went_on)][-1]
    events(small(rhythm__budget=None, training__decay="cosine", training__steps=planned), fixed, reached)
    assert same(weights(folder, reached), weights(fixed, reached))


def test_where_the_batches_become_others_what_is_left_is_planned_again(ticking, tmp_path, monkeypatch):
    """Of a step that takes four times as long there are a quarter; once that is on record, it stays."""
    monkeypatch.setattr(plan, "trial", lambda experiment, *_, **__: 0.02 * experiment.training.batch_size)
    folder = RunFolder(tmp_path / "run")
    events(small(rhythm__budget=16.0, training__decay="cosine"), folder, steps_until_stop=2)
    first, spent = folder.read_experiment(), seconds_spent(folder, 2)
    assert first.training.steps == pytest.approx(16.0 / 0.16, rel=0.1)
    change = {"training.batch_size": 32}
    events(first, folder, steps_until_stop=2, change={"training.lr": 1e-4})
    assert folder.read_experiment().training.steps == first.training.steps
    found = events(folder.read_experiment(), folder, steps_until_stop=2, change=change)
    again, started = folder.read_experiment(), found[0]
    assert again.training.steps == pytest.approx(started.step + (16.0 - spent) / 0.64, rel=0.3)
    assert any("decays towards the last step" in note for note in started.notes)
    events(again, folder, steps_until_stop=2, change=change)
    assert folder.read_experiment().training.steps == again.training.steps


def test_a_time_that_is_too_short_for_the_plan_is_foretold(ticking, tmp_path, monkeypatch):
    """With the step that is reached, and that the learning rate does not fall to its end; never with all steps of the plan."""
    monkeypatch.setattr(plan, "trial", lambda *_, **__: 0.01)
    folder, said, bars = RunFolder(tmp_path / "run"), [], []
    found = events(small(rhythm__budget=20.0, training__decay="cosine"), folder)
    (expected,) = [event for event in found if isinstance(event, Expected)]
    (*_, last) = _steps(found)
    assert expected.planned == folder.read_experiment().training.steps > 1000
    assert expected.steps == pytest.approx(last, rel=0.4)  # the first steps look at the clock once more
    assert expected.seconds == pytest.approx((expected.steps - pace.ENOUGH - 1) * expected.per_step, rel=0.1)
    forecast(expected, SimpleNamespace(say=said.append, expect=lambda *told: bars.append(told)), found[0])
    assert f"after about {expected.steps:,} of the {expected.planned:,} steps that were planned, before" in said[1]
    assert bars[0][0] == expected.steps
    assert bars[0][1] is not None


def test_a_plan_that_holds_is_foretold_as_it_is(ticking, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "trial", lambda *_, **__: 1.0)
    found = events(small(rhythm__budget=30.0, training__decay="cosine"), RunFolder(tmp_path / "run"))
    (expected,) = [event for event in found if isinstance(event, Expected)]
    assert (expected.steps, expected.planned) == (_steps(found)[-1], None)


@pytest.mark.parametrize(("side", "proposed"), [(8, None), (32, "(--set data.resolution=16)")])
def test_smaller_images_are_proposed_where_there_are_smaller_ones(side, proposed):
    """Half the side of those that there are, and none below 16."""
    experiment = small(rhythm__budget=30.0, training__decay="constant", data__shape=(1, side, side))
    said = []
    forecast(
        Expected(1.0, 20, 20.0),
        SimpleNamespace(say=said.append, expect=lambda *_: None),
        Started(experiment, *[1] * 4, "", 1, (), ()),
    )
    (line,) = [line for line in said if "to show anything" in line]
    assert line.endswith(proposed or "a longer --budget")


def test_a_busy_machine_ends_in_time_too(ticking, tmp_path):
    """From the fifth step on all takes a hundred times as long: the steps are fewer, and the end is where it was."""
    folder, began = RunFolder(tmp_path / "run"), ticking[0]
    run = train_run(small(rhythm__budget=60.0, rhythm__sample=1000), folder, CPU, Continue(), lambda: False)
    count = 0
    for event in run:
        count += isinstance(event, Stepped)
        ticking[0] += 10.0 * (isinstance(event, Stepped) and count > 5)
    assert 5 < count < 15
    assert 50 < ticking[0] - began < 75


def test_the_last_look_draws_what_there_is_time_for(ticking, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "BACKWARD", 0.001)  # a look that would take thousands of steps
    counted = []
    monkeypatch.setattr(
        "ddpm.run.session.square", lambda images, *rest: counted.append(len(images)) or square(images, *rest)
    )
    events(small(rhythm__budget=6.0, rhythm__sample=1000, rhythm__samples=40), RunFolder(tmp_path / "run"))
    assert counted == [1]


def test_after_a_few_steps_it_says_how_long_it_will_take(ticking, tmp_path):
    found = events(small(rhythm__budget=None, training__steps=30), RunFolder(tmp_path / "run"))
    (expected,) = [event for event in found if isinstance(event, Expected)]
    assert len(_steps(found[: found.index(expected)])) == pace.ENOUGH + 1
    assert expected.steps == 30
    assert expected.seconds == pytest.approx((30 - pace.ENOUGH - 1) * expected.per_step)


def test_a_long_training_needs_a_yes_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "DAY", 0.0)
    folder, asked = RunFolder(tmp_path / "run"), []
    long = small(rhythm__budget=None, training__steps=3)

    def begin(consent):
        with ended_in_order(long, folder, CPU, Continue(), print, print, consent) as (_, found):
            return [event for event in found if isinstance(event, Stepped | Started)]

    with pytest.raises(UsageError, match=r"3 steps of the preset 'laptop' will take about"):
        begin(plan.refuse)
    assert not folder.path.exists()
    assert len(begin(lambda _, seconds: asked.append(seconds))) == 4
    begin(plan.refuse)  # a run that has begun goes on unasked
    assert len(asked) == 1


def test_who_says_how_long_is_not_asked():
    assert not says_how_long(None, {"steps": None, "lr": 1e-3}, {"model.channels": 8})
    assert says_how_long(None, {"steps": 5}, {})
    assert says_how_long(None, {"budget": "1h"}, {})
    assert says_how_long(None, {}, {"training.steps": 5})


def test_the_usual_preset():
    assert usual_preset("digits", "cpu") == "digits"
    assert usual_preset("photos", "cpu") == "laptop"
    assert usual_preset("photos", "cuda") == "small"
    assert PRESETS["laptop"]().rhythm.budget == 3600


def test_steps_take_the_place_of_a_budget_and_both_are_refused(tmp_path):
    assert requested("photos", "laptop", None, {"steps": 10}).rhythm.budget is None
    assert requested("photos", "small", None, {"budget": "30m"}).rhythm.budget == 1800
    assert requested("photos", "laptop", None, {}, {"rhythm.budget": 0}).rhythm.budget is None
    with pytest.raises(UsageError, match="exclude each other"):
        requested("photos", None, None, {"steps": 10, "budget": 5})
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"rhythm": {"budget": 60}}))
    assert requested("photos", None, file, {"steps": 10}).rhythm.budget is None


def test_the_time_that_is_left_is_told_with_the_budget(tmp_path, monkeypatch):
    """A part of it went into looking at the data and trying steps out, or was there before."""
    shown = []
    monkeypatch.setattr("ddpm.cli.parts.training.note", shown.append)

    def told(budget, left, step=0, **settings):
        experiment = small(rhythm__budget=budget, **settings, data__shape=(1, 8, 8), data__levels=17)
        started = Started(experiment, 100, 0, 1, step, "fp32", 1, (), (), left)
        shown.clear()
        introduce(started, RunFolder(tmp_path), CPU)
        return next(line for line in shown if "schedule, T" in line)

    assert (
        "; as many steps as fit into the 10 s that are left of 20 s (looking at the data and trying steps out"
        in told(20.0, 10.4)
    )
    assert "; as many steps as fit into the 5 min that are left of 10 min (earlier steps, and looking" in told(
        600.0, 300.0, 7
    )
    assert "; as many steps as fit into 60 min, of 8 images" in told(3600.0, 3598.0)
    taken = "(looking at the data and trying steps out, took the rest), of"
    assert f"; a step at least, as less than a second is left of 5 s {taken}" in told(5.0, -0.2)
    planned = {"training__decay": "cosine", "training__steps": 1}
    assert f"; 1 step, as less than a second is left of 0.5 s {taken}" in told(0.5, 0.3, **planned)
    for decay in ("constant", "cosine"):
        assert "; 669 steps in 60 s, of 8 images" in told(60.0, -1.0, 669, training__decay=decay)
