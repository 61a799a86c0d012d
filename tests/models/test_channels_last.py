"""Networks whose groups have 16 channels are computed channels last in bf16 on a CPU, and only there."""

from dataclasses import replace

import pytest
import torch

from ddpm.experiment.presets import PRESETS
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet, is_channels_last

CPU = torch.device("cpu")
WIDE = UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(1,), groups=1, dropout=0.0)
NARROW = replace(WIDE, groups=2)


def _network(shape, channels=3):
    torch.manual_seed(0)
    network = UNet(shape, channels, channels).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def _layout(shape, precision):
    """Of what the first convolution of the middle sees."""
    network, seen = _network(shape), []
    network.middle[0].block.conv_1.register_forward_hook(
        lambda _module, given, _out: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    out = in_precision(network, precision, CPU)(torch.randn(2, 3, 8, 8), torch.tensor([1, 2]))
    assert out.is_contiguous()
    return seen == [True]


def test_it_is_bf16_and_groups_of_sixteen_channels():
    assert _layout(WIDE, "bf16")
    assert not _layout(WIDE, "fp32")
    assert not _layout(NARROW, "bf16")


@pytest.mark.parametrize("preset", ["digits", "mnist", "laptop", "cifar10", "small"])
def test_the_presets_for_a_cpu_are(preset):
    assert is_channels_last(PRESETS[preset]().model) == (preset in ("digits", "mnist", "laptop"))


@pytest.mark.parametrize("side", [(8, 8), (7, 5)])
def test_the_numbers_are_those_of_the_other_layout(side):
    """As near to float32 as they are, and to each other."""
    x, t = torch.randn(4, 3, *side), torch.tensor([1, 30, 500, 999])
    network = _network(WIDE)
    exact = network(x, t)
    found = in_precision(network, "bf16", CPU)(x, t)
    network.channels_last = False
    other = in_precision(network, "bf16", CPU)(x, t)
    assert (found - exact).norm() < 1.2 * (other - exact).norm()


def test_a_gradient_is_that_of_the_other_layout():
    found = {}
    for last in (True, False):
        network = _network(WIDE)
        network.channels_last = last
        in_precision(network, "bf16", CPU)(torch.ones(2, 3, 8, 8), torch.tensor([1, 2])).square().mean().backward()
        found[last] = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    assert (found[True] - found[False]).norm() < 0.02 * found[False].norm()
