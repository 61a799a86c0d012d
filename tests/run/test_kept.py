"""A run goes on though an image of its data breaks or disappears between two starts; other data it refuses, saying what is other."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import ddpm.run.train
from ddpm.checkpoints import Checkpoint
from ddpm.data.indexing.snapshot import packed, unpacked
from ddpm.data.open import open_both
from ddpm.data.splits import Options
from ddpm.errors import DataError
from ddpm.parallel.world import World
from ddpm.run import session, writer
from ddpm.run.missing_images import lost_by_all
from ddpm.run.validate import require_numbers
from tests.run.test_data_faults import SMALL, _folders, _same, _train

MODES = {"memory": (), "files": ("--set", "data.in_memory=0", "--set", "data.workers=0")}
STEADY = (
    *("--set", "training.decay=constant", "--set", "rhythm.log=1", "--batch-size", "20"),
    *("--set", "model.multipliers=1", "--set", "model.attention=[]"),
)
"""Every image is seen in any two steps."""
NONE_HELD = ("--set", "data.held_out=0")


@pytest.fixture
def folder(tmp_path):
    return _folders(tmp_path, 40, 0)[0]


@pytest.fixture
def train(ddpm, folder):
    """Start a run, or go on with it, up to a step."""

    def go(run, steps, *flags):
        return _train(ddpm, folder, run, *STEADY, "--steps", steps, *flags)

    return go


def _lost(run, step):
    return json.loads((run / "checkpoints" / f"step-{step:09d}" / "state.json").read_text())["lost"]


def _listed(run):
    with (run / "bad_images.csv").open(newline="") as file:
        return [(row["path"], row["fault"]) for row in csv.DictReader(file)]


def test_a_run_goes_on_without_an_image(train, folder, tmp_path):
    """In memory as in files, in one piece or several, and though the image comes back meanwhile: the same run to the bit."""
    victim = folder / "a" / "00004.png"
    content = victim.read_bytes()
    for name, mode in (("files", "files"), ("again", "memory")):
        run, flags = tmp_path / name, (*NONE_HELD, *MODES[mode])
        assert train(run, 2, *flags).code == 0
        assert _lost(run, 2) == {}
        victim.unlink()
        said = train(run, 3 if name == "again" else 4, *flags)
        assert said.code == 0, said.err
        assert said.err.count("replaced by others: 1 of the images") == said.err.count("a/00004.png: it is gone") == 1
        assert _listed(run) == [("a/00004.png", "lost")]
        victim.write_bytes(content)
        if name == "again":
            said = train(run, 4, *flags)
            assert said.code == 0, said.err
            assert "00004" not in said.err
            assert _listed(run) == [("a/00004.png", "lost")]
        assert _lost(run, 4) == {"2": "it is gone"}
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [row.get("lost_images", 0) for row in rows] == [0, 0, 1, 1]
    _same(tmp_path / "files", tmp_path / "again")


def test_what_was_lost_on_the_way_stays_lost(train, folder, tmp_path, monkeypatch):
    """An image that breaks while the run goes on and is whole again at the next start: the run that had no next start."""
    flags, real, harmed = (*NONE_HELD, *MODES["files"]), session.train, []

    def breaking(state, process, objective, batches, recipe, team):
        if not harmed:
            file = folder / batches.images.names[int(batches.rows(1)[0])]
            harmed.append((file, file.read_bytes()))
            file.write_bytes(b"x")
        return real(state, process, objective, batches, recipe, team)

    monkeypatch.setattr(session, "train", breaking)
    for name, parts in (("whole", [4]), ("parts", [2, 4])):
        for steps in parts:
            said = train(tmp_path / name, steps, *flags)
            assert said.code == 0, said.err
            for file, content in harmed:
                file.write_bytes(content)
        harmed.clear()
    _same(tmp_path / "whole", tmp_path / "parts")
    assert len(_lost(tmp_path / "parts", 4)) == 1


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_a_held_out_image_is_left_out_of_the_bound(train, folder, tmp_path, mode):
    """And stays so quietly for whoever trains: the same weights as if nothing had happened."""
    flags = ("--set", "data.held_out=0.2", "--set", "rhythm.evaluate=4", "--set", "rhythm.evaluations=2", *MODES[mode])
    for name in ("one", "two"):
        assert train(tmp_path / name, 2, *flags).code == 0
    said = train(tmp_path / "one", 4, *flags)
    held_out = int(said.err.split(" held out")[0].rsplit(" ", 1)[1])
    victim = _held_out(folder)
    victim.write_bytes(b"x")
    said = train(tmp_path / "two", 4, *flags)
    assert said.code == 0, said.err
    assert f"{held_out - 1} held out" in said.err
    assert said.err.count("left out of the held-out bound: 1 of the images") == 1
    assert _listed(tmp_path / "two") == [(str(victim.relative_to(folder)), "lost")]
    assert _lost(tmp_path / "two", 4) == {}
    rows = [json.loads((tmp_path / n / "metrics.jsonl").read_text().splitlines()[-1]) for n in ("one", "two")]
    assert rows[0]["loss"] == rows[1]["loss"]
    assert rows[0]["bits_per_dim"] != rows[1]["bits_per_dim"]


@pytest.mark.parametrize(("images", "harmed", "what"), [(9, 2, "2 of "), (1, 1, "1 of ")])
def test_held_out_images_that_are_found_damaged_on_reading(train, folder, tmp_path, images, harmed, what):
    """Size and time say nothing of it. Two are too many; one is, where the bound is estimated on no other."""
    flags = ("--set", "data.held_out=0.3", "--set", f"rhythm.images={images}", *MODES["files"])
    assert train(tmp_path / "run", 1, *flags).code == 0
    for name in open_both(str(folder), Options(held_out=0.3))[1].names[:harmed]:
        file, about = folder / name, (folder / name).stat()
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    said = train(tmp_path / "run", 2, *flags)
    assert said.code == 78, said.err
    assert f"can no longer be read: {what}" in said.err
    assert "that are held out, the first: a/" in said.err
    assert not (tmp_path / "run" / "checkpoints" / "step-000000002").exists()


def _held_out(folder):
    return folder / open_both(str(folder), Options(held_out=0.2))[1].names[0]


def test_other_data_is_told_by_name(train, folder, tmp_path):
    """What was added, what broke beyond measure; and that the run goes on once all is as it was."""
    run = tmp_path / "run"
    assert train(run, 2, *NONE_HELD).code == 0
    before = {file: file.read_bytes() for file in folder.rglob("*.png")}
    first = next(iter(before.values()))

    def refused(what):
        said = train(run, 3, *NONE_HELD)
        assert said.code == 78
        assert f"no longer those that the run began with: {folder}: {what}" in said.err
        assert "a new --output-dir" in said.err
        assert len(said.err.splitlines()) == 3
        assert not (run / "checkpoints" / "step-000000003").exists()

    (folder / "b" / "new.png").write_bytes(first + b"more")
    refused("1 added: the first: b/new.png")
    (folder / "b" / "new.png").unlink()
    (folder / "a" / "00000.png").write_bytes(b"x")
    (folder / "b" / "00003.png").unlink()
    refused("1 gone, 1 unreadable: the first: a/00000.png")
    (folder / "a" / "00000.png").write_bytes(before[folder / "b" / "00003.png"])
    refused("1 gone, 1 changed: the first: a/00000.png")
    for file, content in before.items():
        file.write_bytes(content)
    assert train(run, 3, *NONE_HELD).code == 0


def test_an_index_that_is_damaged_or_missing(train, folder, tmp_path):
    """As for a run that has none: all images must be there, and are written down anew once they are known to be the same."""
    run = tmp_path / "run"
    assert train(run, 2, *NONE_HELD).code == 0
    index = run / "images.index"
    whole, victim = index.read_bytes(), folder / "a" / "00004.png"
    content = victim.read_bytes()
    index.write_bytes(whole[:-1])
    victim.unlink()
    said = train(run, 3, *NONE_HELD)
    assert said.code == 78
    victim.write_bytes(content)
    for steps, bad in ((3, whole[:-1]), (4, None)):
        index.unlink()
        if bad:
            index.write_bytes(bad)
        said = train(run, steps, *NONE_HELD)
        assert said.code == 0, said.err
        assert ("images.index: its hash is not the one" in said.err) == bool(bad)
        assert len(index.read_bytes()) == len(whole)
    victim.unlink()
    begun = tmp_path / "other"
    said = train(begun, 5, *NONE_HELD, "--resume", run / "checkpoints" / "step-000000004")
    assert said.code == 0, said.err
    assert _lost(begun, 5) == {"2": "it is gone"}
    assert len((begun / "images.index").read_bytes()) == len(whole)


@pytest.mark.long
def test_several_processes_go_on_without_the_same_image(forked, train, folder, tmp_path):
    """Two processes after one, and one after two."""
    for mode, flags in MODES.items():
        run = tmp_path / mode
        assert train(run, 2, *NONE_HELD, *flags).code == 0
        content = (folder / "a" / "00004.png").read_bytes()
        (folder / "a" / "00004.png").unlink()
        arguments = ["train", "--data", folder, "--output-dir", run, *SMALL, *STEADY, "--steps", 4, *NONE_HELD, *flags]
        ended = forked.run(*arguments, "--set", "data.augmentation=horizontal-flip", ranks=2)
        assert ended.codes == [0, 0], ended.said
        assert ended.said[0].count("replaced by others") == 1
        assert "replaced by others" not in ended.said[1]
        assert _lost(run, 4) == {"2": "it is gone"}
        (folder / "a" / "00004.png").write_bytes(content)
        assert train(run, 5, *NONE_HELD, *flags).code == 0
        assert _lost(run, 5) == {"2": "it is gone"}


@pytest.mark.parametrize("mode", MODES)
def test_the_last_image_is_lost_and_the_index_too(train, folder, tmp_path, mode):
    """The checkpoint's number of it is beyond what there is: other images, not a damaged checkpoint."""
    run, flags = tmp_path / "run", (*NONE_HELD, *MODES[mode])
    assert train(run, 1, *flags).code == 0
    victim = folder / "b" / "00039.png"
    content = victim.read_bytes()
    victim.unlink()
    assert train(run, 3, *flags).code == 0
    assert _lost(run, 3) == {"39": "it is gone"}
    index = (run / "images.index").read_bytes()
    (run / "images.index").unlink()
    said = train(run, 4, *flags)
    assert said.code == 78, said.err
    assert f"no longer those that the run began with: {folder}: image 39 was lost before, of 39 in files" in said.err
    victim.write_bytes(content)
    (run / "images.index").write_bytes(index)
    assert train(run, 4, *flags).code == 0


