"""For every mathematical slip of the notes and the paper, the formula as written fails and ours passes.

Where words are wrong and not a formula, the case is a reading of them in numbers.

Each case returns the truth, found without the formula in question, what our code gives, and what the slip gives.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ddpm.analytic.bound import linear_chain
from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import expected
from ddpm.diffusion.bound import constants, prior, term
from ddpm.diffusion.decoder import log_likelihood
from ddpm.diffusion.estimators import estimates, trajectory
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian, kl
from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import FixedLarge
from ddpm.laboratory.notes.errata import KINDS, errata
from ddpm.laboratory.questions import QUESTIONS
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.sampling.latent import mix_latents
from ddpm.seeds import generator

F64 = torch.float64
SCHEDULE = linear(20, 0.01, 0.4)
Q = ForwardProcess(SCHEDULE)
P = Diffused(gaussian(0.25), SCHEDULE).process(FixedLarge())
t = 7
Case = Callable[[], tuple[Tensor, Tensor, Tensor]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    """Register the case of an erratum."""

    def register(function: Case) -> Case:
        CASES[name] = function
        return function

    return register


def _some(*names):
    """As many columns of six numbers, always the same."""
    return torch.randn(len(names), 6, 1, dtype=F64, generator=generator(0, "errata"))


def _step(x_prev, x_t):
    """log q(x_t|x_{t-1}), written out."""
    beta = SCHEDULE.beta[t]
    return -0.5 * ((x_t - (1 - beta).sqrt() * x_prev) ** 2 / beta + (2 * math.pi * beta).log())


def _posterior_by_bayes(x_0, x_prev, x_t):
    """log q(x_{t-1}|x_t, x_0) by conditioning the joint Gaussian of (x_{t-1}, x_t)."""
    a, before, here = SCHEDULE.alpha[t].sqrt(), SCHEDULE.one_minus_alpha_bar[t - 1], SCHEDULE.one_minus_alpha_bar[t]
    gain = a * before / here
    mean = SCHEDULE.alpha_bar[t - 1].sqrt() * x_0 + gain * (x_t - SCHEDULE.alpha_bar[t].sqrt() * x_0)
    return Gaussian(mean, (before - gain * a * before).log()).log_prob(x_prev)


@case("ERR-12")
def _covariance_is_the_identity():
    """L_T at x_0 = 0 in four dimensions, from the log-densities of torch; a unit vector's entries are 1/2."""
    x_0 = torch.zeros(1, 4, dtype=F64)
    q_T = torch.distributions.MultivariateNormal(x_0[0], torch.eye(4, dtype=F64) * SCHEDULE.one_minus_alpha_bar[-1])
    truth = torch.distributions.kl_divergence(
        q_T, torch.distributions.MultivariateNormal(x_0[0], torch.eye(4, dtype=F64))
    )
    slip = kl(Q.marginal(x_0, SCHEDULE.T), Gaussian(x_0, torch.full_like(x_0, math.log(0.5)))).sum()
    return truth, prior(Q, x_0)[0], slip


@case("ERR-16")
def _a_product_of_densities():
    x_0, x_1, x_2 = _some("x_0", "x_1", "x_2")
    a_1, a_2, b_1, b_2 = SCHEDULE.alpha[1], SCHEDULE.alpha[2], SCHEDULE.beta[1], SCHEDULE.beta[2]
    covariance = torch.tensor([[b_1, a_2.sqrt() * b_1], [a_2.sqrt() * b_1, a_2 * b_1 + b_2]], dtype=F64)
    mean = torch.cat([a_1.sqrt() * x_0, (a_1 * a_2).sqrt() * x_0], dim=1)
    joint = torch.distributions.MultivariateNormal(mean, covariance).log_prob(torch.cat([x_1, x_2], dim=1))
    ours = Q.marginal(x_0, 1).log_prob(x_1) + Q.between(x_1, 1, 2).log_prob(x_2)
    return joint, ours.flatten(), (x_1 * x_2).abs().log().flatten()


def _telescoped(denominator):
    """Sum over t >= 2 of log q(x_{t-1}|x_0)/q(denominator|x_0) along a chain."""
    x_0 = _some("x_0")[0]
    chain = {step: x for step, x, _ in trajectory(P, x_0, _noise())}
    x = {step - 1: value for step, value in chain.items()}
    return x, sum(
        Q.marginal(x_0, s - 1).log_prob(x[s - 1]) - Q.marginal(x_0, denominator(s)).log_prob(x[denominator(s)])
        for s in range(2, SCHEDULE.T + 1)
    )


