"""Saving while training goes on: the copy, one at a time, and a disk that is full, failing or read-only."""

import errno
import os
import subprocess
import threading

import pytest
import torch

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint, background
from ddpm.checkpoints.background import Noted, Saver, Wrote, require_room
from ddpm.errors import Diverged, StorageError
from tests.checkpoints.test_durability import content
from tests.harness.faults import watched


def steps(folder):
    return [checkpoints.step_of(path) for path in checkpoints.found(folder)]


def failing(number, times):
    """An observer: that many saves fail as they begin."""
    left = [times]

    def observe(operation):
        if operation.kind == "folder" and left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number), str(operation.path))

    return observe


class Gate:
    """An observer that holds a save at its first file until it is let go."""

    def __init__(self):
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, operation):
        if operation.kind == "create" and operation.path.name == "model.safetensors":
            self.reached.set()
            assert self.go.wait(30)


def test_training_goes_on_while_it_is_written(tmp_path):
    """`save` returns before the file is there, and what is written is what was there when it was called."""
    gate, weights = Gate(), torch.zeros(4)
    state = Checkpoint({"model": {"a": weights}}, {"step": 1})
    with watched(gate), Saver(tmp_path) as it:
        assert it.save(1, state) == []
        assert gate.reached.wait(30)
        assert steps(tmp_path) == []
        weights += 7
        gate.go.set()
        assert it.finish() == [Wrote(tmp_path / "step-000000001")]
        assert it.finish() == []
    assert torch.equal(checkpoints.read(tmp_path / "step-000000001").tensors["model"]["a"], torch.zeros(4))


def test_one_save_at_a_time(tmp_path):
    """The next waits for the one in flight."""
    gate = Gate()
    with watched(gate), Saver(tmp_path) as it:
        it.save(1, content(1))
        assert gate.reached.wait(30)
        threading.Timer(0.2, gate.go.set).start()
        assert it.save(2, content(2)) == [Wrote(tmp_path / "step-000000001")]
        assert steps(tmp_path)[0] == 1
        it.finish()
    assert steps(tmp_path) == [1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name == "ddpm-save"]


def test_the_end_waits_for_the_save(tmp_path):
    """Whatever else goes wrong, what was begun is written; the thread does not outlive the run."""
    gate = Gate()
    with watched(gate), pytest.raises(ZeroDivisionError), Saver(tmp_path) as it:
        it.save(1, content(1))
        assert gate.reached.wait(30)
        threading.Timer(0.2, gate.go.set).start()
        raise ZeroDivisionError
    assert steps(tmp_path) == [1]
    assert not [thread for thread in threading.enumerate() if thread.name == "ddpm-save"]


def test_who_insists_leaves_at_once(tmp_path):
    """A second Ctrl-C: the save in flight is given up at its next file operation, and leaves nothing behind."""
    gate = Gate()
    with watched(gate), pytest.raises(KeyboardInterrupt), Saver(tmp_path) as it:
        it.save(1, content(1))
        assert gate.reached.wait(30)
        threading.Timer(0.2, gate.go.set).start()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "ddpm-save"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT])
def test_a_failure_is_said_and_survived(tmp_path, number):
    with watched(failing(number, 2)), Saver(tmp_path) as it:
        assert it.save(1, content(1)) == []
        for step in (2, 3):
            (trouble,) = it.save(step, content(step))
            assert isinstance(trouble, Noted)
            for word in (os.strerror(number), f"{content(1).size:,} bytes", "are free", "training goes on"):
                assert word in trouble.text
        assert it.finish() == [Wrote(tmp_path / "step-000000003")]
    assert steps(tmp_path) == [3]


def test_three_failures_in_a_row_are_the_end(tmp_path):
    with watched(failing(errno.EIO, 3)), Saver(tmp_path) as it:
        for step in (1, 2, 3):
            it.save(step, content(step))
        with pytest.raises(StorageError, match="Input/output error"):
            it.save(4, content(4))
    with watched(failing(errno.EIO, 2)), Saver(tmp_path) as it:
        for step in (1, 2, 3):
            it.save(step, content(step))
        it.finish()
        assert it.save(4, content(4)) == []
        it.finish()