def test_processes_go_on_with_the_same_index(train, tmp_path, monkeypatch):
    """One cannot read it: all say so, before any opens images that are others than the first one's."""
    assert train(tmp_path / "run", 1, *NONE_HELD).code == 0
    told, opened = [], []

    def both(_self, own):
        unread = isinstance(own, dict) and own.get("images.index", "")
        told.append(own)
        return [own, {**own, "images.index": ""}] if unread else [own]

    monkeypatch.setattr(World, "all_gather", both)
    monkeypatch.setattr(ddpm.run.train, "open_again", lambda *_: opened.append(1))
    said = train(tmp_path / "run", 2, *NONE_HELD)
    assert said.code == 78, said.err
    assert "they have other images.index" in said.err
    assert len(told[0]["images.index"]) == 64
    assert not opened


def _content(lost):
    return Checkpoint({}, {"step": 1, "adam_step": 1.0, "scaler": {}, "ledger": {}, "images": "x", "lost": lost})


@pytest.mark.parametrize(
    "lost",
    [[], "a", 3, None, {"x": "y"}, {"01": "y"}, {"-1": "y"}, {"٣": "y"}, {"9" * 30: "y"}, {"1": 2}, {"1": "\ud800"}],
)
def test_hostile_lists_of_lost_images(lost):
    require_numbers(_content({"0": "gone", "12": ""}), Path("here"))
    with pytest.raises(DataError, match="damaged checkpoint: here: its lost images"):
        require_numbers(_content(lost), Path("here"))


