"""Checkpoints survive a crash, an error or a loss of power at every file operation, and no damaged bit is taken for a good one."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint, damage, manifest, reading, writing
from ddpm.checkpoints.background import Saver
from ddpm.checkpoints.retention import NEWEST, Keeper, extra
from ddpm.errors import DataError, Diverged, Mismatch, StorageError
from tests.harness.faults import Crash, Disk, crash_at, error_at, recorded, watched

ROOT = Path(__file__).resolve().parents[2]


def content(step):
    """A small checkpoint that shows which step it is of."""
    model = {"a.weight": torch.full((3, 2), float(step)), "b": torch.arange(5, dtype=torch.float64) * step}
    moments = {f"exp_avg.{name}": tensor / 2 for name, tensor in model.items()}
    return Checkpoint({"model": model, "ema": model, "optimizer": moments}, {"step": step, "half": step / 2})


def save(folder, step):
    checkpoints.write(folder, step, content(step))
    Keeper(folder).retire(step)


def begun(folder):
    """Three checkpoints: the next save removes the first."""
    folder.mkdir()
    for step in (1, 2, 3):
        save(folder, step)
    return folder


def operations(tmp_path):
    folder = begun(tmp_path / "counted")
    with recorded() as log:
        save(folder, 4)
    assert {"create", "write", "sync", "sync-folder", "folder", "rename", "unlink", "rmdir"} == {o.kind for o in log}
    return log


def require_old_or_new(folder):
    """Every folder that is named a checkpoint is whole, three of them are there, and the newest says what it should."""
    found, damaged = checkpoints.newest(folder)
    assert not damaged
    assert found is not None
    assert found.numbers["step"] in (3, 4)
    _same(found, content(found.numbers["step"]))
    assert len(checkpoints.found(folder)) >= NEWEST
    assert not any(checkpoints.damage(each) for each in checkpoints.found(folder))


def _same(a, b):
    assert a.numbers == b.numbers
    assert a.tensors.keys() == b.tensors.keys()
    for group, named in a.tensors.items():
        assert named.keys() == b.tensors[group].keys()
        assert all(torch.equal(tensor, b.tensors[group][name]) for name, tensor in named.items())


def go_on(folder):
    """As a run that is started again."""
    newest, damaged = checkpoints.newest(folder)
    assert newest is not None
    checkpoints.tidy(folder, [path for path, _ in damaged])
    for step in range(newest.numbers["step"] + 1, 6):
        save(folder, step)
    assert sorted(path.name for path in folder.iterdir()) == [f"step-{step:09d}" for step in (3, 4, 5)]
    assert not any(checkpoints.damage(each) for each in checkpoints.found(folder))


def test_a_crash_at_any_file_operation_leaves_the_old_or_the_new(tmp_path):
    begun(tmp_path / "base")
    for k in range(len(operations(tmp_path))):
        folder = tmp_path / f"crash-{k}"
        shutil.copytree(tmp_path / "base", folder)
        with watched(crash_at(k)), pytest.raises(Crash):
            save(folder, 4)
        require_old_or_new(folder)
        go_on(folder)


def kill_everywhere(place):
    """In a process of its own: for each operation, a child that is killed there; prints how many were."""
    torch.set_num_threads(1)
    count = len(operations(place))
    begun(place / "base")
    for k in range(count):
        folder = place / f"kill-{k}"
        shutil.copytree(place / "base", folder)
        child = os.fork()
        if not child:
            seen = []

            def kill(operation, seen=seen, k=k):
                seen.append(operation)
                if len(seen) == k + 1:
                    os.kill(os.getpid(), signal.SIGKILL)

            with watched(kill):
                save(folder, 4)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), k
        require_old_or_new(folder)
        if k % 5 == 0:
            go_on(folder)
    print(count)


def test_a_kill_at_any_file_operation_leaves_the_old_or_the_new(tmp_path):
    """SIGKILL, not an exception: nothing of Python runs any more."""
    code = "import sys, pathlib; from tests.checkpoints.test_durability import kill_everywhere as k; k(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list(tmp_path.glob("kill-*"))) > 30


def _after_power_losses(tmp_path, draws):
    base = begun(tmp_path / "disk")
    shutil.copytree(base, tmp_path / "copy")
    disk = Disk(base)
    with recorded() as log:
        save(base, 4)
    done = next(i for i, o in enumerate(log) if o.kind == "rename" and o.path.name.startswith("step-"))
    left = tmp_path / "left"
    for k in range(len(log) + 1):
        for survives in [lambda: False, lambda: True, *(_coin(k * draws + i) for i in range(draws))]:
            disk.after_power_loss(left, survives)
            newest, _ = checkpoints.newest(left)
            assert newest is not None
            assert newest.numbers["step"] == 4 if k >= done else newest.numbers["step"] in (3, 4)
            _same(newest, content(newest.numbers["step"]))
            assert sum(not checkpoints.damage(each) for each in checkpoints.found(left)) >= NEWEST
            assert not checkpoints.damage(checkpoints.found(left)[0])
        if k % 12 == 0:
            go_on(left)
        if k < len(log):
            disk.do(log[k])


def _coin(seed):
    draw = random.Random(seed)
    return lambda: draw.random() < 0.5


def test_what_was_not_flushed_may_be_lost(tmp_path):
    """After every operation the power fails: all, none or some of what was not flushed is gone."""
    _after_power_losses(tmp_path, 1)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_what_was_not_flushed_may_be_lost_in_many_ways(tmp_path):
    _after_power_losses(tmp_path, 30)


def test_what_is_announced_as_flushed_is_flushed(tmp_path, monkeypatch):
    """Each sync is an fsync of that very file or folder, at its time; a file's after its last byte."""
    begun(tmp_path / "run")
    flushed, real = [], os.fsync

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append((path, path.stat().st_size if path.is_file() else 0))
        real(descriptor)

    monkeypatch.setattr("ddpm.storage.durable.os.fsync", fsync)
    with recorded() as log:
        save(tmp_path / "run", 4)
    assert [path for path, _ in flushed] == [o.path for o in log if o.kind.startswith("sync")]
    last = tmp_path / "run" / "step-000000004"
    sizes = {path.name: size for path, size in flushed if path.suffix}
    assert sizes == {path.name: path.stat().st_size for path in last.iterdir()}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_of_the_disk_harms_nothing(tmp_path, number):
    """At any operation of a save: no rest, the older ones whole, and the next save works."""
    begun(tmp_path / "base")
    log = operations(tmp_path)
    save_ends = next(i for i, o in enumerate(log) if o.kind == "rename" and o.path.name.startswith("step-"))
    folder = tmp_path / "base"
    for k in range(save_ends):
        with watched(error_at(k, number)), pytest.raises(StorageError, match="cannot write a checkpoint"):
            save(folder, 4)
        require_old_or_new(folder)
        assert not list(folder.glob(".tmp*"))
    go_on(folder)


