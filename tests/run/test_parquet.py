"""A run on Parquet that is stopped and goes on is the run without a stop, to the bit; what cannot be read is one line."""

import json

import pytest

from ddpm.run.ending import Stop
from tests.data.sources.test_shards import packed
from tests.run.test_data_faults import _folders, _same, _train


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="memory", marks=pytest.mark.long),
        pytest.param(
            ("--set", "data.in_memory=0", "--set", "data.workers=0"), id="files, 0 workers", marks=pytest.mark.long
        ),
        pytest.param(("--set", "data.in_memory=0", "--set", "data.workers=2"), id="files, 2 workers"),
    ],
)
def test_stopping_in_the_middle_changes_nothing(ddpm, tmp_path, monkeypatch, flags):
    """After step 2 of 4, by Ctrl-C; the whole is the run on the folder of the same images in the same order."""
    # whose figures cost more than all else
    monkeypatch.setattr("ddpm.report.training.report_training", lambda run, language: run.path)
    folder, _ = _folders(tmp_path, 40, 0)
    data = packed(folder, tmp_path / "hub" / "data" / "train-00000-of-00001.parquet").parents[1]
    held = ("--set", "data.held_out=0", *flags)  # which images are held out is a matter of their names
    assert _train(ddpm, folder, tmp_path / "whole", *held).code == 0
    asked = []

    def after_two(stop):
        asked.append(None)
        stop.by = 2 if len(asked) == 2 else stop.by
        return stop.by != 0

    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__call__", after_two)
        assert _train(ddpm, data, tmp_path / "parts", *held).code == 130
    said = _train(ddpm, data, tmp_path / "parts", *held)
    assert said.code == 0, said.err
    assert "going on from step 2" in said.err
    _same(tmp_path / "whole", tmp_path / "parts")


def test_broken_rows_are_listed_or_refused(ddpm, tmp_path):
    _, dirty = _folders(tmp_path, 40, 3)
    for file in dirty.rglob("*-bad.jpg"):
        file.rename(file.with_suffix(".png"))
    table = packed(dirty, tmp_path / "images.parquet")
    said = ddpm("data", table, "--json", "-")
    assert said.code == 0
    found = json.loads(said.out)
    assert (found["images"], len(found["broken"]), found["class_names"]) == (40, 3, ["cats", "dogs"])
    assert (found["height"], found["width"], found["channels"]) == (8, 8, 1)
    said = _train(ddpm, table, tmp_path / "refused")
    assert said.code == 65
    assert "3 of 43 images" in said.err
    (tmp_path / "cut.parquet").write_bytes(table.read_bytes()[:-9])
    for command in (("data", tmp_path / "cut.parquet"), ("evaluate", tmp_path / "refused", "--data", "hf://x")):
        said = ddpm(*command)
        assert "Traceback" not in said.err
    said = _train(ddpm, tmp_path / "cut.parquet", tmp_path / "run")
    assert said.code == 65
    assert said.err.count("\n") == 1
    assert "cut.parquet" in said.err
    said = _train(ddpm, "hf://datasets/a/b", tmp_path / "run")
    assert said.code == 2
    assert "hf:OWNER/NAME" in said.err