@pytest.mark.long
def test_lost_images_that_there_are_not(train, folder, tmp_path, monkeypatch):
    """Then the images are others. And more of them than a run can do without."""
    run = tmp_path / "run"
    real = session.lost_by_all
    monkeypatch.setattr(session, "lost_by_all", lambda world, lost: {**real(world, lost), 40: "x"})
    monkeypatch.setattr(session.Batches, "lose", lambda self, lost: None)
    monkeypatch.setattr(writer, "write_bad_images", lambda *_: None)
    assert train(run, 2, *NONE_HELD).code == 0
    said = train(run, 3, *NONE_HELD)
    assert said.code == 78
    assert f"no longer those that the run began with: {folder}: image 40 was lost before, of 40 in files" in said.err
    shutil.rmtree(run)
    monkeypatch.setattr(session, "lost_by_all", lambda world, lost: {1: "x", 2: "x"})
    assert train(run, 2, *NONE_HELD).code == 0
    said = train(run, 3, *NONE_HELD)
    assert said.code == 78
    assert "2 lost before: the first: a/00002.png" in said.err


def test_the_log_tells_what_other_processes_have_lost(train, folder, tmp_path, monkeypatch):
    """At once; all do without it from the next save on, and not sooner: how often is logged changes no step."""
    real = session.lost_by_all
    runs = {"alone": real, "told": lambda world, lost: {**real(world, lost), 7: "the other's"}}
    rows, batches = {}, []
    for name, told in runs.items():
        monkeypatch.setattr(session, "lost_by_all", told)
        monkeypatch.setattr(session.Batches, "lose", lambda self, lost: batches.append(dict(self.lost)))
        assert train(tmp_path / name, 2, *NONE_HELD).code == 0
        rows[name] = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
    assert [row.pop("lost_images", 0) for row in rows["told"]] == [1, 1]
    assert [row["loss"] for row in rows["told"]] == [row["loss"] for row in rows["alone"]]
    assert _listed(tmp_path / "told") == [("a/00014.png", "lost")]
    assert batches == [{}, {}]


