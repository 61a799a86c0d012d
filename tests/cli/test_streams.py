"""What is printed never costs the result: any encoding, any name, nobody who reads, a full disk behind standard output."""

import errno
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpm.cli import main
from ddpm.cli.terminal import console
from ddpm.cli.terminal.streams import SIGNS, Spoken, readable, spoken
from ddpm.run.ending import heard
from ddpm.storage.atomic import write_text
from tests.harness.commands import TINY

ODD = b"caf\xe9 \xc2\xb1 \xed\x95\x9c $x^^$"
"""A folder's name: a byte that is no UTF-8, a sign of ours, Hangul, and TeX that is none."""


def _typed(arguments):
    return [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments]


@pytest.fixture
def picture(trained, tmp_path):
    """An image of the model's size."""
    shape = json.loads((trained / "config.json").read_text())["data"]["shape"]
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros(shape[1:], np.uint8)).save(path)
    return path


@pytest.fixture
def commands(trained, picture, tmp_path):
    """Every command that can write JSON, and where it writes."""
    path, out = tmp_path / "j.json", tmp_path / "out"
    evaluate = ("evaluate", trained, "--data", "digits", "--num-images", "2")
    few = ("--num", "1", "--steps", "2", "--output-dir", out, "--grid", tmp_path / "g.png")
    asked = {
        "evaluate": evaluate,
        "estimate": (*evaluate, "--evaluations", "2"),
        "sample": ("sample", trained, *few),
        "edit": ("edit", trained, picture, "--timestep", "3", *few),
        "schedule": ("schedule", "linear", "--steps", "9"),
        "lab": ("lab", "Q17", "--language", "ko", "--output-dir", out),
        "questions": ("lab",),
        "data": ("data", "digits"),
        "verify": ("verify", trained),
    }
    return {name: _typed([*arguments, "--json", path]) for name, arguments in asked.items()}, path


NAMES = ("evaluate", "estimate", "sample", "edit", "schedule", "lab", "questions", "data", "verify")


@pytest.mark.parametrize(("name", "encoding"), [*((name, "ascii") for name in NAMES), ("evaluate", "cp1252")])
def test_any_encoding(commands, monkeypatch, name, encoding):
    """Of standard output and error, both strict, as PYTHONIOENCODING=ascii makes them."""
    (asked, path), streams = commands, [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    code = main(asked[name])
    out = streams[0].buffer.getvalue().decode(encoding)
    assert code == 0, out
    assert json.loads(path.read_text())
    assert ("±" in out if encoding == "cp1252" else "+-" in out) == (name in ("evaluate", "estimate"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["estimate", "verify"])
def test_a_full_disk_behind_standard_output(commands, monkeypatch, capfd, name):
    """The result that nobody can read is there as a file; the code says that something was lost."""
    asked, path = commands
    with monkeypatch.context() as patch, open("/dev/full", "w") as full:
        patch.setattr(sys, "stdout", full)
        assert main(asked[name]) == 74
    assert "cannot write to standard output: No space left on device" in capfd.readouterr().err
    assert json.loads(path.read_text())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "verify"])
def test_results_are_written_before_they_are_told(commands, monkeypatch, tmp_path, name):
    """But by `verify`, which tells of each checkpoint as it goes."""
    asked, path = commands
    monkeypatch.chdir(tmp_path)  # where the traceback goes

    def told(_, text):
        raise AssertionError(text)

    monkeypatch.setattr(console.Results, "write", told)
    main(asked[name])
    assert json.loads(path.read_text())


@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_nobody_reads(ddpm, commands, monkeypatch, which):
    """A reader who leaves, as `head` does, is served until then; the command ends well, and its files are there."""
    asked, path = commands
    ours, theirs = os.pipe()
    os.close(ours)
    with monkeypatch.context() as patch, open(theirs, "w") as nobody:
        patch.setattr(sys, which, nobody)
        assert main(asked["evaluate"]) == 0
    assert json.loads(path.read_text())


@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_a_stream_that_was_closed(commands, monkeypatch, which):
    """`ddpm ... >&-`: Python has no stream then."""
    asked, path = commands
    monkeypatch.setattr(sys, which, None)
    assert main(asked["sample"]) == 0
    assert json.loads(path.read_text())


