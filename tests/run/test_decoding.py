"""The rule by which large pictures become small belongs to a run: begun before there were two, it keeps the pixels that it had."""

import json
from dataclasses import replace

import pytest
import torch

import ddpm
from ddpm.data.decoding.scaled import FULL, SCALED
from ddpm.data.open import open_source
from ddpm.experiment.binding import KEY
from ddpm.experiment.settings import from_dict
from ddpm.run.folder import RunFolder
from tests.harness.photos import photo
from tests.run.test_binding import written
from tests.run.test_data_faults import SMALL, _same

MODES = {"memory": (), "files": ("--set", "data.in_memory=0", "--set", "data.workers=0")}
FLAGS = (
    *SMALL,
    "--set",
    "training.decay=constant",
    "--set",
    "data.resolution=8",
    "--set",
    "data.channels=1",
    "--set",
    "rhythm.log=1",
    "--batch-size",
    "8",
)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i:02d}.jpg").write_bytes(photo(i, 260))
    return folder


def _as_before(run):
    """A run as versions wrote it that knew only one rule."""
    values = json.loads((run / "config.json").read_text())
    assert values["data"].pop("decoding") == FULL
    (run / "config.json").write_text(json.dumps(values))
    for checkpoint in (run / "checkpoints").iterdir():
        written(checkpoint, lambda numbers: numbers[KEY]["data"].pop("decoding"))


@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_before_goes_on_with_its_pixels(ddpm, photos, tmp_path, mode):
    """As the run that is told to decode in full does in one piece; a new run has other pixels, and a rule that cannot change."""
    old, whole, new = (tmp_path / name for name in ("old", "whole", "new"))
    full = ("--set", "data.decoding=full")
    start = ("train", "--data", photos, *FLAGS, *MODES[mode], "--output-dir")
    assert ddpm(*start, old, *full, "--steps", "2").code == 0
    _as_before(old)
    said = ddpm(*start, old, "--steps", "4")
    assert said.code == 0, said.err
    assert ddpm(*start, whole, *full, "--steps", "4").code == 0
    _same(old, whole)
    assert ddpm(*start, new, "--steps", "4").code == 0
    with pytest.raises(AssertionError):
        _same(new, whole)
    rules = [RunFolder(run).read_experiment().data.decoding for run in (old, whole, new)]
    assert rules == [FULL, FULL, SCALED]
    refused = ddpm(*start, new, *full, "--steps", "5")
    assert refused.code == 78
    assert "data.decoding: scaled -> full" in refused.err


def test_what_reads_the_data_of_a_run_reads_it_as_the_run_did(photos):
    """A configuration that does not say its rule is an older one; one that does, and a new experiment, is taken at its word."""
    values = {"data": {"source": str(photos), "resolution": [8]}}
    rules = {FULL: from_dict(values), SCALED: ddpm.Experiment()}
    for rule, experiment in rules.items():
        assert experiment.data.decoding == experiment.data.options().decoding == rule
        assert from_dict({"data": {**values["data"], "decoding": rule}}).data.decoding == rule
    options = rules[FULL].data.options()
    old, new = (open_source(str(photos), "all", replace(options, decoding=rule)).tensor() for rule in (FULL, SCALED))
    apart = (old.float() - new.float()).abs()
    assert 0 < apart.mean() < 1
    assert torch.equal(open_source(str(photos), "all", options).tensor(), old)
