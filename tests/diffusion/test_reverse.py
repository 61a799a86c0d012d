"""T8, T13: four predictions of one function are one process; scores of data whose score is known; what p refuses."""

import subprocess
import sys

import pytest
import torch

from ddpm.diffusion.bound import terms
from ddpm.diffusion.prediction import PREDICTIONS, X0, Epsilon, Mean, Velocity
from ddpm.diffusion.reverse import ReverseProcess, unit_clamp, unlimited
from ddpm.diffusion.schedule import cosine, jsd, linear
from ddpm.diffusion.variance import (
    FIRST_VARIANCES,
    VARIANCES,
    FixedLarge,
    FixedSmall,
    Learned,
    Optimal,
    beta_1,
    beta_tilde_2,
)
from ddpm.errors import UsageError
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.tensors import at
from tests.harness.oracles import GaussianData, rough_network, two_points

F64 = torch.float64


def _same_function(prediction, schedule):
    """A network that predicts `prediction`, equivalent to `rough_network` predicting epsilon."""

    def network(x_t, timestep):
        t = timestep + 1
        eps = rough_network(x_t, timestep)
        x_0 = Epsilon().x_0(schedule, x_t, eps, t)
        return prediction.target(schedule, x_0, eps, t)

    return network


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("t", [1, 2, 500, 1000])
def test_target_and_estimate_are_inverse(name, t):
    """Every prediction is inverted: that of epsilon by Eq. 15."""
    schedule, prediction = linear(), PREDICTIONS[name]
    x_0, eps = torch.randn(5, 2, dtype=F64), torch.randn(5, 2, dtype=F64)
    p = ReverseProcess(rough_network, schedule)
    x_t = p.q.sample(x_0, t, eps)
    found = prediction.x_0(schedule, x_t, prediction.target(schedule, x_0, eps, t), t)
    torch.testing.assert_close(found, x_0, rtol=1e-9, atol=1e-10)


