"""The learned schedule (Q11): where it begins, that it stays one, its gradients, and that the bound falls by it."""

import math

import pytest
import torch

from ddpm.diffusion.learned import LearnedSchedule, ScheduledNetwork, schedule_at
from ddpm.diffusion.objective import variational
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import SCHEDULES, cosine, from_log_snr, jsd, linear
from ddpm.diffusion.variance import FixedSmall
from tests.harness.oracles import rough_network

F64 = torch.float64


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "jsd"])
@pytest.mark.parametrize("T", [1, 2, 100])
def test_it_begins_at_the_schedule_it_is_given(name, T):
    start = SCHEDULES[name](T)
    now = LearnedSchedule(start)()
    torch.testing.assert_close(now.beta, start.beta, rtol=1e-8, atol=1e-15)
    torch.testing.assert_close(now.alpha_bar, start.alpha_bar, rtol=1e-8, atol=1e-15)


def test_it_is_a_schedule_whatever_its_parameters_are():
    learned = LearnedSchedule(linear(50))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in learned.parameters():
            parameter.add_(3 * torch.randn_like(parameter))
    now = learned()
    assert (now.log_snr[2:] < now.log_snr[1:-1]).all()


def test_it_cannot_begin_where_nothing_is_left():
    with pytest.raises(ValueError, match="alpha_bar_T = 0"):
        LearnedSchedule(jsd(10))


def test_from_log_snr_is_exact():
    values = torch.tensor([9.0, 3.0, -1.0, -12.0], dtype=F64)
    torch.testing.assert_close(from_log_snr(values).log_snr[1:], values, rtol=1e-12, atol=0)


def _bound(learned, x_0, eps, t):
    p = ReverseProcess(rough_network, learned(), variance=FixedSmall(), limit=unlimited)
    return variational(p, x_0, t, eps).mean()


def test_the_gradient_of_the_bound_by_the_schedule():
    """Against central differences, through x_t, the weights, L_T and L_0, at every t."""
    T = 6
    learned = LearnedSchedule(cosine(T))
    x_0, eps = torch.randn(2, 4 * T, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    x_0 = (x_0.clamp(-1, 1) * 127.5).round() / 127.5
    t = torch.arange(1, T + 1).repeat(4)
    _bound(learned, x_0, eps, t).backward()
    step = 1e-4
    for parameter in learned.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        for i in range(len(parameter)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[i] += sign * step
                    values.append(float(_bound(learned, x_0, eps, t)))
                    parameter[i] -= sign * step
            numeric = (values[0] - values[1]) / (2 * step)
            assert float(parameter.grad[i]) == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_learning_lowers_the_exact_bound():
    """N(0, 1/4), the best network, sigma^2 = beta-tilde, T = 20, a density as decoder: E89's discretisation error shrinks."""
    v, learned = 0.25, LearnedSchedule(linear(20, 0.01, 0.5))
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.05)

    def bound():
        q = learned()
        mse = v * q.one_minus_alpha_bar / (1 + q.alpha_bar * (v - 1))
        chain = 0.5 * ((q.snr[1:-1] - q.snr[2:]) * mse[2:]).sum()
        prior = 0.5 * (q.alpha_bar[-1] * (v - 1) - torch.log1p(-q.alpha_bar[-1]))
        return prior + chain + 0.5 * (mse[1] / q.beta_tilde[2] + (2 * math.pi * q.beta_tilde[2]).log())

    before = float(bound().detach())
    for _ in range(300):
        optimizer.zero_grad()
        loss = bound()
        loss.backward()
        optimizer.step()
    entropy = 0.5 * math.log(2 * math.pi * math.e * v)
    assert entropy < float(bound().detach()) < entropy + 0.5 * (before - entropy)


def test_it_is_saved_and_averaged_with_its_network():
    module = ScheduledNetwork(torch.nn.Linear(2, 2), LearnedSchedule(linear(10, 0.01, 0.5)))
    names = [name for name, _ in module.named_parameters()]
    assert names == ["network.weight", "network.bias", "schedule.first", "schedule.drops"]
    other = {
        name: value.detach() + (0.5 if name == "schedule.first" else 0) for name, value in module.named_parameters()
    }
    there = schedule_at(module, other)
    torch.testing.assert_close(there.log_snr[1:], module.schedule().log_snr[1:].detach() + 0.5)
    assert not there.beta.requires_grad
