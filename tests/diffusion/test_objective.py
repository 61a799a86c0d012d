"""T7, T16, T18: what training minimises, against the bound it comes from."""

import math

import pytest
import torch
from torch import nn

from ddpm.diffusion.bound import constants, terms
from ddpm.diffusion.objective import OBJECTIVES, Hybrid, simple, variational, weighted
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Learned
from tests.harness.oracles import rough_network

F64 = torch.float64


def _images(count, dtype=F64):
    return (torch.randint(0, 256, (count, 1, 2, 2)) / 127.5 - 1).to(dtype)


class Counting:
    """A network that counts its calls."""

    def __init__(self, network):
        self.network, self.calls = network, 0

    def __call__(self, x_t, timestep):
        self.calls += 1
        return self.network(x_t, timestep)


def test_l_simple_is_eq_14():
    """Eq. 14, written out."""
    schedule = linear()
    x_0, eps, t = _images(3), torch.randn(3, 1, 2, 2, dtype=F64), torch.tensor([1, 300, 1000])
    abar = schedule.alpha_bar[t].reshape(3, 1, 1, 1)
    predicted = rough_network(abar.sqrt() * x_0 + (1 - abar).sqrt() * eps, t - 1)
    loss = simple(ReverseProcess(rough_network, schedule), x_0, t, eps)
    torch.testing.assert_close(loss, ((eps - predicted) ** 2).mean((1, 2, 3)), rtol=1e-9, atol=1e-12)


def test_an_ignorant_network_starts_at_one():
    """E67: an output of 0 has an expected loss of 1 for each coordinate."""
    p = ReverseProcess(lambda x, _: torch.zeros_like(x), linear())
    x_0 = torch.zeros(2000, 1, 4, 4)
    loss = simple(p, x_0, torch.randint(1, 1001, (2000,)), torch.randn_like(x_0))
    assert float(loss.mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_evaluation_of_the_network(name):
    """T16, E69: training never runs the reverse loop."""
    network = Counting(lambda x, _: torch.cat([x, x], dim=1) if name == "hybrid" else x)
    p = ReverseProcess(network, linear(), variance=Learned() if name == "hybrid" else FixedLarge())
    loss = OBJECTIVES[name](p, _images(4, torch.float32), torch.tensor([1, 2, 500, 1000]), torch.randn(4, 1, 2, 2))
    assert network.calls == 1
    assert loss.shape == (4,)
    assert loss.isfinite().all()


@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS)
@pytest.mark.parametrize("variance", [FixedLarge(), FixedSmall()])
def test_weighted_is_the_bound_without_its_constant(variance, prediction):
    """Eq. 12 for every prediction and every t: T w_t |error|^2 / D = T (L_{t-1} - C) / D."""
    schedule = linear(12, 1e-3, 0.8)
    p = ReverseProcess(rough_network, schedule, prediction, variance, unlimited)
    x_0, eps = _images(3), torch.randn(3, 1, 2, 2, dtype=F64)
    bound = {term.t: term.nats / 4 for term in terms(p, x_0, lambda _: eps)}
    for t in range(2, 13):
        loss = weighted(p, x_0, torch.full((3,), t), eps)
        torch.testing.assert_close(loss, 12 * (bound[t] - constants(schedule, variance)[t]), rtol=1e-8, atol=1e-10)


def test_weighted_needs_a_fixed_variance():
    p = ReverseProcess(lambda x, _: torch.cat([x, x], 1), linear(), variance=Learned())
    with pytest.raises(TypeError, match="fixed variance"):
        weighted(p, _images(1, torch.float32), torch.tensor([5]), torch.randn(1, 1, 2, 2))


@pytest.mark.parametrize("T", [1, 2, 12])
def test_the_random_term_is_unbiased(T):
    """E41: averaged over all t, with the noise of each t, it is the bound."""
    p = ReverseProcess(rough_network, linear(T, 1e-3, 0.8))
    x_0 = _images(3)
    noise = {t: torch.randn(3, 1, 2, 2, dtype=F64) for t in range(1, T + 1)}
    drawn = iter([noise[t] for t in range(T, 0, -1)])
    bound = sum(term.nats for term in terms(p, x_0, lambda _: next(drawn))) / 4
    mean = sum(variational(p, x_0, torch.full((3,), t), noise[t]) for t in noise) / T
    torch.testing.assert_close(mean, bound, rtol=1e-10, atol=1e-12)


def test_l_simple_is_the_bound_when_log_snr_is_linear():
    """With the small variance every weight is one constant (E52), so the weighted loss is a multiple of L_simple."""
    p = ReverseProcess(rough_network, log_snr(100, 0.05), variance=FixedSmall(), limit=unlimited)
    x_0, eps, t = _images(50), torch.randn(50, 1, 2, 2, dtype=F64), torch.arange(51, 101)
    ratio = weighted(p, x_0, t, eps) / simple(p, x_0, t, eps)
    torch.testing.assert_close(ratio, ratio[:1].expand(50), rtol=1e-7, atol=0)


class TwoHeads(nn.Module):
    """A mean and a variance with parameters of their own."""

    def __init__(self):
        super().__init__()
        self.mean, self.variance = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.1))

    def forward(self, x_t, _timestep):
        return torch.cat([self.mean * x_t, self.variance * x_t], dim=1)


def test_in_the_hybrid_the_bound_trains_the_variance_alone():
    """E54: the mean's gradient is L_simple's, the variance's is lambda times that of the bound in bits/dim."""
    x_0, eps, t = _images(6, torch.float32), torch.randn(6, 1, 2, 2), torch.tensor([1, 2, 3, 100, 999, 1000])
    gradients = {}
    for name, objective in (("hybrid", Hybrid(0.5)), ("simple", simple), ("bound", variational)):
        network = TwoHeads()
        p = ReverseProcess(network, linear(), variance=Learned(), limit=unlimited)
        objective(p, x_0, t, eps).mean().backward()
        gradients[name] = network.mean.grad, network.variance.grad
    torch.testing.assert_close(gradients["hybrid"][0], gradients["simple"][0])
    assert gradients["simple"][1] == 0
    torch.testing.assert_close(gradients["hybrid"][1], 0.5 / math.log(2) * gradients["bound"][1])
    assert gradients["bound"][1].abs() > 1e-3
