"""What a command writes never takes the place of something else that is needed; and a drawing that was cut goes on."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from ddpm.cli.terminal.files import file_for
from ddpm.errors import CannotCreate
from tests.cli.test_errors import _one_line


@pytest.fixture
def picture(run, tmp_path):
    """An image of the model's size."""
    shape = json.loads((run / "config.json").read_text())["data"]["shape"]
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros(shape[1:], np.uint8)).save(path)
    return path


def _all(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "metrics.jsonl",
        "exit.json",
        "report.html",
        ".lock",
        "checkpoints/step-000000004/manifest.json",
        "logs/x",
    ],
)
def test_a_run_is_not_overwritten(ddpm, run, tmp_path, name):
    before = _all(run)
    for command in (("sample", run, "--num", 1, "--output-dir", tmp_path / "o"), ("evaluate", run, "--data", "digits")):
        _one_line(ddpm(*command, "--json", run / name), 73, "belongs to the run")
    assert _all(run) == before
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["", "checkpoints", "curves"])
def test_no_images_among_what_a_run_needs(ddpm, run, name):
    _one_line(ddpm("sample", run, "--num", 1, "--output-dir", run / name), 73, "belongs to the run")
    assert not list(run.glob("*.png"))


def test_a_run_takes_what_it_does_not_need(ddpm, run):
    """A table of one's own beside the run's files, and pictures beside its pictures."""
    drawn = ("sample", run, "--num", 1, "--steps", 2, "--output-dir", run / "samples")
    said = ddpm(*drawn, "--json", run / "mine.json", "--grid", run / "samples" / "mine.png")
    assert said.code == 0, said.err
    assert (run / "samples" / "000000.png").exists()
    assert ddpm("verify", run).code == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--grid", "{o}/all.png", "--progressive", "{o}/all.png"), "one file"),
        (("--npz", "{o}/x.npz", "--json", "{o}/../out/x.npz"), "one file"),
        (("--grid", "{o}/000001.png"), "image that is drawn"),
    ],
)
def test_two_outputs_are_not_one_file(ddpm, run, tmp_path, flags, words):
    out = tmp_path / "out"
    flags = [flag.format(o=out) for flag in flags]
    _one_line(ddpm("sample", run, "--num", 2, "--output-dir", out, *flags), 2, words)
    assert not out.exists()


def test_what_is_read_is_not_overwritten(ddpm, run, picture, tmp_path):
    before = picture.read_bytes()
    edit = ("edit", run, picture, "--timestep", 3, "--num", 1, "--output-dir", tmp_path / "out")
    inpaint = ("inpaint", run, picture, picture, "--num", 1, "--output-dir", tmp_path / "out")
    for command in (edit, inpaint):
        _one_line(ddpm(*command, "--grid", picture), 2, "what is read")
    assert picture.read_bytes() == before


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(ddpm, tmp_path):
    """Which root could do: the file takes the place of what was there."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for name in (pipe, tmp_path / "link"):
        _one_line(ddpm("schedule", "cosine", "--json", name), 73, "is a device or a pipe, not a file to write")
    assert pipe.is_fifo()
    assert json.loads(ddpm("schedule", "cosine", "--json", "-").out)["T"] == 1000  # as the hint says
    for name in (
        "/dev/null",
        "/dev/stdout",
        "/dev/fd/1",
    ):  # asked for alone: a fault here would cost a machine its device
        with pytest.raises(CannotCreate, match="is a device or a pipe"):
            file_for(name)


def test_where_nothing_can_be_written_nothing_is_drawn(ddpm, run, tmp_path):
    (tmp_path / "file").touch()
    for flags in (("--grid", tmp_path / "file" / "g.png"), ("--json", tmp_path / "file" / "deep" / "s.json")):
        _one_line(ddpm("sample", run, "--num", 1, "--output-dir", tmp_path / "out", *flags), 73, "is a file")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", ["--num", "--first", "--batch-size"])
def test_numbers_have_an_end(ddpm, run, tmp_path, flag):
    flags = {"--num": 1, flag: 2**53}
    arguments = [part for pair in flags.items() for part in pair]
    _one_line(ddpm("sample", run, "--output-dir", tmp_path / "out", *arguments), 2, "below 2^53")


def test_an_edit_goes_on_where_it_was_cut(ddpm, run, picture, tmp_path):
    """--first, as of sampling: the same images as in one go; and only the steps that were gone are recorded."""
    edit = ("edit", run, picture, "--timestep", 6, "--steps", 3)
    said = ddpm(*edit, "--num", 3, "--output-dir", tmp_path / "one", "--json", "-")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert (found["steps"], found["evaluations"], found["kept_steps"][-1]) == (3, 3, 6)
    assert len(found["kept_steps"]) == 3
    for num, first in ((2, 0), (1, 2)):
        said = ddpm(*edit, "--num", num, "--first", first, "--output-dir", tmp_path / "two")
        assert said.code == 0, said.err
    pictures = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert pictures[0] == pictures[1]


def test_langevin_says_that_it_needs_the_whole_chain(ddpm, run, tmp_path):
    drawn = ("sample", run, "--num", 1, "--sampler", "langevin", "--output-dir")
    assert "needs all 12 steps" in ddpm(*drawn, tmp_path / "few", "--steps", 3).err
    assert "needs all" not in ddpm(*drawn, tmp_path / "all").err