def test_mean_is_the_posterior_mean():
    """The network that predicts the mean is p's mean (Eq. 1, 7)."""
    schedule = cosine()
    x_0, eps, t = torch.randn(4, 3, dtype=F64), torch.randn(4, 3, dtype=F64), torch.tensor([1, 2, 500, 1000])
    q = ReverseProcess(rough_network, schedule).q
    expected = q.posterior(q.sample(x_0, t, eps), x_0, t).mean
    torch.testing.assert_close(Mean().target(schedule, x_0, eps, t), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_fewer_steps_are_the_same_estimates(name):
    """E13: what a network says of x_0 at x_t is the same on every chain that visits t, also one shortened twice."""
    schedule, prediction = linear(30, 1e-3, 0.4), PREDICTIONS[name]
    p = ReverseProcess(_same_function(prediction, schedule), schedule, prediction, limit=unlimited)
    x, kept = torch.randn(4, 3, dtype=F64), [1, 7, 19, 30]
    for short in (p.respace(kept), p.respace([1, 5, 7, 19, 20, 30]).respace([1, 3, 4, 6])):
        for i, t in enumerate(kept, start=1):
            torch.testing.assert_close(short.estimate(x, i), p.estimate(x, t), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            short.estimate(x, torch.arange(1, 5)), p.estimate(x, torch.tensor(kept)), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("limit", [unlimited, unit_clamp])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_every_prediction_gives_the_same_bound_and_samples(name, limit):
    """T8, E53, Q3: to 1e-9 in the bound of every term and in samples from the same noise."""
    schedule = linear(30, 1e-3, 0.4)
    reference = ReverseProcess(rough_network, schedule, limit=limit)
    other = ReverseProcess(_same_function(PREDICTIONS[name], schedule), schedule, PREDICTIONS[name], limit=limit)
    x_0 = (torch.randint(0, 256, (3, 1, 2, 2)) / 127.5 - 1).to(F64)

    def noise():
        random = torch.Generator().manual_seed(1)
        return lambda like: torch.randn(like.shape, generator=random, dtype=like.dtype)

    for ours, theirs in zip(terms(other, x_0, noise()), terms(reference, x_0, noise()), strict=True):
        torch.testing.assert_close(ours.nats, theirs.nats, rtol=1e-8, atol=1e-9)
    x_T = torch.randn(3, 1, 2, 2, dtype=F64)
    for ours, theirs in zip(
        chain(other, x_T, Ancestral(), noise()), chain(reference, x_T, Ancestral(), noise()), strict=True
    ):
        torch.testing.assert_close(ours.x, theirs.x, rtol=1e-8, atol=1e-9)


def test_eq_11():
    """Eq. 10-11: The mean through x_0-hat is the paper's closed form; not the notes' (ERR-51, without the root)."""
    schedule = linear()
    p = ReverseProcess(rough_network, schedule, limit=unlimited)
    x_t = torch.randn(6, 2, dtype=F64)
    for t in (1, 2, 100, 1000):
        beta, noise = schedule.beta[t], schedule.one_minus_alpha_bar[t]
        eps = rough_network(x_t, torch.full((6,), t - 1))
        paper = (x_t - beta / noise.sqrt() * eps) / (1 - beta).sqrt()
        notes = (x_t - beta / noise * eps) / (1 - beta).sqrt()
        mean = p(x_t, t)[0].mean
        torch.testing.assert_close(mean, paper, rtol=1e-9, atol=1e-12)
        assert t == 1000 or (mean - notes).abs().max() > 1e-4


def test_two_point_oracle(reference):
    """T13: x_0-hat, eps and score at 24 places, to 1e-10."""
    schedule = linear()
    p = ReverseProcess(two_points(schedule), schedule, limit=unlimited)
    for case in reference["two_point"]:
        t, x_t = case["t"], torch.tensor([[float(case["x_t"])]], dtype=F64)
        _, x_0 = p(x_t, t)
        assert float(x_0) == pytest.approx(float(case["x0hat"]), rel=1e-9)
        assert float(p.q.noise(x_t, x_0, t)) == pytest.approx(float(case["eps_star"]), rel=1e-9)
        assert float(p.score(x_t, t)) == pytest.approx(float(case["score"]), rel=1e-9)


@pytest.mark.parametrize("v", [0.25, 1.0, 4.0])
def test_score_of_gaussian_data(v):
    """E56: s = -eps / sqrt(1 - abar) is the gradient of log N(0, v_t), taken by autograd."""
    schedule = cosine()
    p = GaussianData(v).process(schedule)
    for t in (1, 100, 500, 900):
        x = torch.randn(8, 1, dtype=F64, requires_grad=True)
        v_t = 1 + schedule.alpha_bar[t] * (v - 1)
        (gradient,) = torch.autograd.grad((-0.5 * x**2 / v_t).sum(), x)
        torch.testing.assert_close(p.score(x.detach(), t), gradient, rtol=1e-7, atol=1e-9)


def test_denoising_score_matching_is_l_simple():
    """E55-E56: (1 - abar) |s_theta - grad log q(x_t|x_0)|^2 = |eps - eps_theta|^2."""
    schedule = linear()
    p = ReverseProcess(rough_network, schedule, limit=unlimited)
    x_0, eps = torch.randn(5, 3, dtype=F64), torch.randn(5, 3, dtype=F64)
    for t in (1, 50, 1000):
        x_t = p.q.sample(x_0, t, eps).requires_grad_()
        (conditional,) = torch.autograd.grad(p.q.marginal(x_0, t).log_prob(x_t).sum(), x_t)
        matching = schedule.one_minus_alpha_bar[t] * (p.score(x_t, t) - conditional) ** 2
        simple = (eps - rough_network(x_t, torch.full((5,), t - 1))) ** 2
        torch.testing.assert_close(matching, simple, rtol=1e-7, atol=1e-9)


def test_the_first_variance_is_selectable():
    """E44: published beta_tilde_2, the paper's text beta_1; T = 1 has only beta_1."""
    q = linear()
    for kind in (FixedLarge, FixedSmall):
        assert kind().table(q)[1] == q.beta_tilde[2]
        assert kind(beta_1).table(q)[1] == q.beta[1]
    assert torch.equal(FixedLarge().table(q)[2:], q.beta[2:])
    assert torch.equal(FixedSmall().table(q)[2:], q.beta_tilde[2:])
    with pytest.warns(UserWarning):
        single = linear(1)
    for rule in (beta_1, beta_tilde_2):
        assert FixedSmall(rule).table(single)[1] == single.beta[1]
    for schedule in (q, single):
        assert FixedSmall(FIRST_VARIANCES["beta-tilde-1"]).table(schedule)[1] == 1e-20


@pytest.mark.parametrize("first", FIRST_VARIANCES.values())
def test_learned_variance_spans_small_to_large(first):
    q, t = linear(), torch.tensor([1, 2, 500])
    x = torch.zeros(3, 1, 2)
    ends = Learned(first).log_var(q, x, t, -torch.ones_like(x)), Learned(first).log_var(q, x, t, torch.ones_like(x))
    torch.testing.assert_close(ends[0], FixedSmall(first).log_var(q, x, t).expand_as(x))
    torch.testing.assert_close(ends[1], FixedLarge(beta_1).log_var(q, x, t).expand_as(x))


def test_optimal_variance_of_gaussian_data():
    """E45: beta_t v_{t-1} / v_t."""
    q = linear()
    for v in (0.25, 1.0, 4.0):
        v_t = 1 + q.alpha_bar * (v - 1)
        table = Optimal(GaussianData(v).mse_x_0(q)).table(q)
        torch.testing.assert_close(table[1:], q.beta[1:] * v_t[:-1] / v_t[1:], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", VARIANCES)
def test_variances_count_the_outputs_they_need(name):
    variance = VARIANCES[name](beta_1)
    right = 1 + variance.outputs
    schedule = linear()
    for channels in (2, 4, 6):
        p = ReverseProcess(lambda x, t, c=channels: x.new_zeros(len(x), c, 3), schedule, variance=variance)
        if channels == 2 * right:
            assert p(torch.zeros(4, 2, 3), 5)[0].mean.shape == (4, 2, 3)
        else:
            with pytest.raises(UsageError, match="needs an output"):
                p(torch.zeros(4, 2, 3), 5)


@pytest.mark.parametrize("t", [0, -1, 1001, torch.tensor([0, 5]), torch.tensor([5, 1001])])
def test_times_outside_are_refused(t):
    p = ReverseProcess(rough_network, linear())
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        p(torch.zeros(2, 3), t)


def test_the_network_is_told_the_mapped_time():
    told = []

    def network(x_t, timestep):
        told.append(timestep.tolist())
        return x_t

    schedule = linear()
    ReverseProcess(network, schedule)(torch.zeros(2, 3), torch.tensor([1, 1000]))
    ReverseProcess(network, schedule)(torch.zeros(2, 3), 7)
    ReverseProcess(network, schedule.respace([1, 400, 1000]))(torch.zeros(2, 3), 2)
    assert told == [[0, 999], [6, 6], [399, 399]]


def test_a_schedule_without_signal_needs_another_prediction():
    """E17: with beta_T = 1, epsilon says nothing of x_0; the other three do."""
    with pytest.raises(UsageError, match="alpha_bar_T = 0"):
        ReverseProcess(rough_network, jsd())
    x_T = torch.randn(2, 3)
    for prediction in (X0(), Mean(), Velocity()):
        gaussian, x_0 = ReverseProcess(rough_network, jsd(), prediction)(x_T, 1000)
        assert gaussian.mean.isfinite().all()
        assert x_0.isfinite().all()


def test_a_process_says_what_it_is_in_a_line():
    """Not its tables."""
    p = ReverseProcess(rough_network, linear(), Velocity())
    assert repr(p) == (
        "ReverseProcess(rough_network, Schedule(linear, T = 1000, beta 0.0001 to 0.02), Velocity, FixedLarge, unit_clamp)"
    )


def test_limits():
    x = torch.tensor([[-3.0, 0.5, 2.0]])
    assert unit_clamp(x).tolist() == [[-1.0, 0.5, 1.0]]
    assert unlimited(x) is x
    with pytest.raises(IndexError):
        at(linear().beta, -1, x)


def test_a_step_that_is_no_integer_is_refused_everywhere():
    """In a process of its own, without the tests' type checker, which would say it first."""
    code = """
import torch
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear

p, x = ReverseProcess(lambda x, t: x, linear()), torch.zeros(2, 3)
for t in (torch.tensor([1.0, 2.0]), 1.5):
    for ask in (p, p.estimate, p.score, lambda x, t: p.q.sample(x, t, x), p.q.marginal, lambda x, t: p.q.posterior(x, x, t)):
        try:
            ask(x, t)
        except ValueError as error:
            assert "t must be an int or a tensor of integers in" in str(error), error
        else:
            raise AssertionError(f"{ask} took {t}")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
