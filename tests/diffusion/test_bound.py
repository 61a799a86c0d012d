"""T7, T10, T12 (closed form), T18, T21: the bound on data whose bound is known exactly.

Each term is quadratic in (x_0, eps) when data and model are Gaussian, so nine quadrature points give its expectation.
"""

import math

import numpy as np
import pytest
import torch

from ddpm.analytic.bound import linear_chain
from ddpm.diffusion import schedule as s
from ddpm.diffusion.bound import bits_per_dim, constants, prior, term, terms
from ddpm.diffusion.decoder import log_density
from ddpm.diffusion.gaussian import kl
from ddpm.diffusion.objective import weights
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Learned, Optimal, beta_1
from tests.harness.oracles import GAUSSIAN_SCHEDULES, GaussianData, rough_network

F64 = torch.float64


def _variance(rule, data, schedule):
    return {
        "fixedlarge_paper": FixedLarge(beta_1),
        "fixedlarge_code": FixedLarge(),
        "fixedsmall_clipped": FixedSmall(),
        "optimal": Optimal(data.mse_x_0(schedule)),
    }[rule]


def _exact(p, v):
    """E[term] for every term, L_T first, then t = T..1, and E[(x_0 - x_0_hat)^2], by 3 x 3 Gauss-Hermite points."""
    nodes, w = np.polynomial.hermite_e.hermegauss(3)
    nodes, w = torch.tensor(nodes, dtype=F64), torch.tensor(w / w.sum(), dtype=F64)
    x_0 = (v**0.5 * nodes).repeat_interleave(3)[:, None]
    eps, weight = nodes.repeat(3)[:, None], (w[:, None] * w[None, :]).flatten()
    found = list(terms(p, x_0, lambda _: eps))
    rates = [float((term.nats * weight).sum()) for term in found]
    errors = [float(((term.x_0 - x_0)[:, 0] ** 2 * weight).sum()) for term in found]
    return rates, errors


def _some(cases, count):
    """So many of them, going through the variances of the data and of the process at once."""
    rules = sorted({case["variance"] for case in cases})
    values = sorted({case["v"] for case in cases}, key=float)
    if count == len(cases):
        return cases
    taken = {(values[i % len(values)], rules[i % len(rules)]) for i in range(count)}
    return [case for case in cases if (case["v"], case["variance"]) in taken]


ALL = 12
"""Reference cases of each schedule: variances of the data by variances of the reverse process."""


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *((name, ALL) for name in GAUSSIAN_SCHEDULES if "1000" not in name),
        ("linear_1000", 4),
        *(pytest.param(name, ALL, marks=pytest.mark.long) for name in GAUSSIAN_SCHEDULES if "1000" in name),
    ],
)
def test_bounds_of_gaussian_data(name, count, reference):
    """T10: The 60 reference cases: every part of the bound, the model's NLL, its variance and the sampler's (T12).

    Of a thousand steps only some in every run, with each variance of the data and of the process at least once.
    """
    schedule = GAUSSIAN_SCHEDULES[name]()
    cases = [case for case in reference["gaussian_data"] if case["schedule"] == name]
    assert len(cases) == ALL
    for case in _some(cases, count):
        v = float(case["v"])
        data = GaussianData(v)
        p = data.process(schedule, _variance(case["variance"], data, schedule))
        (l_T, *chain, l_0), _ = _exact(p, v)
        assert l_T == pytest.approx(float(case["L_T"]), rel=1e-9)
        assert l_T + sum(chain) == pytest.approx(float(case["rate_L1_to_LT"]), rel=1e-9)
        assert l_0 == pytest.approx(float(case["L_0"]), rel=1e-9)
        bound = l_T + sum(chain) + l_0
        assert bound == pytest.approx(float(case["bound_L"]), rel=1e-9)
        known = linear_chain(p, v)
        assert known.model_var == pytest.approx(float(case["model_var_V0"]), rel=1e-9)
        assert known.displayed_var == pytest.approx(float(case["displayed_mean_var"]), rel=1e-9)
        assert known.nll == pytest.approx(float(case["nll"]), rel=1e-9)
        assert bound - known.nll == pytest.approx(float(case["gap_L_minus_nll"]), abs=1e-8)