def test_what_was_written_is_read_back_before_an_older_one_goes(tmp_path, monkeypatch):
    """A disk that turns a bit while it writes."""
    folder = begun(tmp_path / "run")

    def turn(operation):
        if operation.kind == "sync-folder" and operation.path.name.startswith(".tmp"):
            path = operation.path / "ema.safetensors"
            data = bytearray(path.read_bytes())
            data[-3] ^= 1
            path.write_bytes(data)

    with watched(turn), pytest.raises(StorageError, match=r"read back otherwise.*ema\.safetensors"):
        save(folder, 4)
    assert sorted(path.name for path in folder.iterdir()) == [f"step-{step:09d}" for step in (1, 2, 3)]


def test_the_mode_of_files_is_that_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        folder = checkpoints.write(tmp_path, 1, content(1))
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


@pytest.mark.parametrize("group", ["model", "ema", "optimizer"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_checkpoint_holds_what_is_not_finite(tmp_path, monkeypatch, group, value):
    """Refused on writing; and on reading, where somebody else wrote it."""
    poisoned = content(1)
    next(iter(poisoned.tensors[group].values())).view(-1)[1] = value
    with pytest.raises(Diverged, match="no longer finite"):
        checkpoints.write(tmp_path, 1, poisoned)
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(writing, "require_finite", lambda _content, _step: None)
        folder = checkpoints.write(tmp_path, 1, poisoned)
    with pytest.raises(DataError, match=r"safetensors: \S+ is not finite"):
        checkpoints.read(folder)


def test_large_numbers_are_finite(tmp_path):
    """A sum that overflows is no reason to refuse."""
    large = torch.full((1000,), 3e38)
    checkpoints.write(tmp_path, 1, Checkpoint({"model": {"a": large}}, {}))
    with pytest.raises(Diverged, match="numbers of the run"):
        checkpoints.write(tmp_path, 2, Checkpoint({"model": {}}, {"loss": float("nan")}))


def _refusing(headers):
    """Accepts the layout of `content` alone."""
    expected = {"a.weight": (3, 2), "b": (5,)}
    if {name: entry.shape for name, entry in headers.layouts["model"].items()} != expected:
        raise Mismatch("another network")


def _detected(folder, path, data):
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(DataError, match=folder.name):
        checkpoints.read(folder, _refusing)
    assert folder.name in checkpoints.damage(folder)


def _flip(tmp_path, count):
    folder = checkpoints.write(tmp_path, 7, content(7))
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    places = [(path, bit) for path, data in files.items() for bit in range(8 * len(data))]
    draw = random.Random(0)
    for path, bit in draw.choices(places, k=count) if count < len(places) else places:
        data = bytearray(files[path])
        data[bit // 8] ^= 1 << bit % 8
        _detected(folder, path, bytes(data))
        path.write_bytes(files[path])
    checkpoints.read(folder, _refusing)
    return len(places)


def test_a_flipped_bit_is_noticed(tmp_path):
    """In the manifest, the state, headers and tensors; a flip in a header is damage, not another network."""
    _flip(tmp_path, 200)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_ten_thousand_flipped_bits_are_noticed(tmp_path):
    assert _flip(tmp_path, 10_000) > 10_000


def _cut(tmp_path, lengths):
    folder = checkpoints.write(tmp_path, 7, content(7))
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        header = 8 + int.from_bytes(data[:8], "little") if path.suffix == ".safetensors" else 0
        edges = {0, 1, 7, 8, 9, header - 1, header, header + 1, header + 24, header + 40, len(data) - 8, len(data) - 1}
        for length in sorted({*edges, *lengths(len(data))} & set(range(len(data)))):
            _detected(folder, path, data[:length])
        for longer in (data + b"\0", data + b" ", data + data):
            _detected(folder, path, longer)
        path.write_bytes(data)
    checkpoints.read(folder)


def test_a_file_that_is_cut_off_is_noticed(tmp_path):
    """At every boundary, at others, and with something behind the end."""
    _cut(tmp_path, lambda size: random.Random(size).sample(range(size), 12))


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_file_that_is_cut_off_anywhere_is_noticed(tmp_path):
    _cut(tmp_path, range)


def test_damage_is_named_by_file_and_tensor(tmp_path):
    folder = checkpoints.write(tmp_path, 7, content(7))
    path = folder / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"ema\.safetensors: it is not what was written: 'a\.weight'"):
        checkpoints.read(folder)


def test_files_of_another_step_are_noticed(tmp_path):
    first, second = (checkpoints.write(tmp_path, step, content(step)) for step in (1, 2))
    shutil.copy(first / "ema.safetensors", second / "ema.safetensors")
    with pytest.raises(DataError, match="ema"):
        checkpoints.read(second)
    shutil.rmtree(second)
    first.rename(second)
    with pytest.raises(DataError, match="that of step 1"):
        checkpoints.read(second)


def test_version_1_is_still_read(tmp_path):
    """As it was written before there were digests of tensors; one of a later version is not taken for damaged."""
    folder = checkpoints.write(tmp_path, 7, content(7))
    values = json.loads((folder / "manifest.json").read_text())
    for version, kept in ((1, ("step", "files")), (3, ("step", "files", "tensors", "made_by"))):
        old = {"version": version, **{name: values[name] for name in kept}}
        (folder / "manifest.json").write_bytes(manifest.sealed(old))
        if version == 1:
            _same(checkpoints.read(folder), content(7))
        else:
            with pytest.raises(Mismatch, match="later version"):
                checkpoints.read(folder)


@given(
    st.dictionaries(st.integers(0, 10**10), st.floats(0, 9) | st.just(float("inf")), max_size=30),
    st.integers(0, 7),
    st.integers(1, 5),
)
def test_what_stays(measured, every, newest):
    """The newest, the best and every so often stay, whatever else; the rest goes, and then nothing more."""
    gone = extra(measured, every, newest)
    steps = sorted(measured)
    stay = [step for step in steps if step not in gone]
    assert gone == sorted(set(gone) & set(steps))
    assert stay[-newest:] == steps[-newest:]
    assert all(step in stay for step in steps if every and step % every == 0)
    known = {step: value for step, value in measured.items() if value < float("inf")}
    assert not known or min(known.values()) in [known.get(step) for step in stay]
    assert len(stay) <= newest + 1 + sum(bool(every) and step % every == 0 for step in steps)
    assert extra({step: measured[step] for step in stay}, every, newest) == []


def test_retention_counts_whole_ones_and_by_number(tmp_path):
    """A damaged one is no reason to remove a good one, and is left where it is; 10,000 comes after 9,999."""
    for step in (9_998, 9_999, 10_000):
        save(tmp_path, step)
    (tmp_path / "step-000010000" / "state.json").write_bytes(b"{}")
    save(tmp_path, 10_001)
    assert [checkpoints.step_of(path) for path in checkpoints.found(tmp_path)] == [9_998, 9_999, 10_000, 10_001]
    save(tmp_path, 10_002)
    assert [checkpoints.step_of(path) for path in checkpoints.found(tmp_path)] == [9_999, 10_000, 10_001, 10_002]
    assert (tmp_path / "step-000010000" / "state.json").read_bytes() == b"{}"


def test_a_keeper_sees_damage_that_came_later(tmp_path):
    keeper = Keeper(tmp_path)
    for step in (1, 2, 3):
        checkpoints.write(tmp_path, step, content(step))
        keeper.retire(step)
    path = tmp_path / "step-000000003" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    checkpoints.write(tmp_path, 4, content(4))
    keeper.retire(4)
    assert len(checkpoints.found(tmp_path)) == 4


def test_what_was_read_back_is_not_read_again(tmp_path, monkeypatch):
    """A checkpoint is read when it is written; retention reads the older ones once, and none twice."""
    read = []
    for module in (reading, writing):
        monkeypatch.setattr(module, "damage", lambda folder: read.append(folder.name) or damage(folder))
    for step in (1, 2, 3):
        save(tmp_path, step)
    read.clear()
    with Saver(tmp_path) as saver:
        for step in (4, 5):
            saver.save(step, content(step))
        saver.finish()
    written = [name for name in read if name.startswith(".tmp")]
    assert [name.rsplit("-", 1)[0] for name in written] == [".tmp-step-000000004", ".tmp-step-000000005"]
    assert sorted(set(read) - set(written)) == [f"step-00000000{step}" for step in (1, 2, 3)]
    assert len(read) == 5


def test_the_best_and_every_so_often_stay(tmp_path):
    keeper = Keeper(tmp_path, every=4)
    for step, bits in enumerate((3.0, 2.0, 2.5, 2.2, 2.6, 2.7, 2.8, 2.9, 3.0, 3.1), start=1):
        checkpoints.write(tmp_path, step, Checkpoint(content(step).tensors, {"bits_per_dim": bits}))
        keeper.retire(step)
    assert [checkpoints.step_of(path) for path in checkpoints.found(tmp_path)] == [2, 4, 8, 9, 10]


def test_an_earlier_step_does_not_cost_later_checkpoints(tmp_path):
    for step in (10, 20, 30, 5):
        save(tmp_path, step)
    assert len(checkpoints.found(tmp_path)) == 4