def test_a_training_goes_on_though_nobody_reads(tmp_path, monkeypatch, ddpm):
    """And the code is that of exit.json."""
    ours, theirs = os.pipe()
    os.close(ours)
    with monkeypatch.context() as patch, open(theirs, "w") as nobody:
        patch.setattr(sys, "stderr", nobody)
        code = main(["train", "--output-dir", str(tmp_path / "run"), *TINY, "--steps", "2"])
    assert code == json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 0


def _failing(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["report", "telling"])
def test_exit_json_has_the_code_that_the_command_has(ddpm, tmp_path, monkeypatch, what):
    """Also where it is the report that fails, or the last line, after all steps are done."""
    if what == "report":
        monkeypatch.setattr("ddpm.report.training.report_training", _failing)
    else:
        monkeypatch.setattr(Spoken, "failure", OSError(errno.ENOSPC, "No space left on device"), raising=False)
        monkeypatch.setattr(Spoken, "__init__", lambda self, stream: setattr(self, "_stream", stream))
    code = main(["train", "--output-dir", str(tmp_path / "run"), *TINY, "--steps", "2"])
    assert code == json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 74


def test_a_run_between_odd_names(tmp_path, monkeypatch, capfd):
    """Of folders, classes and broken files, through training with its report, sampling and scoring, on an ASCII terminal."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    source, run = tmp_path / os.fsdecode(ODD), tmp_path / os.fsdecode(b"run " + ODD)
    for name in (b"a\xff", "고양이".encode(), b"line\nbreak"):
        folder = source / os.fsdecode(name)
        folder.mkdir(parents=True)
        for i in range(4):
            with (folder / f"{i}.png").open("wb") as file:
                Image.fromarray(np.full((8, 8), i, np.uint8)).save(file, "PNG")
    (source / os.fsdecode(b"bad\xfe\x1b[31m.png")).write_bytes(b"no")
    flags = [
        *TINY[2:],
        "--conditional",
        "--steps",
        "2",
        "--set",
        "data.max_broken=0.5",
        "--set",
        "rhythm.images=2",
        "--set",
        "schedule.T=4",
    ]
    out = ("--output-dir", str(run / "out"), "--grid", str(run / "g.png"))
    for arguments in (
        ["train", "--data", str(source), "--output-dir", str(run), *flags],
        ["sample", str(run), "--num", "2", "--label", "고양이", *out],
        ["evaluate", str(run), "--data", str(source), "--split", "all", "--plot", str(run / "p.png")],
        ["schedule", str(run), "--plot", str(run / "q.png")],
        ["data", str(source), "--json", str(run / "d.json")],
        ["verify", str(run), "--json", str(run / "v.json")],
    ):
        code = main(arguments)
        said = capfd.readouterr()
        assert code == 0, said.err
        assert "\x1b" not in said.out + said.err
        if arguments[0] == "train":
            assert json.loads((run / "exit.json").read_text())["code"] == code
    found = json.loads((run / "d.json").read_text())
    assert os.fsencode(found["broken"][0]["file"]) == b"bad\xfe\x1b[31m.png"


def test_a_text_file_takes_any_name(tmp_path):
    """A report or a page of the laboratory may show one."""
    write_text(tmp_path / "a.html", os.fsdecode(ODD))
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "caf\\udce9 ± 한 $x^^$"


def test_a_signal_is_heard_though_nobody_reads(monkeypatch):
    monkeypatch.setattr(os, "write", _failing)
    heard("SIGTERM")


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("1 ± 2", "ascii", "1 +- 2"),
        ("1 ± 2", "utf-8", "1 ± 2"),
        ("한 ±", "euc_kr", "한 ±"),
        ("한 é", "euc_kr", "한 \\xe9"),
        ("\udce9 −", "latin-1", "\\udce9 -"),
        ("x", None, "x"),
    ],
)
def test_letters_that_an_encoding_lacks(text, encoding, shown):
    assert readable(text, encoding) == shown
    assert all(sign.isascii() for sign in SIGNS.values())


def test_the_streams_are_as_before_afterwards(monkeypatch):
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), spoken():
        assert isinstance(sys.stdout, Spoken)
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before


def test_an_internal_error_with_odd_letters_keeps_its_traceback(ddpm, tmp_path, monkeypatch):
    from ddpm.cli import data

    def broken(_options):
        raise ZeroDivisionError("\udce9 ±")

    monkeypatch.setattr(data, "run", broken)
    monkeypatch.chdir(tmp_path)
    assert ddpm("data", "digits").code == 70
    (crash,) = tmp_path.glob("crash-*.txt")
    assert "\\udce9 ±" in crash.read_text(encoding="utf-8")
