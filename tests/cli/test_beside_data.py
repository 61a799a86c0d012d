"""What is written below the folder of the data: a run is no data of its own, and pictures are refused before any work is done."""

import json

import pytest

from tests.cli.test_errors import _one_line
from tests.harness.pictures import fill

TINY = (
    *(
        "--set",
        "model.channels=8",
        "--set",
        "model.groups=4",
        "--set",
        "model.multipliers=1",
        "--set",
        "model.attention=[]",
    ),
    *("--set", "model.blocks=1", "--set", "schedule.T=4", "--batch-size", 4, "--steps", 2, "--set", "rhythm.sample=1"),
)


@pytest.fixture
def data(tmp_path):
    """A folder of two classes, a stray and a note."""
    data = tmp_path / "pets"
    fill(data / "cat", 4, size=(8, 8)), fill(data / "dog", 4, size=(8, 8), first=4), fill(data, 1, size=(8, 8), first=9)
    (data / "notes.txt").write_text("no picture")
    return data


def test_a_run_in_its_data(ddpm, data):
    """What is there is said, the same command goes on, and no picture comes among the data, but in the run and hidden."""
    run, first = data / "run", data / "cat" / "00000.png"
    said = ddpm("train", "--data", data, "--output-dir", run, *TINY)
    assert said.code == 0, said.err
    for line in (
        "of 2 classes (",
        "passed over: no picture (.txt): 1\n",
        "the 2 classes are not learned: --conditional",
    ):
        assert line in said.err
    assert list((run / "samples").glob("*.png"))
    said = ddpm("train", "--data", data, "--output-dir", run, *TINY)
    assert said.code == 0, said.err
    assert "run folder of ddpm: 1" in said.err
    said = ddpm("data", data, "--json", data / "data.json")
    for line in ("as understood:", "1 in no class, the first: 00009.png", "run folder of ddpm: 1, run"):
        assert line in said.out
    found = json.loads((data / "data.json").read_text())
    assert sum(share["images"] for share in found["understood"]["splits"]) == found["images"] == 9
    assert found["size_range"] == {"width": [8, 8, 8], "height": [8, 8, 8]}
    two = ("--timestep", 2)
    commands = (("sample", run, "--num", 1), ("interpolate", run, first, first, *two), ("edit", run, first, *two))
    for name in ("out", "cat", "."):
        for drawn in commands:
            _one_line(ddpm(*drawn, "--output-dir", data / name), 73, "lies in the data", "write it elsewhere")
    assert not (data / "out").exists()
    _one_line(ddpm("evaluate", run, "--data", data, "--plot", data / "x.png"), 73, "x.png' lies in the data")
    for name in ("run/mine", ".out"):
        said = ddpm("sample", run, "--num", 1, "--steps", 2, "--output-dir", data / name)
        assert said.code == 0, said.err
        assert (data / name / "000000.png").exists()