def _noise():
    random = generator(0, "errata chain")
    return lambda like: torch.randn(like.shape, generator=random, dtype=like.dtype)


@case("ERR-25")
def _the_denominator_of_eq_20():
    x_0 = _some("x_0")[0]
    x, ours = _telescoped(lambda s: s)
    truth = Q.marginal(x_0, 1).log_prob(x[1]) - Q.marginal(x_0, SCHEDULE.T).log_prob(x[SCHEDULE.T])
    return truth, ours, _telescoped(lambda _: 1)[1]


@case("ERR-26")
def _the_last_factor():
    x_0 = _some("x_0")[0]
    x, ours = _telescoped(lambda s: s)
    truth = Q.marginal(x_0, 1).log_prob(x[1]) - Q.marginal(x_0, SCHEDULE.T).log_prob(x[SCHEDULE.T])
    return truth, ours, ours - Q.marginal(x_0, SCHEDULE.T - 1).log_prob(x[SCHEDULE.T - 1])


def _sums(name, coupling="trajectory"):
    x_0 = _some("x_0")[0]
    return {s: nats for s, nats in estimates(P, x_0, name, coupling, _noise())}


@case("ERR-35")
def _t_is_included_up_to_T():
    truth, ours = sum(_sums("raw").values()), _sums("log-ratio")
    return truth, sum(ours.values()), sum(nats for s, nats in ours.items() if s != SCHEDULE.T)


def _squared():
    x_0, x_t = _some("x_0", "x_t")
    q, p = Q.posterior(x_t, x_0, t), P(x_t, t)[0]
    truth = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, q.var.sqrt()), torch.distributions.Normal(p.mean, p.var.sqrt())
    )
    return (
        truth.flatten(),
        term(P, x_0, x_t, t)[0],
        (q.mean - p.mean).flatten(),
        p.var,
        constants(SCHEDULE, FixedLarge())[t],
    )


@case("ERR-37")
def _the_target_has_no_theta():
    truth, ours, _, _, C = _squared()
    return truth, ours, torch.zeros(6, dtype=F64) + C


@case("ERR-38")
def _one_over_two_sigma_squared():
    truth, ours, off, var, C = _squared()
    return truth, ours, 1 / 2 * var * off**2 + C


@case("ERR-46")
def _the_covariances_differ():
    truth, ours, off, var, _ = _squared()
    return truth, ours, off**2 / (2 * var)


@case("ERR-47")
def _the_norm_is_squared():
    truth, ours, off, var, C = _squared()
    return truth, ours, off.abs() / (2 * var) + C


def _mean_by_eps(form):
    x_0, eps = _some("x_0", "eps")
    x_t = Q.sample(x_0, t, eps)
    a, b, beta = SCHEDULE.alpha[t], SCHEDULE.one_minus_alpha_bar[t], SCHEDULE.beta[t]
    x_prev_mean = _conditional_mean(x_0, x_t)
    return x_prev_mean, Q.posterior(x_t, x_0, t).mean, form(x_t, eps, a, b, beta)


def _conditional_mean(x_0, x_t):
    a, before, here = SCHEDULE.alpha[t].sqrt(), SCHEDULE.one_minus_alpha_bar[t - 1], SCHEDULE.one_minus_alpha_bar[t]
    return SCHEDULE.alpha_bar[t - 1].sqrt() * x_0 + a * before / here * (x_t - SCHEDULE.alpha_bar[t].sqrt() * x_0)


@case("ERR-40")
def _the_factor_stands_before_the_bracket():
    return _mean_by_eps(lambda x, eps, a, b, beta: 1 / (a.sqrt() * (x - beta / b.sqrt() * eps)))


@case("ERR-49")
def _minus_eps():
    return _mean_by_eps(lambda x, eps, a, b, beta: (x + beta / b.sqrt() * eps) / a.sqrt())


@case("ERR-50")
def _the_root_in_front_of_eps():
    """The line as it stands has the sign of ERR-49 too."""
    return _mean_by_eps(lambda x, eps, a, b, beta: (x + beta / b * eps) / a.sqrt())


@case("ERR-51")
def _under_the_root():
    return _mean_by_eps(lambda x, eps, a, b, beta: 1 / a.sqrt() * (x - beta / (1 - SCHEDULE.alpha_bar[t]) * eps))