def test_what_any_process_has_lost(monkeypatch):
    """The first one's word counts."""
    monkeypatch.setattr(World, "all_gather", lambda self, own: [own, {"1": "b", "7": "c"}, {}])
    assert lost_by_all(World(), {7: "a"}) == {1: "b", 7: "a"}


@pytest.mark.parametrize("mode", MODES)
def test_pictures_that_another_version_reads_otherwise(train, folder, tmp_path, mode):
    """Their files are the same, and so is the hash that a run on files goes by: the index knows which values they had."""
    run = tmp_path / "run"
    assert train(run, 2, *NONE_HELD, *MODES[mode]).code == 0
    kept = unpacked((run / "images.index").read_bytes())
    pictures = kept.parts["all"]
    entries = pictures.index.entries.copy()
    entries["values"][3] ^= 1
    other = replace(pictures, index=replace(pictures.index, entries=entries))
    (run / "images.index").write_bytes(packed(replace(kept, parts={"all": other})))
    said = train(run, 3, *NONE_HELD, *MODES[mode])
    assert said.code == 78
    assert f"1 decoded otherwise: the first: {pictures.index.names[3]}" in said.err
    assert "version of ddpm and of Pillow" in said.err


def _hints(said):
    assert said.code == 78, said.err
    return [line for line in said.err.splitlines() if line.startswith("hint: ")]


ONLY = ("only the version of ddpm that began the run goes on", "a new --output-dir")


def test_the_same_pictures_in_other_splits(train, folder, tmp_path, monkeypatch):
    """One sentence, and nothing of images as they were, as they are that; but of other images it says so."""
    run = tmp_path / "run"
    (folder / "a").rename(folder / "train"), (folder / "b").rename(folder / "val2017")
    with monkeypatch.context() as version:
        version.setattr("ddpm.data.folders.splits_among", lambda _names: {})
        assert train(run, 2, *NONE_HELD).code == 0
    said = train(run, 3, *NONE_HELD)
    assert "its parts were all, and are train and test" in said.err
    assert [what in hint for what, hint in zip(ONLY, _hints(said), strict=True)] == [True, True], said.err
    (folder / "val2017" / "new.png").write_bytes((folder / "train" / "00000.png").read_bytes() + b"more")
    assert "with the images as they were" in _hints(train(run, 3, *NONE_HELD))[0]


def test_the_same_pictures_in_other_classes(train, folder, tmp_path):
    run, flags = tmp_path / "run", (*NONE_HELD, "--conditional")
    assert train(run, 2, *flags).code == 0
    kept = unpacked((run / "images.index").read_bytes())
    other = replace(kept.parts["all"], labels=1 - kept.parts["all"].labels)
    (run / "images.index").write_bytes(packed(replace(kept, parts={"all": other})))
    said = train(run, 3, *flags)
    assert "40 relabelled" in said.err
    assert [what in hint for what, hint in zip(ONLY, _hints(said), strict=True)] == [True, True], said.err


def test_pictures_that_were_moved_to_another_class_are_not_as_they_were(train, folder, tmp_path):
    """The last of the first class is the first of the second now: the same bytes in the same order, elsewhere."""
    run, flags = tmp_path / "run", (*NONE_HELD, "--conditional")
    assert train(run, 2, *flags).code == 0
    (folder / "a" / "00038.png").rename(folder / "b" / "00000.png")
    said = train(run, 3, *flags)
    assert "1 relabelled" in said.err
    assert "with the images as they were" in _hints(said)[0]
    (folder / "b" / "00000.png").rename(folder / "a" / "00038.png")
    assert train(run, 3, *flags).code == 0
