"""T2, T3, T18: one jump equals a thousand steps; the posterior by three routes; what q refuses."""

import pytest
import torch

from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import cosine, linear, log_snr

F64 = torch.float64
SCHEDULES = {"linear": linear(), "cosine": cosine(), "log-snr": log_snr()}


def _x(*values):
    return torch.tensor(values, dtype=F64)[:, None]


def test_time_zero_is_the_image_itself():
    q = ForwardProcess(linear())
    x_0, eps = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    assert torch.equal(q.sample(x_0, 0, eps), x_0)
    assert torch.equal(q.sample(x_0, torch.zeros(3, dtype=torch.int64), eps), x_0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_thousand_steps_are_one_jump(name):
    """Eq. 2 and 4; T2, E8: mean and variance of the chain, followed step by step, are those of the marginal."""
    q = ForwardProcess(SCHEDULES[name])
    mean, var = _x(0.8), _x(0.0)
    for t in range(1, 1001):
        scale = q.step(_x(1.0), t, _x(0.0))
        mean, var = q.step(mean, t, _x(0.0)), scale**2 * var + q.step(_x(0.0), t, _x(1.0)) ** 2
        marginal = q.marginal(_x(0.8), t)
        torch.testing.assert_close(mean, marginal.mean, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(var, marginal.var.reshape(1, 1), rtol=1e-11, atol=1e-14)


def test_the_chain_and_the_jump_have_one_law():
    """Eq. 2 and 4: The same by simulation: moments of 20,000 chains within five standard errors."""
    q = ForwardProcess(linear(50, 1e-3, 0.2))
    n = 20_000
    x = torch.full((n, 1), 0.8, dtype=F64)
    for t in range(1, 51):
        x = q.step(x, t, torch.randn_like(x))
    marginal = q.marginal(torch.full((1, 1), 0.8, dtype=F64), 50)
    std = marginal.var.sqrt()
    assert abs(x.mean() - marginal.mean) < 5 * std / n**0.5
    assert abs(x.var() / marginal.var - 1) < 5 * (2 / n) ** 0.5


def test_sample_is_the_marginal_reparameterised():
    q = ForwardProcess(cosine())
    x_0, eps, t = torch.randn(4, 2, 3, dtype=F64), torch.randn(4, 2, 3, dtype=F64), torch.tensor([1, 10, 500, 1000])
    torch.testing.assert_close(q.sample(x_0, t, eps), q.marginal(x_0, t).sample(eps), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(q.noise(q.sample(x_0, t, eps), x_0, t), eps, rtol=1e-10, atol=1e-12)


def test_mixed_and_single_times_agree():
    q = ForwardProcess(linear())
    x_0, eps = torch.randn(3, 2, 2, dtype=F64), torch.randn(3, 2, 2, dtype=F64)
    mixed = q.sample(x_0, torch.tensor([7, 7, 900]), eps)
    torch.testing.assert_close(mixed[:2], q.sample(x_0[:2], 7, eps[:2]))
    torch.testing.assert_close(mixed[2:], q.sample(x_0[2:], 900, eps[2:]))


def test_unit_variance_is_kept_and_any_other_moves_towards_it():
    """E12: Var(x_t) = 1 + alpha_bar_t (v - 1)."""
    q = ForwardProcess(linear())
    for v, expected in ((1.0, 1.0), (0.25, 1 - 0.75 * 0.8970181456749603), (4.0, 1 + 3 * 0.8970181456749603)):
        x_0 = v**0.5 * torch.randn(400_000, 1)
        assert q.sample(x_0, 100, torch.randn_like(x_0)).var() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, 1000), (1, 2), (10, 500), (999, 1000)])
def test_between_two_times(name, s, t):
    """E13: first to s, then from s to t, is the marginal at t; from t - 1 to t it is Eq. 2."""
    q = ForwardProcess(SCHEDULES[name])
    first, onward, direct = q.marginal(_x(0.7), s), q.between(_x(1.0), s, t), q.marginal(_x(0.7), t)
    torch.testing.assert_close(onward.mean * first.mean, direct.mean, rtol=1e-11, atol=0)
    torch.testing.assert_close(float(onward.mean**2 * first.var + onward.var), float(direct.var), rtol=1e-11, atol=0)
    torch.testing.assert_close(q.between(_x(1.0), t - 1, t).var, q.schedule.beta[t], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [2, 3, 10, 100, 500, 999, 1000])
