"""A tiny run, trained once, and a way to call the command line and see what it says: fixtures of all tests.

What they need of the package is imported when it is first asked for: most tests ask for none of it.
"""

import shutil
from dataclasses import dataclass

import pytest

from tests.harness.untouched import Course
from tests.harness.zygote import zygote

TINY = [
    *("--data", "digits", "--preset", "digits", "--steps", "6", "--batch-size", "8", "--precision", "fp32"),
    *(
        "--set",
        "model.channels=8",
        "--set",
        "model.multipliers=1,2",
        "--set",
        "model.blocks=1",
        "--set",
        "model.groups=4",
        "--set",
        "model.dropout=0.1",
    ),
    *("--set", "schedule.T=12", "--set", "rhythm.images=8", "--set", "rhythm.evaluate=3", "--set", "rhythm.sample=6"),
    *("--set", "rhythm.log=2", "--set", "rhythm.save=3", "--set", "rhythm.samples=4"),
]


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def without_reports():
    """Of tiny runs the report takes most of the time: only `ddpm demo` draws one here, and tests/report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddpm.report.training.report_training", lambda folder, language: folder.report)
        yield


@pytest.fixture
def ddpm(capfd, without_reports):
    """Run a command in this process."""
    from ddpm.cli import main

    def run(*arguments):
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Runs commands in processes of their own, several together if asked."""
    with zygote(tmp_path_factory.mktemp("forked") / "zygote") as made:
        yield made


@pytest.fixture(scope="session")
def course(forked, tmp_path_factory):
    """Runs to be struck, and what they are compared with."""
    return Course(tmp_path_factory.mktemp("course"), forked, TINY)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, without_reports):
    """A run of six steps that all tests share: one that writes into it, or is refused to, takes `run`."""
    from ddpm.cli import main

    folder = tmp_path_factory.mktemp("run") / "tiny"
    assert main(["train", "--output-dir", str(folder), *TINY]) == 0
    ended, there = (folder / "exit.json").read_bytes(), set(folder.rglob("*"))
    yield folder
    assert (folder / "exit.json").read_bytes() == ended
    assert set(folder.rglob("*")) == there


@pytest.fixture
def run(trained, tmp_path):
    """A copy of that run for one test, which may change or harm it."""
    return shutil.copytree(trained, tmp_path / "run")


def young_copy(run, folder):
    """A copy of a run as it was before its first checkpoint."""
    shutil.copytree(run, folder)
    for checkpoint in (folder / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    return folder
