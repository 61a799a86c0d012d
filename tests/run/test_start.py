"""How a run starts is decided once, where it is typed; what each way of starting refuses."""

from pathlib import Path

import pytest

from ddpm.errors import CannotCreate, DataError, NotFound
from ddpm.experiment.presets import digits
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue, Fresh, From, start_of


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
