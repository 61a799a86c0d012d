"""Muon: that its steps are the orthogonal ones which it is named for, that the rest is Adam, and where it is refused."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from ddpm import checkpoints
from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.run.session import new_state
from ddpm.run.validate import fitting
from ddpm.training.adam import MOMENTS, Adam
from ddpm.training.muon import DECAY, MOMENTUM, POLYNOMIAL, RMS, Muon, muon, orthogonal

CPU = torch.device("cpu")
SHAPE = UNetShape(channels=8, multipliers=(1, 2), blocks=1, attention=(1,), groups=4, dropout=0.0)


def _random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _mapped(values):
    a, b, c = POLYNOMIAL
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    return values


def _by_svd(matrix):
    """U p(p(p(p(p(S / |S|))))) V^T, in float64: what `orthogonal` must give."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    return left @ torch.diag_embed(_mapped(values / values.norm(dim=-1, keepdim=True))) @ right


@pytest.mark.parametrize("shape", [(3, 8, 40), (3, 40, 8), (1, 1, 9), (2, 16, 16)])
def test_the_orthogonal_factor_is_that_of_the_singular_values(shape):
    matrices_NRC = _random(*shape)
    found = orthogonal(matrices_NRC)
    assert found.shape == shape
    assert (found.double() - _by_svd(matrices_NRC)).abs().max() < 1e-4
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


def test_singular_values_of_five_orders_of_magnitude():
    """Those from 0.002 of the norm on are about 1, smaller ones are not blown up: what a matrix of low rank asks for."""
    left, _, right = torch.linalg.svd(_random(32, 200).double(), full_matrices=False)
    values = torch.logspace(0, -5, 32, dtype=torch.float64)
    found = orthogonal(((left * values) @ right).float()[None])[0].double()
    kept = (left.mT @ found @ right.mT).diagonal()
    share = values / values.norm()
    assert ((kept > 0.68) & (kept < 1.21))[share > 0.002].all()
    assert (kept - _mapped(share)).abs().max() < 2e-3
    assert (share > 0.002).sum() > 15


@pytest.mark.parametrize("how", ["float32", "bfloat16", "medium", "autocast"])
def test_no_singular_value_grows_however_it_is_computed(how):
    """Of rank 1, and of a spectrum that falls: products of a matrix with itself have directions that are rounding alone."""
    left, _, right = torch.linalg.svd(_random(32, 288).double(), full_matrices=False)
    falling = ((left * torch.logspace(0, -6, 32, dtype=torch.float64)) @ right).float()
    given = torch.stack([_random(32, 1) @ _random(1, 288, seed=1), falling])
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium" if how == "medium" else "highest")
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
            found = orthogonal(given.to(torch.bfloat16) if how == "bfloat16" else given)
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.dtype == (torch.bfloat16 if how == "bfloat16" else torch.float32)
    largest = torch.linalg.svdvals(found.float())[:, 0]
    assert ((largest > 0.6) & (largest < 1.4)).all()


@pytest.mark.parametrize("scale", [1e-45, 1e-30, 1e-24, 1e-13, 1e9, 1e18])
def test_gradients_of_any_size_are_finite(scale):
    """Small ones take short steps."""
    found = orthogonal(scale * _random(2, 16, 144))
    assert found.isfinite().all()
    assert found.square().mean() < 1e-3 or scale > 1e-6


def test_a_weight_without_a_gradient_comes_to_rest():
    """Its average is halved every 14 steps, and is 1e-18 of what it was after 800: what is left is the decay of the weight."""
    weight = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([weight], [], 0.01)
    for step in range(2500):
        weight.grad = _random(8, 8) if step == 0 else torch.zeros(8, 8)
        if step == 800:
            rests = weight.detach().clone()
        optimizer.step()
    assert weight.isfinite().all() and (weight - rests * (1 - DECAY * 0.01) ** 1700).abs().max() < 1e-5


def test_a_step_is_that_of_the_definition():
    """Two steps with Nesterov's momentum, a kernel as a matrix of outputs by inputs, for each of several alike."""
    kernels = [torch.nn.Parameter(_random(6, 4, 3, 3, seed=seed)) for seed in (1, 2)]
    wide = torch.nn.Parameter(_random(24, 6, seed=3))
    weights, lr = [*kernels, wide], 0.01
    by_hand = [(weight.detach().double(), torch.zeros_like(weight, dtype=torch.float64)) for weight in weights]
    optimizer = Muon(weights, [], lr)
    for step in range(2):
        for i, weight in enumerate(weights):
            weight.grad = _random(*weight.shape, seed=10 * step + i)
        for i, (value, before) in enumerate(by_hand):
            gradient = weights[i].grad.double()
            average = MOMENTUM * before + (1 - MOMENTUM) * gradient
            ahead = (MOMENTUM * average + (1 - MOMENTUM) * gradient).flatten(1)
            moved = _by_svd(ahead) * (RMS * lr * math.sqrt(max(ahead.shape)))
            by_hand[i] = ((1 - DECAY * lr) * value - moved.view_as(value), average)
        optimizer.step()
    for weight, (value, average) in zip(weights, by_hand, strict=True):
        assert (weight.double() - value).abs().max() < 1e-6
        assert (optimizer.state[weight]["exp_avg"].double() - average).abs().max() < 1e-6


