"""The best steps and variances: against every chain there is, and against the bound that is measured."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from ddpm.analytic.bound import linear_chain
from ddpm.analytic.mixture import points
from ddpm.analytic.process import Diffused
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.bound import prior, terms
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Learned, Optimal
from ddpm.evaluation.curve import curve, errors
from ddpm.evaluation.rate import measure, summarise
from ddpm.sampling.optimal import Curve, best_steps, jumps
from tests.oracles import GaussianData, rough_network

F64 = torch.float64
CPU = torch.device("cpu")


def _gaussian_curve(schedule, v):
    """Of N(0, v) with its best network, exactly: L_0 is the entropy of q(x_0|x_t)."""
    mse = GaussianData(v).mse_x_0(schedule)
    return Curve(mse, 0.5 * torch.log(2 * torch.pi * torch.e * mse))


def _exact(p, v):
    """L without L_T of p_theta on N(0, v), nats per coordinate, by the closed form of linear chains."""
    return float(linear_chain(p, v).terms[1:].sum())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_no_chain_is_better_and_it_costs_what_is_said(count):
    """All chains of T = 8 steps that end at T, with their best variances, by the closed form of the Gaussian bound."""
    v, schedule = 0.25, linear(8, 1e-3, 0.8)
    measured = _gaussian_curve(schedule, v)
    p = replace(GaussianData(v).process(schedule), variance=Optimal(measured.mse_x_0))
    costs = {kept: _exact(p.respace([*kept, 8]), v) for kept in combinations(range(1, 8), count - 1)}
    steps, nats = best_steps(schedule, measured, count)
    assert nats == pytest.approx(min(costs.values()), abs=1e-10)
    assert costs[tuple(steps[:-1])] == pytest.approx(nats, abs=1e-10)


def test_a_jump_costs_its_divergence():
    """The table against the divergence of Eq. 5 on the chain that keeps s and t, for a network that is nobody's best."""
    schedule, mse = linear(20, 1e-3, 0.4), torch.linspace(0.01, 0.6, 21, dtype=F64)
    costs = jumps(schedule, mse)
    for s, t in ((1, 2), (3, 11), (19, 20)):
        p = ReverseProcess(rough_network, schedule, variance=Optimal(mse)).respace([s, t])
        beta_tilde = float(p.schedule.beta_tilde[2])
        sigma_2 = beta_tilde + float(p.schedule.posterior_x_0[2]) ** 2 * float(mse[t])
        assert float(costs[s, t]) == pytest.approx(0.5 * math.log(sigma_2 / beta_tilde), rel=1e-9)
    rows, columns = torch.tril_indices(21, 21)
    assert bool(costs[rows, columns].isinf().all())
    assert bool(costs[0].isinf().all())


def test_the_best_variance_has_a_fence():
    """Between the posterior's and beta / alpha, whatever the network's error."""
    schedule = linear(50, 1e-3, 0.2)
    for error in (0.0, 0.3, 1e6):
        table = Optimal(torch.full((51,), error, dtype=F64)).table(schedule)[2:]
        assert bool((table >= schedule.beta_tilde[2:] * (1 - 1e-12)).all())
        assert bool((table <= (schedule.beta / schedule.alpha)[2:] * (1 + 1e-12)).all())
    exact = Optimal(GaussianData(4.0).mse_x_0(schedule)).table(schedule)
    v = 1 + schedule.alpha_bar * 3
    torch.testing.assert_close(exact[1:], (schedule.beta[1:] * v[:-1] / v[1:]), rtol=1e-12, atol=0)  # E45


@pytest.mark.parametrize("count", [0, 9])
def test_impossible_numbers_of_steps(count):
    schedule = linear(8, 1e-3, 0.8)
    with pytest.raises(ValueError, match=r"can keep 1\.\.8"):
        best_steps(schedule, _gaussian_curve(schedule, 0.25), count)


@pytest.fixture(scope="module")
def pixels():
    """Four grey levels as images, their exact network, and the curve that is measured on them."""
    law = points(torch.tensor([[-1.0], [-1 / 3], [1 / 3], [1.0]]), torch.tensor([0.1, 0.4, 0.3, 0.2]))
    schedule = log_snr(40, noise_1=0.2, log_snr_T=-8.0)
    drawn = torch.multinomial(torch.tensor([0.1, 0.4, 0.3, 0.2]), 150 * 16, replacement=True)
    data = ImageSet("pixels", drawn.reshape(150, 1, 4, 4).to(torch.uint8), levels=4)
    p = Diffused(law, schedule).process(decoder=discretised(4))
    found = curve(errors(p, data, 0, 60, CPU), 40)
    return p, data, found


def _bits(p, data):
    return summarise(measure(p, data, 3, 150, CPU), p.schedule, len(data), 16)


def test_the_measured_bound_is_what_the_curve_says(pixels):
    """The bound of the short chain, measured afresh, is the shortest path and L_T, within its noise; and better than others'."""
    p, data, found = pixels
    best = replace(p, variance=Optimal(found.mse_x_0))
    steps, nats = best_steps(p.schedule, found, 6)
    measured = _bits(best.respace(steps), data)
    L_T = float(prior(p.q, data.scaled().double()).mean()) / 16
    said = (nats + L_T) / math.log(2)
    assert measured.total == pytest.approx(said, abs=3 * measured.stderr)
    for variance in (FixedLarge(), FixedSmall()):
        assert _bits(replace(p, variance=variance).respace([1, 9, 17, 24, 32, 40]), data).total > measured.total + 0.05


def test_the_curve_is_the_error_of_the_bound_and_independent_of_the_batch(pixels):
    p, data, found = pixels
    again = curve(errors(p, data, 0, 150, CPU), 40)
    torch.testing.assert_close(again.mse_x_0, found.mse_x_0, rtol=1e-9, atol=0)
    torch.testing.assert_close(again.first, found.first, rtol=1e-9, atol=1e-12)
    bound = _bits(p, data)
    torch.testing.assert_close(found.mse_x_0[1:], bound.mse_x_0[1:], rtol=0.2, atol=1e-3)


def test_the_best_variance_reads_a_network_that_learned_one():
    """Its second output is left alone: the same means, another variance."""
    network = lambda x, t: torch.cat([rough_network(x, t), x], dim=1)  # noqa: E731
    p = ReverseProcess(network, linear(10, 1e-2, 0.5), variance=Learned(), limit=unlimited)
    best = replace(p, variance=Optimal(torch.full((11,), 0.2, dtype=F64), p.variance.outputs))
    x = torch.randn(3, 2, 4, 4)
    ours, theirs = best(x, 5)[0], p(x, 5)[0]
    assert torch.equal(ours.mean, theirs.mean)
    assert ours.log_var.ndim == 0
    short = best.respace([2, 5, 10])
    assert float(short.variance.mse_x_0[3]) == pytest.approx(0.2)
    assert len(list(terms(short, torch.zeros(2, 1, 4, 4)))) == 4
