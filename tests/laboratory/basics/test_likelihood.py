"""Bound, likelihood and gap of the one-number model, against matrices that know none of their formulas."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import mmse
from ddpm.diffusion.schedule import SCHEDULES, linear
from ddpm.diffusion.variance import FixedLarge, Optimal, beta_1
from ddpm.laboratory.basics.likelihood import at_scale, least_bound, least_nll, scaled
from ddpm.laboratory.basics.quarter import ENTROPY, V, exact, few, least_errors
from ddpm.laboratory.bound import divergence, joint_covariances
from tests.laboratory.test_verdicts import EVERYWHERE, SCHEDULE, _ask, _says

RULES = pytest.mark.parametrize("rule", [FixedLarge(beta_1), FixedLarge()], ids=["beta-1", "published"])


@RULES
@pytest.mark.parametrize("c", [0.9, 1.0, 1.05])
def test_the_gap_is_the_divergence_of_the_conditionals(c, rule):
    """D_KL of the joints less that of x_0 alone, by determinants."""
    schedule = linear(12, 0.01, 0.4)
    q, p = joint_covariances(scaled(schedule, rule, c), V)
    joint, alone = divergence(q, p), divergence(q[:1, :1], p[:1, :1])
    found = at_scale(schedule, rule, c)
    assert found.gap == pytest.approx(joint - alone, rel=1e-8)
    assert found.bound == pytest.approx(joint + ENTROPY, rel=1e-8)
    assert found.nll == pytest.approx(alone + ENTROPY, rel=1e-8)


@RULES
def test_where_the_two_are_least(rule):
    """L by a search that does not know that it is a parabola; the likelihood where p(x_0) has the data's variance."""
    schedule = linear(50, 1e-3, 0.2)
    searched = minimize_scalar(lambda c: at_scale(schedule, rule, float(c)).bound, bounds=(0.5, 1.5), method="bounded")
    assert least_bound(schedule, rule) == pytest.approx(searched.x, abs=1e-5)
    assert least_bound(schedule, rule) == pytest.approx(1, abs=1e-9)
    best = at_scale(schedule, rule, least_nll(schedule, rule))
    assert best.model_var == pytest.approx(V, rel=1e-4)
    assert best.nll == pytest.approx(ENTROPY, abs=1e-8)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_what_is_known_of_a_quarter(name):
    """Its errors by quadrature, its kernels' law, and the same marginals on a shorter chain."""
    schedule = SCHEDULES[name](40)
    assert torch.allclose(least_errors(schedule), mmse(Diffused(gaussian(V), schedule)), atol=1e-12)
    assert torch.allclose(few(schedule, 4).alpha_bar, schedule.alpha_bar[[0, 10, 20, 30, 40]])
    kernel, _ = exact(schedule)(torch.ones(1, 1, dtype=torch.float64), 7)
    before = Diffused(gaussian(V), schedule).reverse(torch.ones(1, 1, dtype=torch.float64), 7)
    assert float(kernel.mean) == pytest.approx(float(before.expectation), rel=1e-10)
    assert float(kernel.var) == pytest.approx(float(before.covariance), rel=1e-10)


def test_the_answer_at_the_papers_setting(answers):
    (_, by_bound, by_nll, reached, best, gap, _), (_, _, optimal, *_, closed, _) = answers("mle").tables[0].rows
    assert (by_bound, optimal) == pytest.approx((1, 1), abs=1e-4)
    assert by_nll == pytest.approx(0.99976, abs=2e-5)
    assert gap == pytest.approx(0.00108936, rel=1e-4)
    assert 0 < reached - best < 1e-5
    assert abs(closed) < 1e-8
    assert best == pytest.approx(0.5 * math.log(math.pi * math.e / 2), abs=1e-7)


@SCHEDULE
@EVERYWHERE
def test_mle_whether_the_aims_agree(name, T):
    schedule, text, rows = _ask("mle", name, T)
    (_, by_bound, by_nll, reached, best, *_), (*_, gap, _) = rows
    _says(
        text,
        abs(by_bound - by_nll) < 0.01,
        ("the two aims all but agree", "거의 일치한다"),
        ("they are two aims", "서로 다르다"),
    )
    _says(text, gap < 1e-4, ("the gap closes", "간격이 닫히고"), ("still holds signal", "신호가 남아 있는데"))
    assert reached >= best - 1e-9
    assert gap == pytest.approx(at_scale(schedule, Optimal(least_errors(schedule)), 1.0).gap, abs=1e-9)
