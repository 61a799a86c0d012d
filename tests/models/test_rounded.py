"""Weights rounded in one call for a training step in 16 bits: the same bits as autocast's, and each back in its place."""

import pytest
import torch
from torch import nn

from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet

CPU = torch.device("cpu")
SHAPE = UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(1,), heads=2, groups=1, dropout=0.0)


def network(groups=1, classes=None):
    torch.manual_seed(0)
    made = UNet(UNetShape(**{**vars(SHAPE), "groups": groups, "classes": classes}), 3, 3)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.1)
    return made


def gradients(precise, made, *more):
    """Of a sum of squares; and what was computed."""
    out = precise(torch.ones(2, 3, 8, 8), torch.tensor([1, 2]), *more)
    out.square().mean().backward()
    return [out, *(parameter.grad for parameter in made.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("groups", [1, 2], ids=["channels last", "as usual"])
@pytest.mark.parametrize("classes", [None, 3])
def test_no_bit_differs_from_autocast(groups, classes):
    label = (torch.tensor([2, -1]),) if classes else ()
    made, again = network(groups, classes), network(groups, classes)
    found = gradients(in_precision(made, "bf16", CPU), made, *label)

    def by_autocast(*inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return again(*inputs).float()

    expected = gradients(by_autocast, again, *label)
    assert len(found) == len(expected)
    assert all(one.dtype == torch.float32 for one in found)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_weights_are_back_after_each_call_and_after_an_error():
    made = network()
    before = dict(made.named_parameters())
    precise, inside = in_precision(made, "bf16", CPU), []
    made.middle[0].register_forward_hook(lambda *_: inside.append(made.first.weight.dtype))
    precise(torch.ones(2, 3, 8, 8), torch.tensor([1, 2]))
    assert inside == [torch.bfloat16]
    made.last.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        precise(torch.ones(2, 3, 8, 8), torch.tensor([1, 2]))
    after = dict(made.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_a_weight_that_took_no_part_gets_no_gradient():
    made = network(classes=3)
    made.unused = nn.Linear(2, 2)
    gradients(in_precision(made, "bf16", CPU), made)
    assert made.label.weight.grad is None
    assert made.unused.weight.grad is None
    assert made.first.weight.grad is not None


def test_nothing_is_rounded_beforehand_where_no_gradient_is_wanted():
    made, inside = network(), []
    made.middle[0].register_forward_hook(lambda *_: inside.append(made.first.weight.dtype))
    with torch.no_grad():
        in_precision(made, "bf16", CPU)(torch.ones(2, 3, 8, 8), torch.tensor([1, 2]))
    assert inside == [torch.float32]
