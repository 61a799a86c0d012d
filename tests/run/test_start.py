"""How a run starts is decided once, where it is typed; what each way of starting refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ddpm.checkpoints import Checkpoint, folder_name, found, step_of
from ddpm.errors import CannotCreate, DataError, NotFound
from ddpm.experiment.presets import digits
from ddpm.parallel.world import ALONE
from ddpm.run.folder import RunFolder
from ddpm.run.session import conditions
from ddpm.run.start import Continue, Fresh, From, other_conditions, start_of


@pytest.mark.parametrize(
    ("typed", "start"),
    [
        ("auto", Continue()),
        ("never", Fresh()),
        ("runs/a/checkpoints/step-000000003", From(Path("runs/a/checkpoints/step-000000003"))),
        ("~/a", From(Path.home() / "a")),
    ],
)
def test_what_is_typed_becomes_a_value(typed, start):
    assert start_of(typed) == start


@pytest.fixture
def run(tmp_path):
    """A folder with a run that has no checkpoint yet."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_experiment(digits())
    return folder


def test_only_a_fresh_start_refuses_a_run(run, tmp_path):
    with pytest.raises(CannotCreate, match="there is a run"):
        Fresh().admit(run)
    Continue().admit(run)
    From(run.path).admit(RunFolder(tmp_path / "new"))


@pytest.mark.parametrize("start", [Fresh(), Continue(), From(Path("gone"))])
def test_no_start_is_made_beside_other_things(start, tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CannotCreate, match=r"thesis\.tex"):
        start.admit(folder)
    (tmp_path / "checkpoints" / "step-000000003").mkdir(parents=True)
    with pytest.raises(DataError, match=r"config\.json is missing"):
        start.admit(folder)


def test_what_is_named_must_be_there(tmp_path):
    with pytest.raises(NotFound, match="gone"):
        From(tmp_path / "gone").admit(RunFolder(tmp_path / "new"))


def test_another_process_reads_the_step_that_the_first_one_found(trained):
    """Of a run that is named: not its newest checkpoint, which may be later by then; a checkpoint that is named is that one."""
    folder = RunFolder(trained)
    assert [step_of(path) for path in found(folder.checkpoints)] == [3, 6]
    last = folder.checkpoints / folder_name(6)
    assert [From(trained).read_again(folder, step).numbers["step"] for step in (3, 6)] == [3, 6]
    assert From(last).read_again(folder, 6).numbers["step"] == 6


def test_masks_drawn_otherwise_are_told():
    """By a checkpoint of before, which says nothing of them; not where there is no dropout, or nothing has changed."""
    dropping, without = (replace(digits(), model=replace(digits().model, dropout=p)) for p in (0.1, 0.0))
    now = conditions(dropping, torch.device("cpu"), ALONE)
    before = {name: value for name, value in now.items() if name != "dropout"}
    (line,) = other_conditions(Checkpoint({}, {"made_by": before}), now)
    assert line == "not the same to the bit from here on: dropout 16-bit masks (before: bernoulli masks)"
    assert not other_conditions(Checkpoint({}, {"made_by": now}), now)
    assert not other_conditions(Checkpoint({}, {"made_by": before}), conditions(without, torch.device("cpu"), ALONE))


@pytest.mark.parametrize(("precision", "groups", "told"), [("bf16", 2, True), ("fp32", 2, False), ("bf16", 8, False)])
def test_another_layout_is_told(precision, groups, told):
    """By a checkpoint of before, which was computed channels first; where that is so now, there is nothing to tell."""
    experiment = replace(digits(), precision=precision, model=replace(digits().model, groups=groups))
    now = conditions(experiment, torch.device("cpu"), ALONE)
    before = {name: value for name, value in now.items() if name != "layout"}
    said = other_conditions(Checkpoint({}, {"made_by": before}), now)
    line = "not the same to the bit from here on: layout channels last (before: channels first)"
    assert said == ([line] if told else [])