@case("ERR-41")
def _markov_is_exact():
    """q(x_t|x_{t-1}, x_0) from the joint of all three, its variance included; 'about equal' would leave a remainder."""
    x_0, x_prev, x_t = _some("x_0", "x_{t-1}", "x_t")
    bayes = (
        _posterior_by_bayes(x_0, x_prev, x_t)
        + Q.marginal(x_0, t).log_prob(x_t)
        - Q.marginal(x_0, t - 1).log_prob(x_prev)
    )
    return bayes, _step(x_prev, x_t), _step(x_prev + 1e-3 * x_0, x_t)


@case("ERR-42")
def _what_bayes_rule_gives():
    x_0, x_prev, x_t = _some("x_0", "x_{t-1}", "x_t")
    return _posterior_by_bayes(x_0, x_prev, x_t), Q.posterior(x_t, x_0, t).log_prob(x_prev), _step(x_prev, x_t)


@case("ERR-43")
def _the_factor_of_eq_20():
    x_0, x_prev, x_t = _some("x_0", "x_{t-1}", "x_t")
    ratio = Q.marginal(x_0, t - 1).log_prob(x_prev) - Q.marginal(x_0, t).log_prob(x_t)
    return -_step(x_prev, x_t), ratio - Q.posterior(x_t, x_0, t).log_prob(x_prev), ratio - _step(x_prev, x_t)


@case("ERR-45")
def _the_expectation_stays():
    """E_q L_T for N(0, 1/4) in closed form, our L_T averaged over x_0 by quadrature, and L_T of a single image."""
    truth = 0.5 * (SCHEDULE.alpha_bar[-1] * (0.25 - 1) - torch.log1p(-SCHEDULE.alpha_bar[-1]))
    return truth, expected(gaussian(0.25), lambda x_0: prior(Q, x_0)), prior(Q, _some("x_0")[0])[0]


@case("ERR-58")
def _every_line_is_equal():
    """Eq. 19 = Eq. 21 on one chain, with the average; without it a single image's terms are not the bound."""
    truth, ours = sum(_sums("raw").values()).mean(), sum(_sums("log-ratio").values())
    return truth, ours.mean(), ours[0]


@case("ERR-57")
def _divergences_are_added():
    truth, ours = sum(_sums("raw").values()), _sums("log-ratio")
    middle = sum(nats for s, nats in ours.items() if 1 < s <= SCHEDULE.T)
    return truth, sum(ours.values()), sum(ours.values()) - 2 * middle


@case("ERR-53")
def _variances_add_not_standard_deviations():
    """Two steps walked: the standard deviation of x_2 given x_0."""
    random = generator(0, "two steps")
    x_0, *eps = torch.randn(3, 1_000_000, 1, dtype=F64, generator=random)
    spread = (Q.step(Q.step(0 * x_0, 1, eps[0]), 2, eps[1])).std()
    ours = Q.marginal(x_0[:1], 2).var.sqrt()
    return spread.round(decimals=2), ours.squeeze().round(decimals=2), ours.squeeze() ** 2


@case("ERR-56")
def _latents_depend_on_x_0():
    random = generator(0, "latents")
    x_0, eps = torch.randn(2, 1_000_000, 1, dtype=F64, generator=random)
    walked = x_0
    for s in range(1, t + 1):
        walked = Q.step(walked, s, torch.randn(x_0.shape, dtype=F64, generator=random))
    correlation = torch.corrcoef(torch.cat([x_0, walked], dim=1).T)[0, 1]
    ours = torch.corrcoef(torch.cat([x_0, Q.sample(x_0, t, eps)], dim=1).T)[0, 1]
    return correlation.round(decimals=2), ours.round(decimals=2), torch.zeros((), dtype=F64)


@case("ERR-59")
def _bins_are_two_over_255_wide():
    x = torch.arange(256, dtype=F64)[:, None] / 127.5 - 1
    model = Gaussian(torch.full_like(x, 0.1), torch.full_like(x, -4.0))
    normal = torch.distributions.Normal(0.1, math.exp(-2))
    half = (normal.cdf(x + 0.5 / 255) - normal.cdf(x - 0.5 / 255)).sum()
    return torch.ones((), dtype=F64), log_likelihood(x, model).exp().sum(), half