def test_it_is_torchs_but_for_its_16_bits():
    """`torch.optim.Muon` takes weights of two dimensions, and iterates in bf16: steps agree to a twentieth."""
    weight, other = (torch.nn.Parameter(_random(16, 48)) for _ in range(2))
    ours = Muon([weight], [], 0.01)
    theirs = torch.optim.Muon([other], lr=0.01, momentum=MOMENTUM, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        before = weight.detach().clone()
        weight.grad = other.grad = _random(16, 48, seed=step + 1)
        ours.step()
        theirs.step()
        assert torch.allclose(weight, other, atol=0.05 * float((weight.detach() - before).abs().max()))
        other.data.copy_(weight.data)


def test_a_step_is_as_large_as_the_learning_rate_says():
    """Its root mean square is about 0.2 of it, as Adam's, whatever the shape and the size of the gradient."""
    for shape in [(8, 8), (64, 576), (128, 32)]:
        for scale in (1e-6, 1.0, 1e6):
            weight = torch.nn.Parameter(torch.zeros(shape))
            optimizer = Muon([weight], [], 0.01)
            weight.grad = scale * _random(*shape)
            optimizer.step()
            assert 0.13 < weight.square().mean().sqrt() / 0.01 < 0.23


def test_what_is_no_matrix_is_updated_by_adam_to_the_bit():
    """Biases, normalisations, and the classes: a row of an embedding is a class, whose gradient is its own."""
    torch.manual_seed(0)
    network = UNet(replace(SHAPE, classes=3), 1, 2)
    other = copy.deepcopy(network)
    optimizer = muon(network, 1e-2)
    single = {name for name, weight in network.named_parameters() if len(optimizer.moments(weight)) == 1}
    rest = {name: weight for name, weight in other.named_parameters() if name not in single}
    adam = Adam(rest.values(), 1e-2)
    for step in range(3):
        both = zip(network.named_parameters(), other.named_parameters(), strict=True)
        for i, ((_, one), (_, two)) in enumerate(both):
            one.grad = _random(*one.shape, seed=100 * step + i)
            two.grad = one.grad.clone()
        optimizer.step()
        adam.step()
    after = dict(network.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in rest.items())
    assert {name for name, weight in rest.items() if weight.ndim > 1} == {"label.weight"}
    assert all(name.endswith("weight") and after[name].ndim > 1 for name in single)


def test_a_matrix_that_two_layers_share_is_one_parameter():
    one, two = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    two.weight = one.weight
    optimizer = muon(torch.nn.Sequential(one, two, torch.nn.Conv1d(4, 2, 3), torch.nn.ConvTranspose2d(2, 2, 2)), 0.1)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 5]


def test_a_weight_that_is_computed_is_no_parameter():
    """Of torch's parametrizations the parameters that it is computed from are Adam's; all are trained, without a warning."""
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 4))
    optimizer = muon(torch.nn.Sequential(layer, torch.nn.Linear(4, 4)), 0.1)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 4]
    assert all(weight.is_leaf for group in optimizer.param_groups for weight in group["params"])


def test_a_network_without_matrices_is_adams():
    optimizer = muon(torch.nn.BatchNorm1d(4), 0.1)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]
    assert all(optimizer.moments(weight) == MOMENTS for group in optimizer.param_groups for weight in group["params"])


def test_another_name():
    with pytest.raises(UsageError, match="optimizer"):
        changed(Experiment(), {"training.optimizer": "moun"})


def _with_a_step(optimizer):
    experiment = changed(
        digits(), {"training.optimizer": optimizer, "data.shape": [1, 8, 8], "data.levels": 17, "model.channels": 8}
    )
    state = new_state(experiment, CPU)
    for weight in state.network.parameters():
        weight.grad = torch.ones_like(weight)
    state.optimizer.step()
    return experiment, checkpoints.pack(state)


@pytest.mark.parametrize(("optimizer", "other"), [("adam", "muon"), ("muon", "adam")])
def test_the_moments_of_a_checkpoint_are_those_of_its_optimizer(tmp_path, optimizer, other):
    """Adam has two of each weight, Muon one of a matrix; those of the other optimiser are refused, at the latest when it goes on."""
    experiment, content = _with_a_step(optimizer)
    _, foreign = _with_a_step(other)
    path = checkpoints.write(tmp_path, 1, content)
    checkpoints.unpack(checkpoints.read(path, fitting(experiment, tmp_path)), new_state(experiment, CPU))
    content.tensors["optimizer"] = foreign.tensors["optimizer"]
    path = checkpoints.write(tmp_path, 2, content)
    with pytest.raises(Mismatch, match="optimizer"):
        checkpoints.unpack(checkpoints.read(path, fitting(experiment, tmp_path)), new_state(experiment, CPU))


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_moments_that_lack_one_are_refused_before_they_are_read(tmp_path, optimizer):
    experiment, content = _with_a_step(optimizer)
    del content.tensors["optimizer"]["exp_avg_sq.first.bias"]
    path = checkpoints.write(tmp_path, 1, content)
    with pytest.raises(Mismatch, match="optimizer does not fit"):
        checkpoints.read(path, fitting(experiment, tmp_path))
