"""Weights rounded in one call for a training step in 16 bits: the same bits as autocast's, and each back in its place."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ddpm.data.open import open_source
from ddpm.experiment.presets import digits
from ddpm.models.precision import InPrecision, in_precision, is_native
from ddpm.models.recompute import recompute
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.run.session import new_state, training_process
from ddpm.training import rounded
from ddpm.training.rounded import Rounding, in_training

CPU = torch.device("cpu")


def network(groups=1, classes=None, dropout=0.0):
    torch.manual_seed(0)
    shape = UNetShape(
        channels=16, multipliers=(1, 2), blocks=1, attention=(1,), groups=groups, classes=classes, dropout=dropout
    )
    made = UNet(shape, 3, 3)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def gradients(precise, made, *more):
    """Of a sum of squares; and what was computed."""
    torch.manual_seed(1)
    out = precise(torch.randn(2, 3, 8, 8), torch.tensor([1, 2]), *more)
    out.square().mean().backward()
    return [out, *(parameter.grad for parameter in made.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("together", [1, 20_000, 2**20])
@pytest.mark.parametrize("groups", [1, 2], ids=["channels last", "as usual"])
def test_no_bit_differs_from_autocast(groups, together, monkeypatch):
    monkeypatch.setattr(rounded, "TOGETHER", together)
    made, again = network(groups), network(groups)
    found = gradients(in_training(made, "bf16", CPU), made)
    expected = gradients(in_precision(again, "bf16", CPU), again)
    assert len(found) == len(expected) == 1 + len(list(made.parameters()))
    assert all(one.dtype == torch.float32 for one in found)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("classes", [None, 3])
def test_nor_with_classes_dropout_and_what_is_computed_again(classes):
    label = (torch.tensor([2, -1]),) if classes else ()
    made, again = network(classes=classes, dropout=0.3), network(classes=classes, dropout=0.3)
    recompute(made)
    found = gradients(in_training(made, "bf16", CPU), made, *label)
    expected = gradients(in_precision(again, "bf16", CPU), again, *label)
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_weights_are_back_after_each_call_and_after_an_error():
    made = network()
    before = dict(made.named_parameters())
    precise, inside = in_training(made, "bf16", CPU), []
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
    gradients(in_training(made, "bf16", CPU), made)
    assert made.label.weight.grad is None
    assert made.unused.weight.grad is None
    assert made.first.weight.grad is not None


class Standardised(nn.Conv2d):
    """What rounds its weights beforehand would change what it computes."""

    def forward(self, input):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(input, weight, self.bias)


def test_a_layer_of_ones_own_is_left_to_autocast():
    made, again = network(), network()
    for one in (made, again):
        weights = one.first.state_dict()
        one.first = Standardised(3, 16, 3, padding=1)
        one.first.load_state_dict(weights)
    found = gradients(in_training(made, "bf16", CPU), made)
    expected = gradients(in_precision(again, "bf16", CPU), again)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_for_whole_networks_of_which_all_is_trained():
    assert type(in_training(network(), "bf16", CPU)) is Rounding
    assert not isinstance(in_training(network(), "fp32", CPU), Rounding)
    assert type(in_training(torch.compile(network()), "bf16", CPU)) is InPrecision
    frozen, tied = network(), network()
    frozen.first.requires_grad_(False)
    assert type(in_training(frozen, "bf16", CPU)) is InPrecision
    tied.up[0].block.conv_2 = tied.up[1].block.conv_2
    assert type(in_training(tied, "bf16", CPU)) is InPrecision
    several = object.__new__(DistributedDataParallel)
    nn.Module.__init__(several)
    assert type(in_training(several, "bf16", CPU)) is InPrecision


def test_a_run_is_trained_so():
    experiment = digits().for_data(open_source("digits", "train"))
    state = new_state(experiment, CPU)
    p = training_process(experiment, state, CPU)()
    assert isinstance(p.network, Rounding) == is_native("bf16", CPU)