@case("ERR-65")
def _the_left_side_is_negative():
    """NLL of N(0, 1/4) as the model's variance gives it, by sampling its density, and the log-likelihood as written."""
    v, chain = 0.25, linear_chain(P, 0.25)
    x_0 = torch.linspace(-6, 6, 200_001, dtype=F64)[:, None]
    data, model = (Gaussian(0 * x_0, torch.full_like(x_0, math.log(var))).log_prob(x_0) for var in (v, chain.model_var))
    truth = -torch.trapezoid((data.exp() * model).flatten(), x_0.flatten())
    return truth, torch.tensor(chain.nll, dtype=F64), -torch.tensor(chain.nll, dtype=F64)


@case("ERR-67")
def _the_variance_is_not_kept():
    """Of x_t for x_0 ~ N(0, 1/4): step by step, by our marginal, and as written."""
    walked = torch.tensor(0.25, dtype=F64)
    for s in range(1, t + 1):
        walked = SCHEDULE.alpha[s] * walked + SCHEDULE.beta[s]
    return walked, Diffused(gaussian(0.25), SCHEDULE).marginal(t).covariance.squeeze(), torch.ones((), dtype=F64)


@case("ERR-69")
def _no_noise_in_the_last_step():
    """What Algorithm 2 returns is the mean of the last kernel, whatever noise is at hand."""
    x_T = _some("x_T")[0]
    x_1 = [step.x for step in chain(P, x_T, Ancestral(), _noise()) if step.t == 1]
    *_, last = chain(P, x_T, Ancestral(), _noise())
    mean, spread = P(x_1[0], 1)[0].mean, P(x_1[0], 1)[0].var.sqrt()
    return mean, last.x, mean + spread * _some("z")[0]


@case("ERR-70")
def _all_the_terms_of_eq_12():
    """L_{1:T-1} less C by the divergences, by the sum of Eq. 12's terms, and one term alone."""
    x_0, eps = _some("x_0", "eps")
    truth = ours = one = torch.zeros(6, dtype=F64)
    for s in range(2, SCHEDULE.T + 1):
        x_s = Q.sample(x_0, s, eps)
        one = (weights(SCHEDULE, FixedLarge())[s] * (eps - P.outputs(x_s, s)[0]) ** 2).flatten()
        truth, ours = truth + term(P, x_0, x_s, s)[0] - constants(SCHEDULE, FixedLarge())[s], ours + one
    return truth, ours, one


@case("P-1")
def _latents_are_mixed_not_images():
    """At lambda = 0 and 1 the mixture is a draw of q(x_t|x_0) and of q(x_t|x_0'), of the right variance."""
    x_0 = torch.full((1, 40_000), 0.8, dtype=F64)
    noise = _noise()
    ends = mix_latents(P, x_0, -x_0, t, [0.0, 1.0], noise)
    truth = torch.stack([SCHEDULE.alpha_bar[t].sqrt() * 0.8, -SCHEDULE.alpha_bar[t].sqrt() * 0.8])
    return truth.round(decimals=1), ends.mean(1).round(decimals=1), torch.tensor([0.8, -0.8], dtype=F64)


@pytest.mark.parametrize("name", CASES)
def test_the_formula_as_written_fails_and_ours_passes(name):
    """T17."""
    truth, ours, theirs = CASES[name]()
    torch.testing.assert_close(ours.squeeze(), truth.squeeze(), rtol=1e-9, atol=1e-11)
    assert not torch.allclose(theirs.squeeze(), truth.squeeze(), rtol=1e-5, atol=1e-7)


def test_every_mathematical_slip_has_a_case():
    assert set(CASES) == {erratum.name for erratum in errata() if erratum.kind == "M"}


def test_the_list_is_whole():
    found = errata()
    assert [e.name for e in found] == [f"ERR-{n}" for n in range(1, 71)] + [f"P-{n}" for n in range(1, 6)]
    assert all(e.kind in KINDS and (not e.shown_by or e.shown_by in QUESTIONS) for e in found)
    assert all(e.written.ko and e.written.en and e.right.ko and e.right.en for e in found)


def test_the_weights_of_eq_12_are_those_of_the_divergence():
    """ERR-38's right side once more, by its other name: w_t |eps - eps_theta|^2 + C is the KL."""
    x_0, eps = _some("x_0", "eps")
    x_t = Q.sample(x_0, t, eps)
    (output,) = P.outputs(x_t, t)
    w = weights(SCHEDULE, FixedLarge())[t]
    torch.testing.assert_close(
        term(P, x_0, x_t, t)[0], (w * (eps - output) ** 2).flatten() + constants(SCHEDULE, FixedLarge())[t]
    )
