"""T14: the entropy bounds of section 3.2, where the best variance lies between them, and data that break the upper one."""

import math

import numpy as np
import pytest
import torch

from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import Optimal

F64 = torch.float64
GRID = torch.linspace(-12, 12, 200_001, dtype=F64)[:, None]


def _entropy(log_density):
    """-int p log p by the trapezoidal rule, which is exact to rounding for such densities."""
    p = log_density.exp()
    return float(-torch.trapezoid((p * log_density)[:, 0], GRID[:, 0]))


def _two_point_log_density(q, t):
    ends = [q.marginal(torch.full_like(GRID, sign), t).log_prob(GRID) for sign in (-1.0, 1.0)]
    return torch.logaddexp(*ends) - math.log(2)


def _upper(q, t):
    return 0.5 * math.log(2 * math.pi * math.e * float(q.schedule.beta[t]))


def test_two_point_data(reference):
    """H(x_{t-1}|x_t) = H(x_t|x_{t-1}) + H(x_{t-1}) - H(x_t) at seven t, its bounds, and the optimal variance."""
    schedule = linear()
    q = ForwardProcess(schedule)
    for case in reference["entropy_bounds_two_point"]:
        t = case["t"]
        entropy = _upper(q, t) + _entropy(_two_point_log_density(q, t - 1)) - _entropy(_two_point_log_density(q, t))
        lower = 0.5 * math.log(2 * math.pi * math.e * float(schedule.beta_tilde[t]))
        assert lower == pytest.approx(float(case["lower_half_log_2pie_betatilde"]), abs=1e-12)
        assert _upper(q, t) == pytest.approx(float(case["upper_half_log_2pie_beta"]), abs=1e-12)
        assert entropy == pytest.approx(float(case["H_x_tm1_given_x_t"]), abs=1e-9)
        assert lower - 1e-9 <= entropy <= _upper(q, t) + 1e-9

        density = _two_point_log_density(q, t).exp()
        estimate = torch.tanh(schedule.alpha_bar[t].sqrt() * GRID / schedule.one_minus_alpha_bar[t])
        mse = torch.zeros(1001, dtype=F64)
        mse[t] = torch.trapezoid((density * (1 - estimate**2))[:, 0], GRID[:, 0])
        optimal = Optimal(mse).table(schedule)[t]
        assert float(optimal) == pytest.approx(float(case["optimal_sigma2"]), rel=1e-9)


def test_the_upper_bound_needs_unit_variance():
    """x_0 ~ N(0, 4) at t = 100: above it by 7.56e-4 nats; N(0, 1) lies on it, N(0, 1/4) below."""
    schedule = linear()
    excess = {}
    for v in (4.0, 1.0, 0.25):
        v_t = 1 + schedule.alpha_bar * (v - 1)
        excess[v] = 0.5 * float(torch.log(v_t[99] / v_t[100]))
    assert excess[4.0] == pytest.approx(7.56e-4, abs=5e-7)
    assert excess[1.0] == pytest.approx(0, abs=1e-15)
    assert excess[0.25] < 0
    assert np.isclose(_upper(ForwardProcess(schedule), 100), -1.67066455, atol=1e-8)
