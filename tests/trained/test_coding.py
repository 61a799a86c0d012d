"""A trained model as a codec: its profile is measured once and kept; what cannot be read back is not written."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ddpm.codec.calibrate import as_it_is
from ddpm.codec.chain.calibrate import cheapest
from ddpm.codec.denoiser import Denoiser
from ddpm.errors import DataError, RunWarning, StorageError
from ddpm.sampling.timesteps import log_snr
from ddpm.trained import coding
from ddpm.trained.coding import can_be_exact, codec_of, kept_profile, profile_file
from ddpm.trained.loaded import load_run


@pytest.fixture
def model(run):
    return load_run(str(run), "ema", torch.device("cpu"))


@pytest.fixture(scope="module")
def measured_run(trained, tmp_path_factory):
    """A run that has coded, to be copied."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("measured") / "run")
    codec_of(load_run(str(folder), "ema", torch.device("cpu")))
    return folder


@pytest.fixture
def measured(measured_run, tmp_path):
    """A copy of it, for one test."""
    folder = shutil.copytree(measured_run, tmp_path / "measured")
    return load_run(str(folder), "ema", torch.device("cpu"))


def images(model, many=3):
    rng = np.random.default_rng(1)
    return list(rng.integers(0, model.experiment.levels, size=(many, *model.experiment.shape)))


def test_the_profile_is_measured_once(model, monkeypatch):
    """Files of the first call are read by the second, which measures nothing."""
    assert kept_profile(model) is None
    codec = codec_of(model)
    assert codec.profile == kept_profile(model)
    assert codec.profile.exact
    files = codec.compress(images(model))
    kept = profile_file(model).read_bytes()
    monkeypatch.setattr(coding, "measured_profile", None)
    again = codec_of(model)
    assert again.name == codec.name
    assert profile_file(model).read_bytes() == kept
    for found, image in zip(again.decompress(files), images(model), strict=True):
        assert np.array_equal(found.pixels, image)


def test_of_two_that_measure_the_first_one_s_profile_stays(measured, monkeypatch):
    """Its files are out already, and name it."""
    first, file = codec_of(measured), profile_file(measured)
    kept = file.read_bytes()
    file.unlink()

    def measured_meanwhile(_trained):
        file.write_bytes(kept)
        return replace(first.profile, chunk=5.0)

    monkeypatch.setattr(coding, "measured_profile", measured_meanwhile)
    assert codec_of(measured).name == first.name
    assert file.read_bytes() == kept
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_measuring_again_gives_the_same(measured):
    """Of the chain too."""
    name = codec_of(measured).name
    profile_file(measured).unlink()
    chain = codec_of(measured, chain=True)
    assert chain.name == name
    kept = profile_file(measured, chain=True).read_bytes()
    profile_file(measured, chain=True).unlink()
    assert codec_of(measured, chain=True).chain == chain.chain
    assert profile_file(measured, chain=True).read_bytes() == kept


def test_a_chain_has_the_cheapest_steps(measured, monkeypatch):
    """Those that a part of its images chooses."""
    monkeypatch.setattr(coding, "STEPS", 6)  # of 12
    codec = codec_of(measured, chain=True)
    process, images = measured.process, coding._measured_on(measured)
    denoiser = Denoiser(as_it_is(process), codec.profile, measured.device)
    steps = cheapest(process, denoiser, images[:: coding.FEWER], coding.STEPS)
    alpha_bar = [float(process.schedule.alpha_bar[t]) for t in steps]
    assert [level.alpha_bar for level in codec.chain.steps] == alpha_bar
    assert steps != log_snr(process.schedule, len(steps))


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values["profile"].pop("chunk"),
        lambda values: values["profile"].update(width=99),
        lambda values: values["profile"]["average"].__setitem__(0, 1.25),
        lambda values: values["profile"]["noisy"][1].update(alpha_bar=0.0123),
        lambda values: values.update(weights="of another model"),
        lambda values: values.clear(),
    ],
)
def test_a_damaged_profile_is_not_made_anew(measured, damage):
    """Files that it made could not be read with another."""
    values = json.loads(profile_file(measured).read_text())
    damage(values)
    profile_file(measured).write_text(json.dumps(values))
    before = profile_file(measured).read_bytes()
    with pytest.raises(DataError):
        codec_of(measured)
    assert profile_file(measured).read_bytes() == before


def test_no_profile_is_half_written(model):
    profile_file(model).parent.mkdir(exist_ok=True)
    profile_file(model).write_text('{"weights": "')
    with pytest.raises(DataError, match="no JSON"):
        codec_of(model)


def test_a_folder_that_takes_no_file_is_told_before_anything_is_measured(model, monkeypatch):
    model.folder.codecs.write_text("a file where the folder should be")
    monkeypatch.setattr(coding, "calibrated", None)
    with pytest.raises(StorageError, match="codecs"):
        codec_of(model)


class Foreign(nn.Module):
    """A network with an operation that has no exact arithmetic here."""

    def __init__(self, network, shift=0.0):
        super().__init__()
        self.network, self.shift = network, shift

    def forward(self, x_t, timestep):
        return self.network(x_t, timestep) + x_t.mean(dim=(1, 2, 3), keepdim=True) * self.shift


def foreign(model, shift):
    return replace(model, process=replace(model.process, network=Foreign(model.process.network, shift)))


def test_a_network_without_exact_arithmetic_is_probed(model):
    """It is coded in float64; where the probe says other numbers, as on another machine, nothing is read or written."""
    before = foreign(model, 0.0)
    assert can_be_exact(model)
    assert not can_be_exact(before)
    with pytest.warns(RunWarning, match="no exact arithmetic"):
        codec = codec_of(before)
    assert not codec.profile.exact
    assert codec.profile.probe != 0
    files = codec_of(foreign(model, 0.0)).compress(images(model))
    for found, image in zip(codec.decompress(files), images(model), strict=True):
        assert np.array_equal(found.pixels, image)
    with pytest.raises(DataError, match="other numbers"):
        codec_of(foreign(model, 1e-2))