def test_the_sampler_variances_of_the_specification():
    """T12 in closed form: 0.250752 for the large variance, 0.246125 for the small one, v = 1/4."""
    for variance, expected in ((FixedLarge(), 0.250752), (FixedSmall(), 0.246125)):
        known = linear_chain(GaussianData(0.25).process(s.linear(), variance), 0.25)
        assert known.displayed_var == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("T", [1, 2, 7, 100])
@pytest.mark.parametrize("name", [n for n in s.SCHEDULES if n != "jsd"])
def test_the_bound_is_tight_for_standard_normal_data(name, T):
    """E86: x_0 ~ N(0, I) with sigma_t^2 = beta_t has L = H(x_0), for every schedule and every T."""
    schedule = s.SCHEDULES[name](T=T)
    rates, _ = _exact(GaussianData(1.0).process(schedule, FixedLarge(beta_1)), 1.0)
    assert sum(rates) == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-10)


def test_a_single_point_costs_only_the_ends():
    """E87: x_0 = c, the mean of the posterior at c and its variance: L = L_T + L_0."""
    schedule, c = s.linear(), 0.3

    def knows(x_t, timestep):
        q = p.q
        return q.noise(x_t, torch.full_like(x_t, c), timestep + 1)

    p = ReverseProcess(knows, schedule, variance=FixedSmall(), limit=unlimited, decoder=log_density)
    x_0 = torch.full((2, 3), c, dtype=F64)
    found = {term.t: term.nats for term in terms(p, x_0)}
    assert max(float(found[t].abs().max()) for t in range(2, 1001)) < 1e-10
    torch.testing.assert_close(found[1001], prior(p.q, x_0))


@pytest.mark.parametrize("variance", [FixedLarge(), FixedSmall()])
@pytest.mark.parametrize("t", [2, 3, 100, 500, 1000])
def test_eq_8_and_12_are_the_divergence(variance, t):
    """Eq. 8, 9 and 12; T7: L_{t-1} by Eq. 29's KL is w_t |eps - eps_theta|^2 + C, and so is its gradient."""
    schedule = s.linear()
    scale = torch.tensor(0.9, dtype=F64, requires_grad=True)
    p = ReverseProcess(lambda x, step: scale * rough_network(x, step), schedule, variance=variance, limit=unlimited)
    x_0, eps = torch.randn(4, 5, dtype=F64), torch.randn(4, 5, dtype=F64)
    x_t = p.q.sample(x_0, t, eps)
    nats, _ = term(p, x_0, x_t, t)
    error = ((eps - scale * rough_network(x_t, torch.full((4,), t - 1))) ** 2).sum(1)
    eq_12 = weights(schedule, variance)[t] * error + 5 * constants(schedule, variance)[t]
    torch.testing.assert_close(nats, eq_12, rtol=1e-9, atol=1e-12)
    first, second = (torch.autograd.grad(loss.sum(), scale)[0] for loss in (nats, eq_12))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


def test_l_t_minus_1_read_aloud():
    """L_{t-1} of Eq. 5, read aloud."""
    p = ReverseProcess(rough_network, s.linear())
    x_0, eps = torch.rand(3, 1, 2, 2) * 2 - 1, torch.randn(3, 1, 2, 2)
    x_t = p.q.sample(x_0, 100, eps)
    aloud = kl(p.q.posterior(x_t, x_0, 100), p(x_t, 100)[0]).flatten(1).sum(1)
    torch.testing.assert_close(term(p, x_0, x_t, 100)[0], aloud)


