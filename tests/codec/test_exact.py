"""The exact network: the same bits under every setting of this machine, nearly what the network gives, or refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ddpm.codec import exact as exact_file
from ddpm.codec.exact import FRACTION, LARGEST, NotExact, exact, exp_table, silu_table, whole_weights
from ddpm.models import layers
from tests.codec.networks import SHAPES, noise, said, unet, weighted

SETTINGS = {
    "one thread": ("1", {}),
    "two threads": ("2", {}),
    "no vectors": ("1", {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
    "AVX2": ("2", {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "AVX-512": ("2", {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
    "another MKL": ("1", {"MKL_CBWR": "COMPATIBLE", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
}


def elsewhere(setting, many, *batches):
    """What a process with these settings says of so many images."""
    threads, variables = SETTINGS[setting]
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_WAIT_POLICY": "PASSIVE", **variables}
    command = [sys.executable, "-m", "tests.codec.networks", threads, str(many), *map(str, batches)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("many", [16, pytest.param(64, marks=pytest.mark.long)])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_gives_the_same_bits(setting, many, record_property):
    """Also where images share a call of the network; here each is alone."""
    if setting == "AVX-512" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("this processor has no AVX-512")
    found, ours = elsewhere(setting, many, 7, many), said(many, 1)
    floats = {one.pop("float32") for one in found.values()}
    record_property("figures", f"{len(floats | {ours['float32']})} results in float32, 1 in exact arithmetic")
    for batch, one in found.items():
        assert one == {name: ours[name] for name in one}, (setting, batch)


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_nearly_what_the_network_gives(name):
    """Within 2^-10 of the largest output: activations have 14 bits after the point, SiLU's argument 13."""
    x_t, network = noise(name, 4), unet(name)
    found = exact(network)(x_t, torch.full((4,), 500))
    with torch.no_grad():
        meant = network.double()(x_t, torch.full((4,), 500))
    assert found.dtype == torch.float64
    assert (found - meant).abs().max() < 2**-10 * meant.abs().max()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", ["the whole", "in place", "a part", "a part in place"])
def test_a_compiled_network_gives_the_same_bits(way):
    """It is run as it was written, and the network that was given stays compiled."""
    x_t, network, t = noise("paper", 2), unet("paper"), torch.full((2,), 500)
    ours = exact(network)(x_t, t)
    if way == "the whole":
        network = torch.compile(network)
    elif way == "in place":
        network.compile()
    elif way == "a part":
        network.down[0] = torch.compile(network.down[0])
    else:
        network.down[0].compile()
    assert torch.equal(exact(network)(x_t, t), ours)
    compiled = {
        "the whole": network,
        "in place": network,
        "a part": network.down[0],
        "a part in place": network.down[0],
    }[way]
    assert hasattr(compiled, "_orig_mod") or compiled._compiled_call_impl is not None


