"""Gradient checkpointing: the same gradient to the bit, with less kept for it."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from ddpm.models.dropout import place
from ddpm.models.lucidrains import LucidrainsShape
from ddpm.models.networks import new
from ddpm.models.precision import in_precision
from ddpm.models.recompute import recompute
from ddpm.models.shape import UNetShape

SHAPES = {
    "paper": UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(1,), groups=1, dropout=0.3, classes=3),
    "lucidrains": LucidrainsShape(
        channels=8, widths=(8, 16), attention=(1,), heads=(2, 2), head_channels=(8, 8), dropout=0.3
    ),
}
CPU = torch.device("cpu")


def _gradient(kind, precision, again):
    """Of every parameter; and how many bytes the gradient kept of what the network computed."""
    torch.manual_seed(0)
    network = new(SHAPES[kind], 1, 1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    if again:
        recompute(network)
    place(network, 5, 0)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    label = (torch.tensor([0, 2]),) if kind == "paper" else ()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = in_precision(network, precision, CPU)(torch.ones(2, 1, 16, 16), torch.tensor([3, 7]), *label)
    out.square().sum().backward()
    return [parameter.grad for parameter in network.parameters()], sum(kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", SHAPES)
def test_the_gradient_is_the_same_to_the_bit(kind, precision):
    """With dropout, whose masks are drawn again."""
    plain, much = _gradient(kind, precision, again=False)
    again, little = _gradient(kind, precision, again=True)
    for one, other in zip(plain, again, strict=True):
        assert torch.equal(one, other)
    assert little < 0.5 * much


def test_without_a_gradient_nothing_is_computed_twice():
    network = new(SHAPES["paper"], 1, 1)
    calls = []
    network.middle[0].block.conv_1.register_forward_hook(lambda *_: calls.append(1))
    recompute(network)
    with torch.no_grad():
        network(torch.ones(1, 1, 8, 8), torch.tensor([1]))
    assert len(calls) == 1
    network(torch.ones(1, 1, 8, 8), torch.tensor([1])).sum().backward()
    assert len(calls) == 3


def test_a_copy_computes_with_its_own_weights():
    network = new(SHAPES["paper"], 1, 1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    recompute(network)
    other = deepcopy(network)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    assert other(torch.ones(1, 1, 8, 8), torch.tensor([1])).any()


def test_blocks_that_halve_and_double_are_computed_again():
    network = new(replace(SHAPES["paper"], resample="block"), 1, 1)
    recompute(network)
    again = {name for name, module in network.named_modules() if "forward" in vars(module)}
    assert again == {"down.0", "down.1", "down.2", "middle.0", "middle.1", "up.0", "up.1", "up.2", "up.3", "up.4"}
