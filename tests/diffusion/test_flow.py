"""The probability flow against closed forms, and the density that it gives against exact ones."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from ddpm.analytic.mixture import gaussian, mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.decoder import log_density
from ddpm.diffusion.flow import (
    basis,
    density,
    divergence,
    ends,
    integrate,
    nats,
    rademacher,
    scales,
    towards,
    velocity,
)
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import PREDICTIONS, X0, Epsilon, Mean, Velocity
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import SCHEDULES, constant, cosine, jsd, linear, log_snr
from ddpm.errors import Diverged
from ddpm.seeds import generator
from tests.harness.oracles import rough_network

F64 = torch.float64
MIXTURE = mixture(
    torch.tensor([1.0, 2.0]),
    torch.tensor([[-0.5, 0.3], [0.4, -0.1]]),
    torch.tensor([[[0.06, 0.04], [0.04, 0.05]], [[0.3, -0.1], [-0.1, 0.1]]]),
)


def _standard(x):
    return Gaussian(torch.zeros_like(x), torch.zeros_like(x)).log_prob(x).flatten(1).sum(1)


def _gaussian_flow(v):
    """By E[x_0|x] = a v x / (a^2 v + s^2), with a^2 and s^2 the logistic functions of log SNR."""

    def flow(x, log_snr):
        a, s = math.exp(-0.5 * math.log1p(math.exp(-log_snr))), math.exp(-0.5 * math.log1p(math.exp(log_snr)))
        return towards(x, a * v / (a**2 * v + s**2) * x, log_snr)

    return flow


@pytest.mark.parametrize("make", [linear, cosine, log_snr, jsd])
@pytest.mark.parametrize("v", [0.01, 0.25, 4.0])
def test_a_gaussian_flows_by_its_standard_deviation(make, v):
    """N(0, v): x grows as sqrt(alpha_bar v + 1 - alpha_bar), and the density with it; both to 1e-6, both ways."""
    schedule, flow = make(), _gaussian_flow(v)
    first, last = ends(schedule)
    x_1 = math.sqrt(v) * torch.randn(1, 2, 3, dtype=F64)
    var = schedule.alpha_bar * v + schedule.one_minus_alpha_bar
    ratio = (var[-1] / var[1]).sqrt()
    found = density(flow, x_1, first, last, basis(x_1), tolerance=1e-8)
    torch.testing.assert_close(found.end, ratio * x_1, rtol=0, atol=1e-6)
    exact = _standard(ratio * x_1) + 6 * ratio.log()
    torch.testing.assert_close(found.log_prob, exact, rtol=0, atol=1e-6)
    back = integrate(flow, found.end, last, first, tolerance=1e-8)
    torch.testing.assert_close(back, x_1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("x_1", [[-0.5, 0.4], [0.9, -0.4], [2.0, 2.0]])
def test_the_density_of_a_mixture(x_1):
    """What remains between the flow's density and q(x_1) is that between N(0, I) and q(x_T), where the flow ends."""
    diffused, x_1 = Diffused(MIXTURE, linear()), torch.tensor([x_1], dtype=F64)
    found = density(diffused.velocity, x_1, *ends(diffused.schedule), basis(x_1), tolerance=1e-7)
    end = diffused.log_prob(found.end, 1000) - _standard(found.end)
    assert float(found.log_prob + end) == pytest.approx(float(diffused.log_prob(x_1, 1)), abs=1e-6)
    assert float(found.log_prob) == pytest.approx(float(diffused.log_prob(x_1, 1)), abs=5e-3)


def test_a_mixture_flows_into_noise():
    """500 draws of q(x_1), carried: mean and covariance of N(0, I) within four standard errors."""
    diffused = Diffused(MIXTURE, cosine())
    x = diffused.marginal(1).sample(500, generator(0))
    way = torch.linspace(*ends(diffused.schedule), 31, dtype=F64).tolist()
    for start, end in pairwise(way):
        middle = (start + end) / 2  # the midpoint rule, for all of them at once
        half = x + (middle - start) * diffused.velocity(x, start)
        x = x + (end - start) * diffused.velocity(half, middle)
    assert x.mean(0).abs().max() < 4 / math.sqrt(500)
    assert (x.T @ x / 500 - torch.eye(2)).abs().max() < 4 * math.sqrt(2 / 500)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_the_log_density_has_a_tolerance_of_its_own(tolerance):
    """An x of 400 coordinates that stays where it is, while the divergence swings: D times the integral of cos(10 lambda)."""
    x = torch.zeros(1, 400, dtype=F64)
    ones = torch.ones_like(x)  # v^T J v is the trace: J is diagonal
    found = density(lambda x, log_snr: math.cos(10 * log_snr) * x, x, 0.0, 1.5, ones, tolerance)
    exact = _standard(x) + 400 * math.sin(15) / 10
    assert abs(float(found.log_prob - exact)) < 3 * tolerance * 400