def test_the_posterior_is_bayes_rule(name, t):
    """Eq. 6; T3, E22, E33: q(x_t|x_{t-1}) q(x_{t-1}|x_0) / q(x_t|x_0), normaliser and all, at scattered points."""
    q = ForwardProcess(SCHEDULES[name])
    x_0, x_t, x_prev = (torch.randn(64, 1, dtype=F64) for _ in range(3))
    posterior = q.posterior(x_t, x_0, t)
    x_prev = posterior.sample(x_prev)
    beta = q.schedule.beta[t]
    step = Gaussian((1 - beta).sqrt() * x_prev, beta.log())
    bayes = step.log_prob(x_t) + q.marginal(x_0, t - 1).log_prob(x_prev) - q.marginal(x_0, t).log_prob(x_t)
    torch.testing.assert_close(posterior.log_prob(x_prev), bayes, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_posterior_by_conditioning(name):
    """Eq. 6-7; T3, E34: the conditional of a joint Gaussian with its usual formulas; E31's second form; marginal consistency (E32)."""
    q = SCHEDULES[name]
    t = torch.arange(2, 1001)
    var_prev, var_t = q.one_minus_alpha_bar[t - 1], q.one_minus_alpha_bar[t]
    gain = q.alpha[t].sqrt() * var_prev / var_t
    torch.testing.assert_close(q.posterior_x_t[t], gain, rtol=1e-12, atol=0)
    torch.testing.assert_close(q.beta_tilde[t], 1 / (q.alpha[t] / q.beta[t] + 1 / var_prev), rtol=1e-11, atol=0)
    mean = q.posterior_x_0[t] + gain * q.alpha_bar[t].sqrt()
    torch.testing.assert_close(mean, q.alpha_bar[t - 1].sqrt(), rtol=1e-11, atol=0)
    torch.testing.assert_close(gain**2 * var_t + q.beta_tilde[t], var_prev, rtol=1e-11, atol=0)


def test_the_posterior_by_simulation():
    """Regress x_{t-1} on x_t and x_0 over two million pairs: Eq. 7's coefficients and variance come out."""
    q = ForwardProcess(linear(50, 1e-3, 0.2))
    t, n = 20, 2_000_000
    x_0 = torch.randn(n, 1)
    x_prev = q.sample(x_0, t - 1, torch.randn_like(x_0))
    x_t = q.step(x_prev, t, torch.randn_like(x_0))
    design = torch.cat([x_0, x_t], dim=1)
    found = torch.linalg.lstsq(design, x_prev).solution.flatten()
    residual = (x_prev[:, 0] - design @ found).var()
    assert found[0] == pytest.approx(float(q.schedule.posterior_x_0[t]), abs=5e-3)
    assert found[1] == pytest.approx(float(q.schedule.posterior_x_t[t]), abs=5e-3)
    assert residual == pytest.approx(float(q.schedule.beta_tilde[t]), rel=5e-3)


def test_at_t_1_the_posterior_is_the_image():
    q = ForwardProcess(linear())
    x_0, x_1 = torch.randn(2, 1, 3), torch.randn(2, 1, 3)
    posterior = q.posterior(x_1, x_0, 1)
    assert torch.equal(posterior.mean, x_0)
    assert (posterior.var == 0).all()
    assert torch.equal(posterior.sample(torch.randn_like(x_0)), x_0)


@pytest.mark.parametrize("t", [-1, 1001, torch.tensor([1, -1]), torch.tensor([5, 1001])])
def test_times_outside_are_refused(t):
    q, x = ForwardProcess(linear()), torch.zeros(2, 3)
    for call in (q.sample, q.step):
        with pytest.raises(ValueError, match=r"\.\.1000"):
            call(x, t, x)
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        q.posterior(x, x, t)


def test_time_zero_is_no_step():
    q, x = ForwardProcess(linear()), torch.zeros(2, 3)
    for t in (0, torch.tensor([0, 1])):
        with pytest.raises(ValueError, match=r"1\.\.1000"):
            q.step(x, t, x)
        with pytest.raises(ValueError, match=r"1\.\.1000"):
            q.posterior(x, x, t)
    with pytest.raises(ValueError, match="before"):
        q.between(x, 5, 5)


def test_an_empty_batch_and_a_single_coordinate():
    q = ForwardProcess(linear())
    empty = torch.zeros(0, 3)
    assert q.sample(empty, torch.zeros(0, dtype=torch.int64), empty).shape == (0, 3)
    assert q.sample(torch.zeros(1, 1), 1000, torch.ones(1, 1)) == pytest.approx(0.99998, abs=1e-5)
