"""The best steps and variances: against every chain there is, and against the bound that is measured."""

import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch

from ddpm.analytic.bound import linear_chain
from ddpm.analytic.mixture import points
from ddpm.analytic.process import Diffused
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.bound import prior, terms
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import jsd, linear, log_snr
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Learned, Optimal
from ddpm.evaluation.curve import SOME, curve, errors, some_steps
from ddpm.evaluation.rate import images_of, measure, summarise
from ddpm.sampling.optimal import Curve, best_steps, jumps
from ddpm.sampling.timesteps import uniform
from ddpm.seeds import NoiseForEach, generator
from tests.harness.oracles import GaussianData, rough_network

F64 = torch.float64
CPU = torch.device("cpu")


def _gaussian_curve(schedule, v):
    """Of N(0, v) with its best network, exactly: L_0 is the entropy of q(x_0|x_t)."""
    mse = GaussianData(v).mse_x_0(schedule)
    return Curve(mse, mse, 0.5 * torch.log(2 * torch.pi * torch.e * mse))


def _exact(p, v):
    """L without L_T of p_theta on N(0, v), nats per coordinate, by the closed form of linear chains."""
    return float(linear_chain(p, v).terms[1:].sum())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_no_chain_is_better_and_it_costs_what_is_said(count):
    """All chains of T = 8 steps that end at T, with their best variances, by the closed form of the Gaussian bound."""
    v, schedule = 0.25, linear(8, 1e-3, 0.8)
    measured = _gaussian_curve(schedule, v)
    p = replace(GaussianData(v).process(schedule), variance=measured.variance())
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


def _law():
    """Four grey levels."""
    return points(torch.tensor([[-1.0], [-1 / 3], [1 / 3], [1.0]]), torch.tensor([0.1, 0.4, 0.3, 0.2]))


@pytest.fixture(scope="module")
def pixels():
    """Four grey levels as images, their exact network, and the curve that is measured on them."""
    law = _law()
    schedule = log_snr(40, noise_1=0.2, log_snr_T=-8.0)
    drawn = torch.multinomial(torch.tensor([0.1, 0.4, 0.3, 0.2]), 150 * 16, replacement=True)
    data = ImageSet("pixels", drawn.reshape(150, 1, 4, 4).to(torch.uint8), levels=4)
    p = Diffused(law, schedule).process(decoder=discretised(4))
    found = curve(errors(p, data, 0, 60, CPU), p.schedule)
    return p, data, found


def _bits(p, data):
    return summarise(measure(p, data, 3, 150, CPU), p.schedule, len(data), 16)


def test_the_measured_bound_is_what_the_curve_says(pixels):
    """The bound of the short chain, measured afresh, is the shortest path and L_T, within its noise; and better than others'."""
    p, data, found = pixels
    best = replace(p, variance=found.variance())
    steps, nats = best_steps(p.schedule, found, 6)
    measured = _bits(best.respace(steps), data)
    L_T = float(prior(p.q, data.scaled().double()).mean()) / 16
    said = (nats + L_T) / math.log(2)
    assert measured.total == pytest.approx(said, abs=3 * measured.stderr)
    for variance in (FixedLarge(), FixedSmall()):
        assert _bits(replace(p, variance=variance).respace([1, 9, 17, 24, 32, 40]), data).total > measured.total + 0.05


@pytest.mark.long
def test_the_curve_of_some_t_gives_steps_that_are_hardly_worse(pixels):
    """On 40 of 150 t, with an exact network, scored on other images; what was measured stands in it to the bit."""
    _, data, _ = pixels
    schedule = log_snr(150, noise_1=0.2, log_snr_T=-8.0)
    p = Diffused(_law(), schedule).process(decoder=discretised(4))
    part = data.take(torch.arange(60))
    at = some_steps(schedule)
    assert (len(at), at[0], at[-1]) == (SOME, 150, 1)
    assert [found.t for found in errors(p, part, 0, 60, CPU, at=at[:3])] == at[:3]
    measured = list(errors(p, part, 0, 60, CPU))
    whole, found = curve(iter(measured), schedule), curve((one for one in measured if one.t in at), schedule)
    for table, own in zip(vars(whole).values(), vars(found).values(), strict=True):
        assert torch.equal(table[at], own[at])
        assert bool(own.isfinite().all())
    other = curve(
        errors(p, data.take(torch.arange(60, 150)), 1, 90, CPU), schedule
    )  # the noise of `whole` is in its steps
    costs = jumps(schedule, other.mse_x_0)

    def bits(kept):
        return float(other.L_0[kept[0]] + sum(costs[s, t] for s, t in pairwise(kept))) / math.log(2)

    for count in (5, 10):
        by_all, by_some = (bits(best_steps(schedule, each, count)[0]) for each in (whole, found))
        assert by_some < by_all + 0.01
        assert by_some < bits(uniform(schedule, count)) - 0.01