@pytest.mark.parametrize("rows", [1, 5, 100])
def test_the_exact_trace_is_that_of_the_jacobian(rows):
    p = ReverseProcess(rough_network, linear())
    flow, x = velocity(p), torch.randn(1, 1, 3, 4, dtype=F64)
    speed, trace = divergence(flow, x, 0.7, basis(x), rows)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, 0.7), x).reshape(12, 12)
    torch.testing.assert_close(trace, jacobian.trace())
    torch.testing.assert_close(speed, flow(x, 0.7))


def test_hutchinson_is_unbiased():
    """On a Jacobian with more off its diagonal than on it; for one row of signs the estimate is off, the mean is not."""
    diffused, x = Diffused(MIXTURE, linear()), torch.tensor([[0.1, 0.2]], dtype=F64)
    _, exact = divergence(diffused.velocity, x, 0.5, basis(x), 2)
    draws = [divergence(diffused.velocity, x, 0.5, rademacher(x, 1, generator(i)), 1)[1] for i in range(200)]
    found = torch.stack(draws)
    assert found.std() > 0.05 * exact.abs()
    assert (found.mean() - exact).abs() < 4 * found.std() / math.sqrt(200)
    _, many = divergence(diffused.velocity, x, 0.5, rademacher(x, 4000, generator(0)), 4000)
    assert (many - exact).abs() < 4 * found.std() / math.sqrt(4000)


def test_the_log_density_by_hutchinson_is_unbiased():
    """A linear flow, dx/dlambda = A x: log p is that of exp(A) x, and the trace of A; x is carried the same whatever the signs."""
    A = torch.tensor([[0.3, 0.8, -0.5], [0.6, -0.2, 0.4], [0.1, 0.7, 0.5]], dtype=F64)
    x = torch.tensor([[0.4, -0.3, 0.8]], dtype=F64)

    def by(vectors):
        return density(lambda x, _: x @ A.T, x, 0.0, 1.0, vectors, tolerance=1e-4)

    carried = x @ torch.linalg.matrix_exp(A).T
    exact = float(_standard(carried) + A.trace())
    assert float(by(basis(x)).log_prob) == pytest.approx(exact, abs=1e-3)
    draws = [by(rademacher(x, 1, generator(i))) for i in range(60)]
    found = torch.cat([draw.log_prob for draw in draws])
    assert found.std() > 0.1
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / math.sqrt(60)
    assert max(float((draw.end - carried).abs().max()) for draw in draws) < 1e-3


def test_the_steps_of_a_long_chain_are_told_apart():
    """At the noisy end of T = 8,000 arctan(s/a) is the same float for many of them."""
    schedule, told = linear(8_000), []

    def network(x, timestep):
        told.append(float(timestep[0]))
        return torch.zeros_like(x)

    flow, steps = velocity(ReverseProcess(network, schedule, X0())), [1, 4_000, 7_000, 7_999, 8_000]
    for t in steps:
        flow(torch.zeros(1, 1, dtype=F64), float(schedule.log_snr[t]))
    assert told == pytest.approx([t - 1 for t in steps], abs=1e-6)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_at_the_steps_the_network_is_told_the_steps(name):
    """Between them the number grows; on a shorter chain it is still the whole one's."""
    schedule, told = SCHEDULES[name](T=60), []

    def network(x, timestep):
        told.append(float(timestep[0]))
        return torch.zeros_like(x)

    flow = velocity(ReverseProcess(network, schedule, X0()).respace([4, 30, 60]))
    values = [float(value) for value in schedule.log_snr[1:]]
    x = torch.zeros(1, 1, dtype=F64)
    for value in values:
        flow(x, max(value, -55.0))
    assert told == pytest.approx(list(range(60)), abs=1e-6)
    told.clear()
    for above, below in pairwise(values):
        flow(x, (above + max(below, -55.0)) / 2)
    assert all(t < number < t + 1 for t, number in enumerate(told))


