"""Several averages of the weights: each is what its decay says, is saved and read back, and can be asked for by name."""

import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from ddpm import checkpoints
from ddpm.cli import parser
from ddpm.errors import UsageError
from ddpm.trained.loaded import load_run
from ddpm.training.optimizer import ema_decay
from ddpm.training.trainer import Recipe, State
from tests.harness.commands import TINY
from tests.training.test_trainer import _state, _train

RECIPE = Recipe(steps=40, batch_size=2, lr=1e-3, warmup=4, seed=5, ema_decay=0.9, more_ema_decays=(0.3, 0.0))
NAMES = ["ema", "ema-0.3", "ema-0.0"]


def _averaging(seed=0):
    return State.start(_state(seed).network, 1e-3, torch.amp.GradScaler("cpu", enabled=False), RECIPE.averages)


def _files(run, step):
    saved = run / "checkpoints" / f"step-{step:09d}"
    return {file.stem: safetensors.torch.load_file(file) for file in sorted(saved.glob("*.safetensors"))}


def test_each_average_is_its_own():
    """Of the weights after every step, by the decay and the warm-up of E82; one of decay 0 is the weights."""
    assert list(RECIPE.averages) == NAMES
    state, twin = _averaging(), _state()
    weights = []
    for steps in range(12):
        weights.append([parameter.detach().clone() for parameter in twin.network.parameters()])
        _train(twin, replace(RECIPE, steps=steps + 1, more_ema_decays=()))
    weights.append([parameter.detach().clone() for parameter in twin.network.parameters()])
    _train(state, replace(RECIPE, steps=12))
    for name, decay in zip(NAMES, (0.9, 0.3, 0.0), strict=True):
        expected = [weight.double() for weight in weights[0]]
        for step, now in enumerate(weights[1:]):
            d = ema_decay(step, decay)
            expected = [d * old + (1 - d) * new for old, new in zip(expected, now, strict=True)]
        for ours, theirs in zip(state.averages[name].values(), expected, strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-7)
    assert all(torch.equal(a, b) for a, b in zip(state.ema.values(), twin.ema.values(), strict=True))


def test_averages_survive_a_stop(tmp_path):
    """To the bit, as files of their own."""
    whole, first, second = _averaging(), _averaging(), _averaging(seed=9)
    _train(whole, replace(RECIPE, steps=6))
    _train(first, replace(RECIPE, steps=3))
    folder = checkpoints.write(tmp_path, 3, checkpoints.pack(first))
    assert sorted(file.stem for file in folder.glob("*.safetensors")) == sorted(["model", "optimizer", *NAMES])
    checkpoints.unpack(checkpoints.read(folder), second)
    _train(second, replace(RECIPE, steps=6))
    for name in NAMES:
        for key, tensor in whole.averages[name].items():
            assert torch.equal(tensor, second.averages[name][key]), (name, key)


def test_the_same_average_twice():
    with pytest.raises(UsageError, match=r"twice: decay 0\.9"):
        Recipe(ema_decay=0.9, more_ema_decays=(0.9,))
    with pytest.raises(UsageError, match=r"twice: decay 0\.5"):
        Recipe(more_ema_decays=(0.5, 0.5))


def test_weights_by_name(tmp_path, ddpm):
    """What is read is what was asked for; what the run does not have is refused, with what it has."""
    run = tmp_path / "run"
    assert ddpm("train", "--output-dir", run, *TINY, "--set", "training.more_ema_decays=0.1").code == 0
    files = _files(run, 6)
    assert sorted(files) == ["ema", "ema-0.1", "model", "optimizer"]
    assert any(not torch.equal(files["ema-0.1"][name], files["ema"][name]) for name in files["ema"])
    for weights, group in (("ema", "ema"), ("ema-0.1", "ema-0.1"), ("raw", "model")):
        network = load_run(str(run), weights, torch.device("cpu")).process.network
        assert all(torch.equal(parameter, files[group][name]) for name, parameter in network.named_parameters())
    out = tmp_path / "drawn"
    drawn = ("--num-images", 1, "--output-dir", out, "--json", out / "s.json")
    assert ddpm("sample", run, *drawn, "--weights", "ema-0.1").code == 0
    assert json.loads((out / "s.json").read_text())["weights"] == "ema-0.1"
    said = ddpm("sample", run, "--num-images", 1, "--output-dir", tmp_path / "no", "--weights", "ema-0.7")
    assert said.code == 2
    assert "unknown weights: 'ema-0.7'" in said.err
    assert "choose from ema, raw, ema-0.1" in said.err


def test_a_run_without_further_averages(trained, tmp_path, ddpm):
    """Says so; and a configuration that asks for one that is not there does not fit its checkpoint."""
    said = ddpm("evaluate", trained, "--data", "digits", "--weights", "ema-0.5")
    assert (said.code, "choose from ema, raw" in said.err) == (2, True)
    shutil.copytree(trained, tmp_path / "run")
    config = json.loads((trained / "config.json").read_text())
    config["training"]["more_ema_decays"] = [0.5]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    said = ddpm("sample", tmp_path / "run", "--num-images", 1, "--output-dir", tmp_path / "no")
    assert said.code == 78
    assert "ema-0.5 does not fit" in said.err
    del config["training"]["more_ema_decays"], config["parallel"]  # as it was before there were any
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    drawn = ("--num-images", 1, "--output-dir", tmp_path / "yes")
    assert ddpm("sample", tmp_path / "run", *drawn).code == 0


@pytest.mark.parametrize("command", ["sample", "evaluate", "inpaint", "edit", "interpolate"])
def test_the_help_says_which_weights(command):
    text = " ".join(parser._parsers()[1][command].format_help().split())
    assert all(name in text for name in ("ema-DECAY", "training.more_ema_decays", "raw"))
