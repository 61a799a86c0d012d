"""The engine of the exported page in plain JavaScript, held to torch: the network with each of its options."""

import pytest
import torch

import ddpm
from ddpm.explorer.model_data import HALF
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from tests.explorer.harness import array, ask, model_of, tensor

SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4, "attention": (), "dropout": 0.0}
OPTIONS = {
    "plain": {},
    "attention": {"attention": (0, 1), "heads": 2},
    "head channels": {"attention": (1,), "head_channels": 4},
    "attention up": {"attention": (0,), "attention_up": (1,)},
    "no middle": {"middle": "none"},
    "plain middle": {"middle": "plain"},
    "middle as it comes": {"middle_norm": False},
    "scale and shift": {"scale_shift": True},
    "resampled in blocks": {"resample": "block"},
    "padded around": {"padding": "around", "norm_eps": 1e-5},
    "cosines first": {"cosines_first": True, "freq_shift": 0},
    "own widths of time": {"time_channels": 7, "time_embedding": 10},
    "three blocks, three levels": {"multipliers": (1, 1.5, 2), "blocks": 3},
    "one level": {"multipliers": (1,)},
    "classes": {"classes": 5},
    "narrow": {"channels": 5, "multipliers": (1, 3), "groups": 32},
}
SIDES = ((8, 8), (7, 9), (5, 3))


def random_network(inputs: int = 1, outputs: int = 1, **options: object) -> UNet:
    """With weights that are all at work: at first the last layers are 0."""
    network = UNet(UNetShape(**(SMALL | options)), inputs, outputs).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 or not bool(parameter.any()):
                parameter.add_(torch.randn_like(parameter) * 0.1)
            assert bool(parameter.any()), name
    return network


def test_networks(tmp_path):
    """Every option, images of odd sides, one image and several, learned variance: as torch."""
    asked, right = [], []
    for i, options in enumerate(OPTIONS.values()):
        height, width = SIDES[i % len(SIDES)]
        count = 3 - 2 * (i % 2)
        network, x = random_network(2, 4, **options), torch.randn(count, 2, height, width)
        labels = torch.tensor([4, -1, 0]) if "classes" in options else None
        timestep = (0, 17, 999)[i % 3]
        with torch.no_grad():
            right.append(network(x, torch.full((count,), timestep), labels))
        told = None if labels is None else labels.tolist()
        asked.append({"model": model_of(network), "x": array(x), "timestep": timestep, "labels": told})
    for name, found, expected in zip(OPTIONS, ask(tmp_path, "networks", each=asked), right, strict=True):
        difference = float((tensor(found) - expected).abs().max() / expected.abs().max())
        assert difference < 1e-5, (name, difference)


def test_many_images(tmp_path):
    """More images than go through together, of tiles of both sizes, each with its class: as torch."""
    network, x, labels = random_network(1, 1, classes=5), torch.randn(9, 1, 30, 34), torch.arange(9) % 5
    one = {"model": model_of(network), "x": array(x), "timestep": 3, "labels": labels.tolist()}
    (found,) = ask(tmp_path, "networks", each=[one])
    with torch.no_grad():
        expected = network(x, torch.full((9,), 3), labels)
    assert float((tensor(found) - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", HALF])
def test_shipped_network(tmp_path, dtype):
    """The model that comes with the package has the values of half precision already: both agree."""
    network, x = ddpm.load("ddpm:mnist").network, torch.randn(2, 1, 28, 28)
    each = [{"model": model_of(network, dtype), "x": array(x), "timestep": t, "labels": None} for t in (0, 999)]
    for one, found in zip(each, ask(tmp_path, "networks", each=each), strict=True):
        with torch.no_grad():
            expected = network(x, torch.full((2,), one["timestep"]))
        assert float((tensor(found) - expected).abs().max()) < 1e-4
