"""How a run ends that a program follows: in the main thread by signals, in any thread when it asks."""

import contextlib
import errno
import json
import os
import signal
import threading

import pytest
import torch

from ddpm import checkpoints
from ddpm.errors import Interrupted, Stopped
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.run.ending import KINDS, ended_in_order
from ddpm.run.events import Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue

TINY = changed(
    digits(),
    {
        **{"training.steps": 6, "training.batch_size": 8, "precision": "fp32", "schedule.T": 12},
        **{"model.channels": 8, "model.blocks": 1, "model.groups": 4},
        **{"rhythm.images": 8, "rhythm.evaluate": 0, "rhythm.sample": 0, "rhythm.save": 6},
    },
)


def _followed(folder, after_step, said=None):
    """Train, doing something after each step."""
    said = [] if said is None else said
    with ended_in_order(TINY, folder, torch.device("cpu"), Continue(), said.append, said.append) as (stop, events):
        for event in events:
            if isinstance(event, Stepped):
                after_step(event.step, stop)


def _steps(folder):
    return [checkpoints.step_of(path) for path in checkpoints.found(folder.checkpoints)]


def _exit(folder):
    return json.loads(folder.exit.read_text())


@pytest.fixture
def folder(tmp_path):
    """Where to train."""
    return RunFolder(tmp_path / "run")


def test_a_signal_lets_the_step_finish_and_saves(folder):
    """The library says nothing itself; whoever heard the signals before hears them again."""
    before, said = [signal.getsignal(kind) for kind in KINDS], []

    def interrupt(step, _):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="the state of step 3 is saved"):
        _followed(folder, interrupt, said)
    assert said == ["SIGINT: finishing the step and saving; once more leaves at once"]
    assert _steps(folder) == [3]
    assert (_exit(folder)["code"], _exit(folder)["kind"]) == (130, "Interrupted")
    assert [signal.getsignal(kind) for kind in KINDS] == before
    _followed(folder, lambda *_: None)
    assert _steps(folder) == [3, 6]
    assert _exit(folder)["code"] == 0


def test_ctrl_c_is_not_swallowed_by_who_catches_every_exception(folder):
    """A script's ``except Exception`` is for what failed; hints are below the line as ever."""

    def interrupt(step, _):
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    def script():
        with contextlib.suppress(Exception):
            _followed(folder, interrupt)

    with pytest.raises(KeyboardInterrupt) as caught:
        script()
    assert isinstance(caught.value, Interrupted)
    assert caught.value.__notes__ == list(caught.value.hints) == ["run the same command again to go on"]


def test_a_second_one_leaves_at_once(folder):
    """With what was saved before; the next start goes on from there."""

    def interrupt(step, _):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _followed(folder, interrupt)
    assert _steps(folder) == []
    assert _exit(folder)["code"] == 130
    with folder.locked():  # nobody holds it any more
        pass


def test_ctrl_c_says_what_stands(folder, monkeypatch):
    """Whenever it comes: before there is a folder, a checkpoint, or a step of this session; and where it leaves at once."""

    def at_once(step, _):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    def too_soon():
        with monkeypatch.context() as patch:
            patch.setattr("ddpm.run.train.read_snapshot", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(Interrupted, match="stopped by SIGINT before training began: ") as caught:
                _followed(folder, at_once)
        return str(caught.value).partition("began: ")[2]

    assert too_soon() == f"no run was written: {folder.path}"
    assert not folder.path.exists()
    with pytest.raises(Interrupted) as caught:
        _followed(folder, at_once)
    without = f"there is no checkpoint yet, only the configuration: {folder.path}"
    assert str(caught.value) == f"interrupted at once: {without}"
    assert too_soon() == without
    with pytest.raises(Interrupted, match="the state of step 2 is saved"):
        _followed(folder, lambda step, _: os.kill(os.getpid(), signal.SIGINT) if step == 1 else None)
    assert too_soon() == f"the last checkpoint on the disk is that of step 2: {folder.path}"


def test_a_disk_that_fails_is_no_reason_to_end_otherwise(folder, monkeypatch):
    """The names of the checkpoints are read in the handler of the signal, which is what ends the run."""

    def gone(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def at_once(step, _):
        monkeypatch.setattr("ddpm.run.ending.checkpoints.found", gone)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        _followed(folder, at_once)
    unknown = f"what is on the disk cannot be read (Input/output error): {folder.path}"
    assert str(caught.value) == f"interrupted at once: {unknown}"


def test_so_does_the_command_before_it_hears_signals(ddpm, run, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    for module in ("run.asked.asked_for", "report.training.report_training"):
        monkeypatch.setattr(f"ddpm.{module}", pressed)
        said = ddpm("train", "--output-dir", run)
        assert said.code == 130
        assert f"interrupted: the last checkpoint on the disk is that of step 6: {run}\n" in said.err
        monkeypatch.undo()


def test_in_another_thread_it_stops_when_asked(folder):
    """Where Python tells no signals, and lets nobody ask for them."""
    ended = []

    def run():
        try:
            _followed(folder, lambda step, stop: stop.ask() if step == 2 else None)
        except Stopped as stopped:
            ended.append(str(stopped))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert ended == ["stopped by the program itself: the state of step 3 is saved"]
    assert _steps(folder) == [3]
    assert _exit(folder)["code"] == 75


def test_what_fails_while_it_is_followed_is_written_down(folder):
    """Also where it is not the run that fails."""

    def fail(*_):
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):
        _followed(folder, fail)
    assert (_exit(folder)["code"], _exit(folder)["message"]) == (70, "internal error: ours")
