"""EDM's denoisers as reverse processes, on data whose best denoiser is known in closed form."""

import math

import pytest
import torch

import ddpm
from ddpm.analytic.mixture import mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.denoiser import from_denoiser, preconditioned
from ddpm.errors import UsageError
from ddpm.sampling.few_steps import FewSteps

MEAN, SPREAD = 0.3, 0.2
"""Of the data, N(MEAN, SPREAD^2) in every coordinate."""
DATA = mixture(torch.ones(1).double(), torch.tensor([[MEAN]]).double(), torch.tensor([[[SPREAD**2]]]).double())
SCHEDULES = {"linear": ddpm.linear(T=40, beta_1=1e-3, beta_T=0.4), "cosine": ddpm.cosine(T=25)}


def denoiser(x, sigma):
    """E[x_0|x] for x = x_0 + sigma eps: the mean of two Gaussians that are multiplied."""
    sigma = sigma.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("steps", [None, 7])
def test_it_is_the_exact_process(schedule, steps):
    """Every estimate, the bound with its terms, samples of four samplers: those of the best network on the same data."""
    exact = Diffused(DATA, schedule).process(prediction=ddpm.X0(), decoder=ddpm.log_likelihood)
    p = from_denoiser(denoiser, schedule, limit=ddpm.unlimited)
    if steps:
        exact, p = (FewSteps(steps, "uniform").of(one) for one in (exact, p))
    x_0 = torch.randint(0, 256, (6, 1, 4, 4)) / 127.5 - 1
    for t in (1, p.schedule.T // 2, p.schedule.T):
        x_t = exact.q.sample(x_0, t, torch.randn_like(x_0))
        torch.testing.assert_close(p(x_t, t)[0].mean, exact(x_t, t)[0].mean, rtol=1e-4, atol=2e-6)
    found, expected = (ddpm.bound(one, x_0, seed=3) for one in (p, exact))
    assert found.total == pytest.approx(expected.total, rel=1e-5)
    torch.testing.assert_close(torch.as_tensor(found.by_t), torch.as_tensor(expected.by_t), rtol=1e-4, atol=1e-6)
    for sampler in ("ancestral", "ddim", "heun", "dpm-solver"):
        first, second = (ddpm.sample(one, (5, 1, 4, 4), sampler, seed=1) for one in (p, exact))
        torch.testing.assert_close(first, second, rtol=1e-3, atol=2e-5)


def test_a_schedule_of_some_steps_keeps_them():
    whole = SCHEDULES["linear"]
    some = whole.respace([3, 10, 40])
    p = from_denoiser(denoiser, some)
    assert p.schedule.kept.tolist() == some.kept.tolist()
    torch.testing.assert_close(p.schedule.beta, some.beta)
    sigma = p.timestep(2, torch.zeros(1, 1)).exp()
    assert float(sigma) == pytest.approx(float((1 / whole.alpha_bar[10] - 1).sqrt()), rel=1e-6)


def test_between_the_steps_too():
    """The probability flow asks at noise levels of no step: it moves every point where theory says."""
    schedule = SCHEDULES["linear"]
    p = from_denoiser(denoiser, schedule, limit=ddpm.unlimited)
    x_T = torch.randn(4, 2)
    *_, last = ddpm.chain(p, x_T, ddpm.ProbabilityFlow(tolerance=1e-6))
    spread = [math.sqrt(1 - float(a) + float(a) * SPREAD**2) for a in schedule.alpha_bar]
    signal = schedule.alpha_bar.sqrt()
    x_1 = signal[1] * MEAN + spread[1] / spread[-1] * (
        x_T - signal[-1] * MEAN
    )  # each point keeps its place in its Gaussian
    sigma = (1 / schedule.alpha_bar[1] - 1).sqrt().expand(4)
    torch.testing.assert_close(last.x, denoiser((x_1 / signal[1]).float(), sigma), rtol=1e-3, atol=1e-4)


def test_what_the_denoiser_is_given():
    """Images in the units of x_0, one sigma each, and the label third."""
    asked = []

    def told(x, sigma, label=None):
        asked.append((x, sigma, label))
        return torch.zeros_like(x)

    schedule = SCHEDULES["cosine"]
    p = from_denoiser(told, schedule).given(torch.tensor([4, 5]))
    x_0, eps = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    p(p.q.sample(x_0, 9, eps), 9)
    ((x, sigma, label),) = asked
    torch.testing.assert_close(x, x_0 + sigma[:, None, None, None] * eps, rtol=1e-4, atol=1e-5)
    assert sigma.tolist() == pytest.approx([float((1 / schedule.alpha_bar[9] - 1).sqrt())] * 2, rel=1e-5)
    assert label.tolist() == [4, 5]


@pytest.mark.parametrize("sigma", [0.002, 0.3, 80.0])
def test_preconditioning(sigma):
    """The four coefficients, from what EDM asks of them: unit variance in and out, and the error amplified least."""
    spread = 0.7
    asked = []

    def network(x, c_noise):
        asked.append((x, c_noise))
        return torch.ones_like(x)

    x = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    found = preconditioned(network, spread)(x, torch.full((3,), sigma, dtype=torch.float64))
    ((scaled, c_noise),) = asked
    torch.testing.assert_close(scaled, x / math.hypot(sigma, spread))
    torch.testing.assert_close(c_noise, torch.full((3,), math.log(sigma) / 4, dtype=torch.float64))
    c_skip = spread**2 / (sigma**2 + spread**2)
    c_out = math.sqrt((1 - c_skip) ** 2 * spread**2 + c_skip**2 * sigma**2)  # of unit variance: EDM's Eq. 119
    torch.testing.assert_close(found, c_skip * x + c_out)


def test_a_network_of_zeros_is_exact_for_gaussian_data():
    """Of N(0, sigma_data^2) the best F is 0: then D(x) = c_skip x is E[x_0|x]."""
    spread = 0.25
    schedule = SCHEDULES["linear"]
    centred = mixture(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.tensor([[[spread**2]]]).double())
    exact = Diffused(centred, schedule).process(decoder=ddpm.log_likelihood)
    p = from_denoiser(preconditioned(lambda x, c_noise: torch.zeros_like(x), spread), schedule, limit=ddpm.unlimited)
    x_0 = torch.randint(0, 256, (4, 1, 3, 3)) / 127.5 - 1
    found, expected = (ddpm.bound(one, x_0).total for one in (p, exact))
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be():
    with pytest.raises(UsageError, match="sigma would be infinite"):
        from_denoiser(denoiser, ddpm.jsd(T=10))
    with pytest.raises(UsageError, match="more than 0"):
        preconditioned(denoiser, 0)


def test_weights_are_found_in_it():
    """They move and train with the network that is inside."""
    inside = torch.nn.Linear(3, 3)
    p = from_denoiser(preconditioned(lambda x, c_noise: inside(x)), SCHEDULES["linear"])
    assert not list(p.network.parameters())
    p = from_denoiser(preconditioned(torch.nn.Sequential(inside)), SCHEDULES["linear"])
    assert len(list(p.network.parameters())) == 2