def test_nothing_goes_before_the_new_one_is_there(tmp_path):
    for step in (1, 2, 3):
        checkpoints.write(tmp_path, step, content(step))
    gate = Gate()
    with watched(gate), Saver(tmp_path) as it:
        it.save(4, content(4))
        assert gate.reached.wait(30)
        assert steps(tmp_path) == [1, 2, 3]
        gate.go.set()
        it.finish()
    with watched(failing(errno.EIO, 2)), Saver(tmp_path) as it:
        for step in (5, 6):
            it.save(step, content(step))
            it.wait()
            assert steps(tmp_path) == [2, 3, 4]


def test_a_failure_of_the_last_save_is_the_end(tmp_path):
    with watched(failing(errno.EIO, 1)), Saver(tmp_path) as it:
        it.save(1, content(1))
        with pytest.raises(StorageError, match="Input/output error"):
            it.finish()


def test_the_last_save_is_tried_again_on_the_room_of_old_ones(tmp_path):
    for step in (1, 2, 3):
        checkpoints.write(tmp_path, step, content(step))
    with watched(failing(errno.ENOSPC, 1)), Saver(tmp_path) as it:
        it.save(4, content(4))
        assert it.finish() == [Wrote(tmp_path / "step-000000004")]
    assert steps(tmp_path) == [3, 4]
    with watched(failing(errno.ENOSPC, 2)), Saver(tmp_path) as it:
        it.save(5, content(5))
        with pytest.raises(StorageError, match="No space left"):
            it.finish()
    assert steps(tmp_path) == [4]


def test_an_old_one_that_cannot_be_removed_stops_nothing(tmp_path):
    def stuck(operation):
        if operation.kind == "rename" and operation.path.name == "step-000000001":
            raise OSError(errno.EIO, "Input/output error")

    with watched(stuck), Saver(tmp_path) as it:
        for step in (1, 2, 3, 4):
            it.save(step, content(step))
        saved, trouble = it.finish()
    assert saved == Wrote(tmp_path / "step-000000004")
    assert isinstance(trouble, Noted)
    assert "cannot remove" in trouble.text


def test_what_is_not_finite_is_refused_at_once(tmp_path):
    bad = Checkpoint({"model": {"a": torch.tensor([float("nan")])}}, {})
    with Saver(tmp_path) as it, pytest.raises(Diverged):
        it.save(1, bad)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_surface_too(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(background.writing, "write", broken)
    with Saver(tmp_path) as it:
        it.save(1, content(1))
        with pytest.raises(ZeroDivisionError):
            it.save(2, content(2))


def test_room_is_asked_for_before(tmp_path):
    """So many and one more, less those that are there."""
    import shutil

    free = shutil.disk_usage(tmp_path).free
    require_room(tmp_path / "not" / "yet", free // 8)
    with pytest.raises(StorageError, match="not enough room") as found:
        require_room(tmp_path, free)
    assert f"{4 * free:,} bytes are needed" in str(found.value)
    for step in (1, 2, 3):
        checkpoints.write(tmp_path, step, content(step))
    require_room(tmp_path, free // 2)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; only where it may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        assert not os.environ.get("DDPM_CI"), "CI can mount"
        pytest.skip("needs the right to mount a small file system; the tests with injected errors do not")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def _large(step):
    return Checkpoint({"model": {"a": torch.full((200_000,), float(step))}}, {"step": step})


def test_a_disk_that_is_really_full(small_disk):
    """0.8 MB each on 3 MB: the fourth fails, the next takes the room of the first; the newest is whole at any time."""
    with Saver(small_disk) as it:
        for step in (1, 2, 3):
            it.save(step, _large(step))
        it.save(4, _large(4))
        (trouble,) = it.save(5, _large(5))
        assert isinstance(trouble, Noted)
        assert "No space left on device" in trouble.text
        assert it.finish() == [Wrote(small_disk / "step-000000005")]
    assert steps(small_disk) == [3, 5]
    assert not any(checkpoints.damage(path) for path in checkpoints.found(small_disk))
    assert not list(small_disk.glob(".*"))


def test_a_disk_that_becomes_read_only(small_disk):
    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", small_disk], check=True)

    with Saver(small_disk) as it:
        it.save(1, content(1))
        it.wait()
        remount("ro")
        it.save(2, content(2))
        (trouble,) = it.wait()
        assert "Read-only file system" in trouble.text
        assert steps(small_disk) == [1]
        remount("rw")
        it.save(3, content(3))
        it.finish()
    assert steps(small_disk) == [1, 3]