@pytest.mark.parametrize("prediction", [Epsilon(), X0(), Velocity()], ids=lambda p: type(p).__name__)
def test_every_prediction_gives_the_flow_of_the_data(prediction):
    """The best network of each prediction, at the steps, against the score (Song et al. 2021b, Eq. 13), and E[x_0|x]."""
    diffused = Diffused(MIXTURE, linear())
    flow, x = velocity(diffused.process(prediction=prediction)), torch.randn(5, 2, dtype=F64)
    for t in (1, 10, 500, 999):
        log_snr = float(diffused.schedule.log_snr[t])
        by_score = 0.5 * diffused.schedule.one_minus_alpha_bar[t] * (x + diffused.score(x, t))
        torch.testing.assert_close(flow(x, log_snr), by_score, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(diffused.velocity(x, log_snr), by_score, rtol=1e-6, atol=1e-9)


def test_the_predictions_between_the_steps_are_one():
    """`output` and `origin` undo each other at any noise level."""
    x_0, eps = torch.randn(2, 3, 4, dtype=F64)
    a, s = (torch.tensor(scale, dtype=F64) for scale in scales(-0.7))
    assert float(a**2 + s**2) == pytest.approx(1, rel=1e-15)
    assert float(2 * (a / s).log()) == pytest.approx(-0.7, rel=1e-12)
    for prediction in (Epsilon(), X0(), Velocity()):
        output = prediction.output(a, s, x_0, eps)
        torch.testing.assert_close(prediction.origin(a, s, a * x_0 + s * eps, output), x_0)


def test_the_posterior_mean_has_no_flow():
    p = ReverseProcess(rough_network, linear(), PREDICTIONS["mean"])
    assert isinstance(p.prediction, Mean)
    with pytest.raises(ValueError, match="of two steps"):
        velocity(p)


def test_each_image_is_carried_alone():
    """The steps of one image are not those of another, however wild: bit by bit."""
    flow = velocity(ReverseProcess(rough_network, linear()))
    x = torch.randn(4, 1, 2, 2, dtype=F64) * torch.tensor([0.01, 1, 5, 50]).reshape(4, 1, 1, 1)
    first, last = ends(linear())
    together = integrate(flow, x, last, first, tolerance=1e-2)
    alone = [integrate(flow, row, last, first, tolerance=1e-2) for row in x.split(1)]
    assert torch.equal(together, torch.cat(alone))


def test_a_velocity_that_is_not_finite_is_an_error():
    def network(x, timestep):
        return x / (timestep - 500).clamp(min=0)[:, None]

    with pytest.raises(Diverged, match="not finite"):
        integrate(velocity(ReverseProcess(network, linear())), torch.ones(1, 2, dtype=F64), -9.0, 5.0)


def test_gaussian_data_are_coded_without_loss():
    """Where p_theta(x_0|x_1) is the true posterior, the bound is -log p(x_0), whatever the x_1 drawn; one step too."""
    v = 0.25
    for schedule in (linear(), cosine(), constant(1, 0.9999)):
        diffused, x_0 = Diffused(gaussian(v), schedule), torch.tensor([[0.7, -0.2]], dtype=F64)
        kernel = Gaussian(torch.zeros(()), diffused.origin(x_0, 1).covariance.flatten()[0].log())
        p = replace(diffused.process(), limit=unlimited)

        def decoder(x, gaussian, log_var=kernel.log_var):
            return log_density(x, Gaussian(gaussian.mean, log_var))

        p = replace(p, decoder=decoder, network=_gaussian_network(v, schedule))
        exact = -float(Gaussian(torch.zeros(()), torch.tensor(v).log()).log_prob(x_0).sum())
        for seed in (0, 1):
            random = generator(seed)
            found, _ = nats(p, x_0, basis(x_0), lambda x, g=random: torch.randn(x.shape, generator=g, dtype=F64), 1e-5)
            assert float(found) == pytest.approx(exact, abs=1e-4)


def _gaussian_network(v, schedule):
    """E[eps|x_t] of N(0, v), told a real timestep: the angle of noise and signal is interpolated on a line."""
    angles = torch.atan2(schedule.one_minus_alpha_bar.sqrt(), schedule.alpha_bar.sqrt())

    def network(x, timestep):
        t = (timestep + 1).clamp(1, schedule.T)
        low = t.floor().long().clamp(max=max(schedule.T - 1, 1))
        high = (low + 1).clamp(max=schedule.T)
        angle = (angles[low] + (t - low) * (angles[high] - angles[low]))[:, None]
        a, s = angle.cos(), angle.sin()
        return s / (a**2 * v + s**2) * x

    return network


def test_an_exact_network_does_not_guess_between_its_steps():
    """Told 2.5 it has no answer; rounding would make a flow that jumps."""
    p = Diffused(MIXTURE, linear(10, 0.1, 0.9)).process()
    with pytest.raises(ValueError, match="no step"):
        velocity(p)(torch.zeros(1, 2, dtype=F64), 0.123)