def test_where_there_are_no_more_all_t_are_measured():
    assert some_steps(linear(SOME, 1e-3, 0.4)) == list(range(SOME, 0, -1))


def test_the_curve_is_the_error_of_the_bound_and_independent_of_the_batch(pixels):
    p, data, found = pixels
    again = curve(errors(p, data, 0, 150, CPU), p.schedule)
    torch.testing.assert_close(again.mse_x_0, found.mse_x_0, rtol=1e-9, atol=0)
    torch.testing.assert_close(again.L_0, found.L_0, rtol=1e-6, atol=1e-9)
    bound = _bits(p, data)
    torch.testing.assert_close(found.mse_x_0[1:], bound.mse_x_0[1:], rtol=0.2, atol=1e-3)


def test_the_decoder_has_the_best_variance_too(pixels):
    """L_0 of pixels is a mass, not a density: no variance on a fine grid is better, and that of E45 is worse."""
    p, data, found = pixels
    x_0 = images_of(data, torch.arange(len(data)), CPU)
    noise, gains = NoiseForEach([generator(0, "curve", row) for row in range(len(data))]), []
    for t in p.schedule.steps:
        mean = p.estimate(p.q.sample(x_0, t, noise(x_0)), t)

        def L_0(variance, mean=mean):
            return -float(p.decoder(x_0, Gaussian(mean, torch.as_tensor(variance, dtype=F64).log())).mean())

        error, least = float(found.mse_x_0[t]), float(found.L_0[t])
        assert L_0(found.sigma2_1[t]) == pytest.approx(least, abs=1e-6)  # the network reads float32
        gains.append(L_0(error) - least)
        assert gains[-1] > -1e-6
        if t in (1, 4, 9):
            assert least == pytest.approx(min(L_0(error * math.exp(i / 10)) for i in range(-60, 21)), abs=1e-3)
    assert max(gains) > 0.01
    short = replace(p, variance=found.variance()).respace([4, 9, 40])
    assert float(short.variance.table(short.schedule)[1]) == float(found.sigma2_1[4])


def test_where_nothing_is_left_of_the_image_or_nothing_of_the_error():
    """alpha_bar_T = 0 makes the fence infinite; a network that is always right leaves no logarithm."""
    data = ImageSet("black", torch.zeros(3, 1, 2, 2, dtype=torch.uint8), levels=256)
    for network in (lambda x, t: -torch.ones_like(x), lambda x, t: torch.zeros_like(x)):
        p = ReverseProcess(network, jsd(8), X0())
        found = curve(errors(p, data, 0, 3, CPU), p.schedule)
        assert all(bool(table[1:].isfinite().all()) for table in (found.mse_x_0, found.sigma2_1, found.L_0))
        assert bool((found.mse_x_0[1:] > 0).all())
        for kept in (best_steps(p.schedule, found, 3)[0], list(range(1, 9))):
            short = replace(p, variance=found.variance()).respace(kept)
            assert all(bool(part.nats.isfinite().all()) for part in terms(short, data.scaled().double()))


def test_the_best_variance_reads_a_network_that_learned_one():
    """Its second output is left alone: the same means, another variance."""
    network = lambda x, t: torch.cat([rough_network(x, t), x], dim=1)  # noqa: E731
    p = ReverseProcess(network, linear(10, 1e-2, 0.5), variance=Learned(), limit=unlimited)
    best = replace(p, variance=Optimal(torch.full((11,), 0.2, dtype=F64), outputs=p.variance.outputs))
    x = torch.randn(3, 2, 4, 4)
    ours, theirs = best(x, 5)[0], p(x, 5)[0]
    assert torch.equal(ours.mean, theirs.mean)
    assert ours.log_var.ndim == 0
    short = best.respace([2, 5, 10])
    assert float(short.variance.mse_x_0[3]) == pytest.approx(0.2)
    assert len(list(terms(short, torch.ones(2, 1, 4, 4)))) == 4
