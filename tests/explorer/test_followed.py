"""A run that is looked at while it trains: before its first checkpoint, and when newer ones come."""

import json
import shutil

import pytest

import ddpm
from ddpm.checkpoints import MANIFEST
from ddpm.errors import DataError, OutOfResources, Unavailable, UsageError
from ddpm.explorer import subject, wire
from ddpm.explorer.asks import ASKS, BEFORE
from ddpm.explorer.followed import NEWS, Followed, begun, run_of
from ddpm.explorer.subject import Subject, subject_of
from tests.explorer.conftest import come
from tests.explorer.test_asks import WRONG

pytestmark = pytest.mark.slow


def newer(folder):
    def opened(now):
        model = ddpm.load(folder)
        return now.with_model(model) if isinstance(now, Subject) else subject_of(model, None, pytest.fail)

    return opened


def asked(followed, name, /, **given):
    found = [json.loads(wire.text(one)[6:]) for one in followed.answers(name, given) if one is not None]
    return found[-1]


def test_before_the_first_checkpoint(young):
    """What is known of the run is told; what needs a model says that there is none."""
    followed = Followed(begun(run_of(str(young))), newer(young))
    model = asked(followed, "model")
    assert (model["waits"], model["shape"], model["T"], model["step"]) == (True, [1, 8, 8], 20, None)
    training = asked(followed, "training")
    assert (training["last"], training["steps"]) == (20, 20)
    assert [step for step, _ in training["loss"]] == [5, 10, 15, 20]
    assert asked(followed, NEWS) == {"step": None, "gone": False}
    for name in {*ASKS, "together"} - set(BEFORE):
        with pytest.raises(Unavailable, match="no checkpoint yet"):
            followed.answers(name, {})
    for name, given in (pair for pair in WRONG if pair[0] in {*BEFORE, "nothing"}):
        with pytest.raises((UsageError, wire.NoAsk)):
            list(followed.answers(name, given))


def test_checkpoints_are_taken_up(grown, young):
    """The first one, and a newer one: what was measured of the older model is not kept, its images are."""
    followed = Followed(begun(run_of(str(young))), newer(young))
    come(grown, young, 10)
    assert asked(followed, NEWS) == {"step": 10, "gone": False}
    first = followed.now
    assert asked(followed, "model")["waits"] is False
    asked(followed, "schedule")
    assert first.curve is not None
    assert asked(followed, NEWS) == {"step": 10, "gone": False}
    assert followed.now is first
    come(grown, young, 20)
    assert asked(followed, NEWS) == {"step": 20, "gone": False}
    assert asked(followed, "model")["step"] == 20
    assert (followed.now.curve, followed.now.errors) == (None, {})
    assert followed.now.x_0 is first.x_0
    assert followed.now.model.loaded.digest == ddpm.load(grown).loaded.digest != first.model.loaded.digest


def test_what_cannot_be_opened_is_said_once(grown, young):
    come(grown, young, 10)
    followed = Followed(subject_of(ddpm.load(young), None, pytest.fail), newer(young))
    come(grown, young, 20)
    for manifest in young.glob(f"checkpoints/*/{MANIFEST}"):
        manifest.write_text("{")
    with pytest.raises(DataError, match="no whole checkpoint"):
        asked(followed, NEWS)
    assert asked(followed, NEWS) == {"step": 10, "gone": False}


def test_what_passes_is_tried_again(grown, young):
    """An error that says nothing of the checkpoint: the next look opens it."""
    come(grown, young, 10)
    errors = [Unavailable("the device is busy"), OutOfResources("out of memory")]

    def opened(now):
        if errors:
            raise errors.pop()
        return newer(young)(now)

    followed = Followed(subject_of(ddpm.load(young), None, pytest.fail), opened)
    come(grown, young, 20)
    for kind in (OutOfResources, Unavailable):
        with pytest.raises(kind):
            asked(followed, NEWS)
    assert asked(followed, NEWS) == {"step": 20, "gone": False}


def test_a_checkpoint_that_comes_meanwhile_is_opened_once(grown, young):
    """While the one of step 10 is opened that of step 20 is written, and is what is opened."""
    opened = []

    def slowly(now):
        if not opened:
            come(grown, young, 20)
        opened.append(newer(young)(now))
        return opened[-1]

    followed = Followed(begun(run_of(str(young))), slowly)
    come(grown, young, 10)
    assert [asked(followed, NEWS) for _ in range(3)] == [{"step": 20, "gone": False}] * 3
    assert len(opened) == 1


def test_what_is_of_the_run_is_kept(grown, young, monkeypatch):
    """The log is read on, and the training source is not opened anew."""
    come(grown, young, 10)
    followed = Followed(subject_of(ddpm.load(young), None, pytest.fail), newer(young))
    log, has = followed.now.log, followed.now.has_training_images
    come(grown, young, 20)
    assert asked(followed, NEWS) == {"step": 20, "gone": False}
    monkeypatch.setattr(subject, "open_source", pytest.fail)
    assert (followed.now.log, followed.now.has_training_images) == (log, has)


def test_a_run_that_is_deleted_is_told(grown, young):
    """Its model stays."""
    come(grown, young, 10)
    followed = Followed(
        begun(run_of(str(young))) or subject_of(newer(young)(None).model, None, pytest.fail), newer(young)
    )
    assert asked(followed, NEWS) == {"step": 10, "gone": False}
    shutil.rmtree(young)
    assert asked(followed, NEWS) == {"step": 10, "gone": True}
    assert asked(followed, "model")["step"] == 10


def test_what_does_not_go_on(subject, grown, tmp_path):
    """A model without a run, a checkpoint, a folder that is no run."""
    assert asked(Followed(subject), NEWS) == {"step": subject.step, "gone": False}
    (checkpoint, *_) = (grown / "checkpoints").iterdir()
    (tmp_path / "config.json").write_text("{}")
    for name in ("ddpm:mnist", str(checkpoint), str(tmp_path), str(tmp_path / "nowhere")):
        assert run_of(name) is None
    assert run_of(str(grown)).path == grown
    assert begun(run_of(str(grown))) is None