def test_a_weight_that_is_computed_is_not_mistaken_for_another():
    """Where one lay in memory the next may lie."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 1, 1, 1))

        def forward(self, x, timestep):
            for factor in range(1, 9):
                x = F.conv2d(x, self.weight * factor)
            return x

    found = exact(Scaled())(torch.full((1, 1, 2, 2), 2.0**-10), torch.zeros(1))
    assert torch.equal(found, torch.full((1, 1, 2, 2), 40320 * 2.0**-10, dtype=torch.float64))


class Calls(nn.Module):
    """A network that is one call."""

    def __init__(self, call):
        super().__init__()
        self.call = call
        self.norm = nn.LayerNorm(4)
        self.twice = nn.Conv2d(2, 2, 1, groups=2)

    def forward(self, x, timestep):
        return self.call(self, x)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("layer_norm", lambda self, x: self.norm(x)),
        ("einsum", lambda self, x: torch.einsum("bchw,bkhw->bckw", x, x)),
        ("sum", lambda self, x: x.sum(1)),
        ("mean", lambda self, x: x.mean()),
        ("sqrt", lambda self, x: x.sqrt()),
        ("pow", lambda self, x: x**0.5),
        ("add", lambda self, x: torch.add(x, x, alpha=0.1)),
        ("interpolate", lambda self, x: F.interpolate(x, scale_factor=2, mode="bilinear")),
        ("arange", lambda self, x: x + torch.arange(0, 1, 0.25)),
        ("groups", lambda self, x: self.twice(x)),
        ("vector", lambda self, x: x @ x[0, 0, 0]),
    ],
)
def test_what_has_no_exact_arithmetic_is_named(name, call):
    with pytest.raises(NotExact, match=name):
        exact(Calls(call))(torch.ones(1, 2, 4, 4), torch.zeros(1))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e30])
def test_weights_that_are_none_are_refused(broken):
    layer = nn.Linear(2, 2)
    layer.weight.data[0, 0] = broken
    with pytest.raises(NotExact, match="finite"):
        exact(Calls(lambda self, x: F.linear(x, layer.weight.double())))(torch.ones(1, 2), torch.zeros(1))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("inputs", [9, 2304, 20000])
def test_sums_of_products_stay_whole(scale, inputs):
    """The largest that activations can be times all of a row's weights, in Python's whole numbers: below 2^53."""
    weights = np.random.default_rng(1).normal(size=(3, inputs)) * scale
    weights[1] = scale
    whole, bits = whole_weights(torch.from_numpy(weights))
    worst = max(sum(abs(int(w)) for w in row) for row in whole.tolist()) * 2 ** (FRACTION + LARGEST)
    assert worst < 2**53
    assert bits <= 24
    assert np.abs(whole.numpy() * 2.0**-bits - weights).max() <= 2.0 ** -(bits + 1) + 2.0**-25


def test_a_convolution_is_that_of_whole_numbers():
    """Compared with sums in Python's whole numbers, at the ends of what activations can be, with a stride and padding."""
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.choice([-(2.0**LARGEST), 2.0**LARGEST, 3.5, -0.25], size=(2, 3, 5, 6)))
    layer = nn.Conv2d(3, 2, 3, stride=2, padding=1).double()
    found = exact(Calls(lambda self, x: layer(x)))(x, torch.zeros(2))
    whole, bits = whole_weights(layer.weight)
    scaled = np.pad((x.numpy() * 2**FRACTION).astype(object), ((0, 0), (0, 0), (1, 1), (1, 1)))
    scaled = np.vectorize(int, otypes=[object])(scaled)
    rows = [[int(w) for w in row] for row in whole.tolist()]
    for image, out, i, j in np.ndindex(*found.shape):
        window = scaled[image, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].ravel()
        total = sum(a * b for a, b in zip(window, rows[out], strict=True))
        assert found[image, out, i, j].item() == float(total) * 2.0 ** -(FRACTION + bits) + layer.bias[out].item()


@pytest.mark.parametrize("many", [4, 4095, 4096, 2**16])
def test_a_normalisation_has_the_variance_of_whole_numbers(many):
    """The worst that there is: half at one end, half at the other, or one alone; squares lose what int64 cannot hold."""
    ends = torch.full((2, 1, many), -(2.0**LARGEST), dtype=torch.float64)
    ends[0, 0, ::2], ends[1, 0, 1:] = 2.0**LARGEST, 2.0**LARGEST
    found = exact(Calls(lambda self, x: F.group_norm(x, 1)))(ends, torch.zeros(2))
    assert (found - F.group_norm(ends, 1)).abs().max() < 1e-6 * many**0.5
    assert len(found[0].unique()) == 2


