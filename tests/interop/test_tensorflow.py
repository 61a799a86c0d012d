"""The authors' variables: our network written under their names and in TensorFlow's layout, and read back."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ddpm as face
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.interop import Told, read
from ddpm.models.shape import UNetShape
from tests.interop.test_files import INSIDE, PORT, random_network

SHAPE = UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,))
PLACES = {
    ours: theirs.replace("temb.dense.", "temb/dense")
    .replace("down.", "down_")
    .replace("up.", "up_")
    .replace(".block.", "/block_")
    .replace(".", "/")
    for ours, theirs in PORT.items()
}
AVERAGE = "/ExponentialMovingAverage"


def variables(network, prefix="model/", ending=""):
    """Its weights under their names, as numpy has them: convolutions (height, width, in, out), dense layers (in, out)."""
    found = {}
    for name, weight in network.state_dict().items():
        part, _, kind = name.rpartition(".")
        if ".block." in part:
            place, inside = part.split(".block.")
            theirs = f"{PLACES[place]}/{INSIDE[inside]}"
        elif ".attention." in part:
            place, inside = part.split(".attention.")
            block = "mid/attn_1" if place == "middle.0" else PLACES[place].replace("block", "attn")
            theirs = f"{block}/{ {'norm': 'norm', 'query': 'q', 'key': 'k', 'value': 'v', 'out': 'proj_out'}[inside] }"
        else:
            theirs = PLACES[part]
        norm = "norm" in theirs.rpartition("/")[2]
        letter = ("gamma" if norm else "W") if kind == "weight" else "beta" if norm else "b"
        value = weight.numpy()
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        found[f"{prefix}{theirs}/{letter}{ending}"] = value.transpose(axes)
    return found


@pytest.fixture(scope="module")
def network():
    return random_network(SHAPE)


@pytest.mark.parametrize("prefix", ["model/", "", "tower_0/model/"])
def test_the_authors_variables(tmp_path, network, prefix):
    """Weights, average and Adam's moments in one file, under any prefix; some arrays in Fortran's order or big-endian."""
    raw, ema = variables(network, prefix), variables(network, prefix, AVERAGE)
    ema = {name: value + 1 for name, value in ema.items()}
    moments = {f"{name}/Adam": np.zeros_like(value) for name, value in raw.items()}
    odd = f"{prefix}conv_in/W"
    raw[odd] = np.asfortranarray(raw[odd])
    ema[f"{odd}{AVERAGE}"] = ema[f"{odd}{AVERAGE}"].astype(">f8")
    np.savez(tmp_path / "ho.npz", **raw, **ema, **moments, global_step=np.int64(790_000))
    foreign = read(tmp_path / "ho.npz", Told((32,)))
    for name, weight in network.state_dict().items():
        assert torch.equal(foreign.raw[name], weight), name
        assert torch.allclose(foreign.ema[name], weight + 1), name
    assert foreign.experiment.model == SHAPE
    assert (foreign.experiment.schedule.name, foreign.experiment.schedule.T) == ("linear", 1000)
    assert foreign.experiment.process.variance == "fixed-large"


def test_one_of_the_two_will_do(tmp_path, network):
    np.savez(tmp_path / "ema.npz", **variables(network, ending=AVERAGE))
    foreign = read(tmp_path / "ema.npz", Told((32,)))
    assert torch.equal(foreign.raw["first.weight"], network.first.weight)
    assert foreign.facts["weights"] == "the moving average"


def test_the_layout_is_tensorflows(tmp_path, network):
    """A convolution and a dense layer by hand: y[i, j, o] = sum x[i + h, j + w, c] W[h, w, c, o]; y = x W."""
    held = variables(network)
    np.savez(tmp_path / "ho.npz", **held)
    foreign = read(tmp_path / "ho.npz", Told((32,)))
    W, x = held["model/conv_in/W"], np.random.default_rng(0).normal(size=(5, 5, 3)).astype(np.float32)
    assert W.shape == (3, 3, 3, 32)
    y = sum(x[1 + h, 2 + w, c] * W[h, w, c] for h in range(3) for w in range(3) for c in range(3))
    ours = F.conv2d(torch.from_numpy(x).permute(2, 0, 1)[None], foreign.raw["first.weight"])[0, :, 1, 2]
    np.testing.assert_allclose(ours, y, rtol=1e-4, atol=1e-5)
    W, x = held["model/temb/dense0/W"], np.arange(32, dtype=np.float32)
    assert W.shape == (32, 128)
    np.testing.assert_allclose(F.linear(torch.from_numpy(x), foreign.raw["time.0.weight"]), x @ W, rtol=1e-4, atol=1e-3)
    nin = held["model/up_1/block_0/nin_shortcut/W"]  # a dense layer over channels, here (1, 1, in, out) or (in, out)
    bare = {name: value[0, 0] if value.shape[:2] == (1, 1) else value for name, value in held.items()}
    assert bare["model/up_1/block_0/nin_shortcut/W"].shape == nin.shape[2:]
    np.savez(tmp_path / "bare.npz", **bare)
    again = read(tmp_path / "bare.npz", Told((32,)))
    assert all(torch.equal(again.raw[name], weight) for name, weight in foreign.raw.items())


def test_how_it_is_read_is_told(ddpm, tmp_path, network):
    np.savez(tmp_path / "ho.npz", **variables(network))
    flags = "--beta_schedule quad --num_diffusion_timesteps 50 --beta_end 0.3 --model_mean_type xstart --model_var_type fixedsmall"
    said = ddpm("import", tmp_path / "ho.npz", tmp_path / "run", "--resolution", 16, f"--flags={flags}")
    assert said.code == 0, said.err
    model = face.load(tmp_path / "run")
    schedule = face.quadratic(50, 1e-4, 0.3)
    torch.testing.assert_close(model.schedule.beta, schedule.beta)
    assert (model.process.prediction, model.process.variance) == (face.X0(), face.FixedSmall())
    assert model.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("change", "flags", "kind", "said"),
    [
        ({}, "--beta_schedule jsd", UsageError, "beta_schedule jsd"),
        ({}, "--colour red", UsageError, "--colour"),
        ({"model/odd/W": np.ones((3, 3), np.float32)}, None, Mismatch, "odd"),
        ({"model/mid/attn_1/q/W": None}, None, Mismatch, r"mid\.attn_1\.q"),
        ({"model/conv_out/b": np.array(["run me"], dtype=object)}, None, DataError, "no array of numbers"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, network, change, flags, kind, said):
    held = {**variables(network), **change}
    np.savez(tmp_path / "ho.npz", **{name: value for name, value in held.items() if value is not None})
    with pytest.raises(kind, match=said):
        read(tmp_path / "ho.npz", Told((32,), flags))


def test_packed_arrays_are_refused(tmp_path, network):
    """What is packed could be far larger than its file."""
    np.savez_compressed(tmp_path / "ho.npz", **variables(network))
    with pytest.raises(DataError, match="packed"):
        read(tmp_path / "ho.npz", Told((32,)))
