"""`--precision`: inside the network of what draws and scores; said in the images and in JSON, and what it does to a bound."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as library
from ddpm.evaluation.paired import difference
from ddpm.models.precision import InPrecision, choose, is_native
from ddpm.trained.evaluate import given_images
from ddpm.trained.rounding import bias

CPU = torch.device("cpu")


def _drawn(folder):
    return [np.array(Image.open(path)).tolist() for path in sorted(folder.glob("[0-9]*.png"))]


def test_samples_in_16_bits(ddpm, trained, tmp_path):
    """What Python draws; other pixels than those of fp32, and a folder does not take both."""
    flags = ["sample", trained, "--num", 6, "--output-dir", tmp_path / "a"]
    said = ddpm(*flags, "--precision", "bf16", "--json", "-")
    assert said.code == 0, said.err
    assert json.loads(said.out)["precision"] == "bf16"
    assert ("imitated" in said.err) == (not is_native("bf16", CPU))
    other = ddpm(*flags, "--first", 6)
    assert other.code != 0
    assert 'precision "bf16" -> "fp32"' in other.err
    with pytest.warns(library.RunWarning, match="imitated") if not is_native("bf16", CPU) else _nothing():
        model = library.load(trained, precision="bf16")
    drawn, exact = (one.sample(6, progress=False) for one in (model, library.load(trained)))
    drawn.save(tmp_path / "b")
    assert _drawn(tmp_path / "a") == _drawn(tmp_path / "b")
    assert not torch.equal(drawn.tensor, exact.tensor)
    assert (drawn.tensor - exact.tensor).abs().mean() < 0.05
    assert model.precision == "bf16"
    assert model.network.state_dict().keys() == library.load(trained).network.state_dict().keys()


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_edits_and_what_auto_is(ddpm, trained, tmp_path):
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "grey.png")
    edit = ["edit", trained, tmp_path / "grey.png", "--timestep", 6, "--num", 1, "--json", "-", "--output-dir"]
    for name, is_ in (("bf16", "bf16"), ("auto", choose("auto", CPU))):
        said = ddpm(*edit, tmp_path / name, "--precision", name)
        assert json.loads(said.out)["precision"] == is_, said.err
    ends = [tmp_path / "grey.png"] * 2
    between = ["interpolate", trained, *ends, "--timestep", 6, "--num", 2, "--output-dir", tmp_path / "row"]
    assert ddpm(*between, "--precision", "bf16").code == 0
    unknown = ddpm(*edit, tmp_path / "c", "--precision", "fp8")
    assert (unknown.code, "bf16" in unknown.err) == (2, True)


def test_a_bound_says_its_bias(ddpm, trained):
    """Against fp32, by pairs: near the difference of the two bounds on all images, of which it is an estimate."""
    flags = ["evaluate", trained, "--data", "digits", "--num-images", 40, "--json", "-"]
    said = ddpm(*flags, "--precision", "bf16")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert (result["precision"], result["bias"]["against"], result["bias"]["images"]) == ("bf16", "fp32", 40)
    assert f"in bf16: {result['bias']['mean']:+.1e} ± {result['bias']['stderr']:.1e} bits/dim against fp32" in said.err
    exact = json.loads(ddpm(*flags).out)
    assert "bias" not in exact
    between = result["bits_per_dim"]["total"] - exact["bits_per_dim"]["total"]
    assert between != 0
    assert abs(result["bias"]["mean"] - between) < 5 * result["bias"]["stderr"] + 1e-3
    few = json.loads(ddpm(*flags, "--precision", "bf16", "--evaluations", 4).out)
    assert few["bias"] == result["bias"]


class _Off(InPrecision):
    """Rounding that errs to one side, by much."""

    def forward(self, x_t, timestep, *label):
        return super().forward(x_t, timestep, *label) + 0.03 * x_t


def test_the_bias_is_the_difference_of_the_bounds(trained):
    """Of two that are apart by many errors: what 16 evaluations of some images say, against every t of all of them."""
    exact = library.load(trained)
    p = exact.process
    off = replace(exact.loaded, process=replace(p, network=_Off(p.network, torch.bfloat16, CPU)), precision="bf16")
    rounded = library.TrainedModel(off)
    images = given_images(exact.loaded, "digits", "test").take(torch.arange(100))
    bounds = [model.bits_per_dim("digits", num_images=100, progress=False) for model in (exact, rounded)]
    pairs, found = difference(*bounds), bias(off, images, 0, 64)
    assert pairs.mean > 5 * (pairs.stderr + found.stderr)
    assert abs(found.mean - pairs.mean) < 4 * (found.stderr + pairs.stderr)
    assert bias(exact.loaded, images, 0, 64) is None


def test_what_is_measured_in_fp32_alone(ddpm, trained):
    flags = ["evaluate", trained, "--data", "digits", "--num-images", 2]
    for metric in ("importance-weighted", "flow"):
        said = ddpm(*flags, "--metrics", metric, "--precision", "bf16")
        assert (said.code, f"{metric} is measured in fp32 alone: bf16" in said.err) == (2, True)
        assert "--precision fp32 measures it" in said.err
        assert ddpm(*flags, "--metrics", metric, "--precision", "fp32").code == 0
    several = ddpm("evaluate", trained, trained, "--data", "digits", "--precision", "bf16")
    assert (several.code, "fp32 alone: bf16" in several.err) == (2, True)
