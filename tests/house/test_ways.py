"""How many files a reader opens who follows a value through the code: those that run on its way. No way gets longer unnoticed."""

import sys
from pathlib import Path

import pytest
import torch

import ddpm
from ddpm.data.open import open_source
from ddpm.data.splits import Options
from ddpm.experiment.config import ScheduleConfig
from ddpm.run.folder import RunFolder
from ddpm.run.start import start_of
from tests.harness.pictures import fill

SOURCES = Path(ddpm.__file__).parent


def visited(way):
    """The files of the source in which something is called on the way, by this thread."""
    files, before = set(), sys.getprofile()

    def seen(frame, event, _argument):
        if event == "call" and frame.f_code.co_filename.startswith(f"{SOURCES}/"):
            files.add(frame.f_code.co_filename.removeprefix(f"{SOURCES}/"))

    sys.setprofile(seen)
    try:
        way()
    finally:
        sys.setprofile(before)
    return files


def _short(most, files):
    """At most so many, and the way is longer than its first step: else nothing was measured."""
    assert most // 2 < len(files) <= most, f"{len(files)} files: {' '.join(sorted(files))}"


@pytest.mark.parametrize(("options", "most"), [(Options(), 20), (Options(in_memory=0), 15)], ids=["memory", "files"])
def test_from_an_image_file_to_what_a_network_sees(tmp_path, options, most):
    """A folder of classes, opened for the first time; where images stay in files, others than this process decode them."""
    for name in ("cat", "dog"):
        fill(tmp_path / name, 5)

    def way():
        images = open_source(str(tmp_path), "train", options)
        try:
            assert images.scaled(torch.arange(2)).shape == (2, 3, 5, 6)
        finally:
            images.close()

    _short(most, visited(way))


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_from_a_schedule_s_name_to_its_table(name):
    """For a T that nothing else asks for, so that it is not known already."""
    _short(4, visited(lambda: ScheduleConfig(name, T=977).build(256).beta))


def test_from_a_run_to_the_checkpoint_that_it_goes_on_from(run):
    _short(18, visited(lambda: start_of("auto").latest(RunFolder(run))))