def test_attention_s_products_stay_whole():
    """The largest numbers of both sides of a product of activations."""
    for terms in (1, 7, 64, 4095, 4096):
        bits = (exact_file.WHOLE - terms.bit_length()) // 2
        assert terms * 2 ** (2 * bits) < 2**53
        a = torch.full((1, 2, terms), 1 - 2.0**-50, dtype=torch.float64) * 3e-5
        found = exact(Calls(lambda self, x: x @ x.transpose(1, 2)))(a, torch.zeros(1))
        assert (found / (a @ a.transpose(1, 2)) - 1).abs().max() < 2.0 ** (3 - bits)


def test_a_convolution_in_parts_is_that_of_the_whole(monkeypatch):
    x_t, network, times = noise("paper", 5), unet("paper"), torch.full((5,), 3)
    whole = exact(network)(x_t, times)
    monkeypatch.setattr(exact_file, "AT_ONCE", 1)
    assert torch.equal(exact(network)(x_t, times), whole)


def test_the_network_itself_stays_as_it_was():
    network = weighted(nn.Sequential(nn.Conv2d(1, 1, 1)))
    network.train()
    before = network[0].weight.clone()
    exact(network)
    assert network.training
    assert network[0].weight.dtype == torch.float32
    assert torch.equal(network[0].weight, before)


SILU = (silu_table, 20, lambda i: mpmath.mpf(i - 131072) / 8192, lambda x: x / (1 + mpmath.exp(-x)))
EXP = (exp_table, 32, lambda i: -mpmath.mpf(i) / 4096, mpmath.exp)


@pytest.mark.parametrize(("made", "bits", "argument", "function"), [SILU, EXP], ids=["silu", "exp"])
@pytest.mark.parametrize("near", [0.002, pytest.param(0.5, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_tables_are_right_whatever_library_made_them(made, bits, argument, function, near):
    """Each entry is the nearest multiple of 2^-bits, and its function lies 4e-14 of itself or more from the next one's.

    That is some 200 times what a library's exponential errs. The fast tier looks at those that the library itself says are
    within 0.002 of the middle between two multiples, the long one at all.
    """
    table = made().numpy()
    with mpmath.workprec(120):
        least = mpmath.inf
        for i in _near_a_middle(made, bits, near):
            true = function(argument(int(i)))
            away = abs(true - mpmath.mpf(table[i]))
            middle = mpmath.mpf(2) ** (-bits - 1)
            assert away < middle
            if true:
                least = min(least, (middle - away) / abs(true))
    assert least > 4e-14


def _near_a_middle(made, bits, near):
    """Places whose function is, in float64, so close to the middle between two multiples of 2^-bits."""
    if made is silu_table:
        x = np.arange(-131072, 131073) / 8192
        values = x / (1 + np.exp(-x))
    else:
        values = np.exp(-np.arange(65537) / 4096)
    return np.flatnonzero(np.abs(np.mod(values * 2**bits, 1) - 0.5) <= near)


def test_sinusoids_are_the_nearest_numbers():
    """Of angles up to a thousand; and of exp."""
    angles = np.concatenate([np.random.default_rng(3).uniform(-1000, 1000, 100), [0.0, 999.0, 1e-4, 6.283185307179586]])
    run = exact(Calls(lambda self, x: torch.stack([x.sin(), x.cos(), (-x.clamp(0, 40)).exp()])))
    sines, cosines, powers = run(torch.from_numpy(angles), torch.zeros(1)).tolist()
    with mpmath.workprec(200):
        for angle, sine, cosine, power in zip(angles.tolist(), sines, cosines, powers, strict=True):
            assert sine == float(mpmath.sin(angle))
            assert cosine == float(mpmath.cos(angle))
            assert power == float(mpmath.exp(-min(max(angle, 0), 40)))


def test_constants_are_no_library_s():
    """log 10000 lies 0.011 units of the last digit from the middle of two float64: one library gives this one, one that."""
    with mpmath.workprec(200):
        true = mpmath.log(10000)
        assert abs(mpmath.frac(true * 2**49) - 0.5) < 0.012
        assert float(true) == layers.LOG_10000