def test_mixed_times_are_the_single_ones():
    p = ReverseProcess(rough_network, s.linear())
    x_0 = (torch.randint(0, 256, (4, 1, 2, 2)) / 127.5 - 1).to(F64)
    t = torch.tensor([1, 2, 600, 1])
    x_t = p.q.sample(x_0, t, torch.randn_like(x_0))
    together = term(p, x_0, x_t, t)[0]
    alone = torch.cat([term(p, x_0[i : i + 1], x_t[i : i + 1], int(t[i]))[0] for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    assert together.isfinite().all()


@pytest.mark.parametrize("variance", [FixedLarge(), FixedSmall(), Learned()])
def test_gradients_are_finite_at_every_t(variance):
    """The unselected branch at t = 1 is infinite; its gradient must not leak."""
    schedule = s.linear(4, 1e-4, 0.9)
    weight = torch.tensor(0.5, requires_grad=True)
    parts = 1 + variance.outputs

    def network(x_t, _timestep):
        return torch.cat([weight * x_t] * parts, dim=1)

    p = ReverseProcess(network, schedule, variance=variance)
    x_0 = torch.randint(0, 256, (4, 1, 3, 3)) / 127.5 - 1
    nats, _ = term(p, x_0, p.q.sample(x_0, torch.arange(1, 5), torch.randn_like(x_0)), torch.arange(1, 5))
    nats.sum().backward()
    assert nats.isfinite().all()
    assert weight.grad.isfinite()


@pytest.mark.parametrize("T", [1, 2])
def test_one_and_two_steps(T):
    """Eq. 5; T18: T = 1 is L_T + L_0 with sigma_1^2 = beta_1; every image and every term is finite."""
    p = ReverseProcess(rough_network, s.linear(T))
    x_0 = (torch.randint(0, 256, (3, 1, 4, 4)) / 127.5 - 1).to(F64)
    found = list(terms(p, x_0))
    assert [term.t for term in found] == [T + 1, *range(T, 0, -1)]
    assert all(term.nats.isfinite().all() for term in found)
    if T == 1:
        l_T = float(bits_per_dim(prior(p.q, torch.full((1, 1), 0.5, dtype=F64)), 1))
        assert l_T == pytest.approx(6.10289965050540, rel=1e-12)


def test_the_rate_distortion_curve_of_gaussian_data(reference):
    """T21: R(t) and RMSE(t) at 13 places; R(1) + L_0 = L."""
    v = 0.25
    rates, errors = _exact(GaussianData(v).process(s.linear(), FixedLarge()), v)
    received = np.cumsum(rates)
    for case in reference["gaussian_rate_distortion"]:
        t = case["t"]
        assert received[1000 - t] == pytest.approx(float(case["rate_nats_per_dim"]), rel=1e-9)
        assert math.sqrt(errors[1001 - t]) == pytest.approx(float(case["rmse"]), rel=1e-9)
    bound = next(
        c for c in reference["gaussian_data"]
        if (c["schedule"], float(c["v"]), c["variance"]) == ("linear_1000", v, "fixedlarge_code")
    )  # fmt: skip
    assert received[-1] == pytest.approx(float(bound["bound_L"]), rel=1e-9)


def test_float32_terms_are_the_float64_ones():
    """To 1e-4 relative in every term of the paper's chain."""
    x_0 = torch.randint(0, 256, (4, 1, 4, 4)) / 127.5 - 1
    eps = torch.randn(4, 1, 4, 4)
    p = ReverseProcess(rough_network, s.linear())
    for low, high in zip(terms(p, x_0, lambda _: eps), terms(p, x_0.to(F64), lambda _: eps.to(F64)), strict=True):
        torch.testing.assert_close(low.nats.to(F64), high.nats, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variance", [FixedLarge(), Learned()])
def test_the_decoder_sees_the_images_at_t_1_alone(variance):
    """And each image's term, and its gradient, are what they are where all images are at its t."""
    seen = []

    def decoder(x_0, gaussian):
        seen.append(len(x_0))
        return log_density(x_0, gaussian)

    scale = torch.tensor(0.3, requires_grad=True)

    def network(x_t, timestep):
        return torch.cat([scale * x_t] * (1 + variance.outputs), 1)

    p = ReverseProcess(network, s.linear(5, 0.1, 0.5), variance=variance, decoder=decoder)
    x_0, x_t = torch.randn(2, 4, 1, 3, 3, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    t = torch.tensor([1, 3, 1, 5])
    together, _ = term(p, x_0, x_t, t)
    assert seen == [2]
    alone = torch.cat([term(p, x_0[i : i + 1], x_t[i : i + 1], int(t[i]))[0] for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=0)
    gradients = [torch.autograd.grad(nats.sum(), scale)[0] for nats in (together, alone)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=0)
    term(p, x_0, x_t, torch.tensor([2, 3, 4, 5]))
    assert seen == [2, 1, 1]
