"""T5: divergences against 20-digit values; the mass of an interval and its gradient, everywhere."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm.diffusion.gaussian import Gaussian, kl, log_cdf, log_mass


def _exact_log_mass_mp(centre, half):
    c, h = abs(mpmath.mpf(centre)), mpmath.mpf(half)

    def upper(z):
        return mpmath.erfc(z / mpmath.sqrt(2)) / 2

    return mpmath.log(upper(c - h) - upper(c + h) if c > h else 1 - upper(h - c) - upper(h + c))


def _exact_log_mass(centre, half):
    with mpmath.workdps(60):
        return float(_exact_log_mass_mp(centre, half))


def test_kl_agrees_with_the_reference(reference):
    """T5."""
    for case in reference["normal_kl"]:
        m1, l1, m2, l2 = (
            torch.tensor(float(case[k]), dtype=torch.float64) for k in ("mean1", "logvar1", "mean2", "logvar2")
        )
        assert float(kl(Gaussian(m1, l1), Gaussian(m2, l2))) == pytest.approx(float(case["kl_nats"]), rel=1e-12), case


@given(st.floats(-3, 3), st.floats(-12, 3), st.floats(-3, 3), st.one_of(st.floats(-12, 3), st.floats(-1e-6, 1e-6)))
@settings(deadline=None, max_examples=200)
def test_kl_agrees_with_mpmath(m1, l1, m2, l2_or_gap):
    l2 = l1 + l2_or_gap if abs(l2_or_gap) < 1e-5 else l2_or_gap
    with mpmath.workdps(50):
        M1, L1, M2, L2 = (mpmath.mpf(x) for x in (m1, l1, m2, l2))
        exact = float((mpmath.expm1(L1 - L2) - (L1 - L2) + (M1 - M2) ** 2 * mpmath.exp(-L2)) / 2)
    tensors = [torch.tensor(x, dtype=torch.float64) for x in (m1, l1, m2, l2)]
    ours = float(kl(Gaussian(*tensors[:2]), Gaussian(*tensors[2:])))
    assert ours >= 0
    assert ours == pytest.approx(exact, rel=1e-9, abs=1e-40)


def test_kl_is_an_average_of_log_ratios():
    """E28: Monte Carlo within four standard errors, and not symmetric."""
    q, p = Gaussian(torch.tensor(0.3), torch.tensor(-2.0)), Gaussian(torch.tensor(-0.4), torch.tensor(-1.5))
    x = q.sample(torch.randn(200_000))
    ratio = q.log_prob(x) - p.log_prob(x)
    assert abs(ratio.mean() - kl(q, p)) < 4 * ratio.std() / math.sqrt(len(x))
    assert abs(kl(q, p) - kl(p, q)) > 0.1


def test_a_point_mass_stays_where_it_is():
    point = Gaussian(torch.tensor([1.5]), torch.tensor([-math.inf]))
    assert point.sample(torch.tensor([7.0])) == 1.5
    assert point.var == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("z", [-1e7, -1e4, -1e3, -30.0, -5.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0, 10.4])
def test_log_cdf_and_its_gradient(z, dtype):
    """torch.special.log_ndtr has the gradient 0 at -1e7, and 955.6 instead of 1000.001 at -1e3 in float32."""
    with mpmath.workdps(60):
        cdf = mpmath.erfc(-mpmath.mpf(z) / mpmath.sqrt(2)) / 2
        value = float(mpmath.log(cdf))
        gradient = float(mpmath.exp(-(mpmath.mpf(z) ** 2) / 2) / mpmath.sqrt(2 * mpmath.pi) / cdf)
    x = torch.tensor(z, dtype=dtype, requires_grad=True)
    y = log_cdf(x)
    y.backward()
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    assert y.item() == pytest.approx(value, rel=tolerance, abs=1e-44 if dtype == torch.float32 else 0)
    assert x.grad.item() == pytest.approx(gradient, rel=10 * tolerance, abs=1e-44)


@given(st.floats(-60, 60), st.floats(-12, 3.5))
@settings(deadline=None, max_examples=300)
def test_log_mass_agrees_with_mpmath(centre, log_half):
    half = math.exp(log_half)
    ours = float(log_mass(torch.tensor(centre, dtype=torch.float64), torch.tensor(half, dtype=torch.float64)))
    assert ours == pytest.approx(_exact_log_mass(centre, half), rel=1e-11, abs=1e-16)


@given(st.floats(-60, 60), st.floats(-12, 3.5))
@settings(deadline=None, max_examples=300)
def test_log_mass_in_float32_keeps_five_digits(centre, log_half):
    c, h = torch.tensor(centre), torch.tensor(math.exp(log_half))
    assert float(log_mass(c, h)) == pytest.approx(_exact_log_mass(c.item(), h.item()), rel=2e-5, abs=1e-6)


@given(st.floats(-1e8, 1e8), st.floats(-25, 10))
@settings(deadline=None, max_examples=300)
def test_gradients_are_finite_and_point_to_the_mean(centre, log_half):
    for dtype in (torch.float32, torch.float64):
        c = torch.tensor(centre, dtype=dtype, requires_grad=True)
        h = torch.tensor(math.exp(log_half), dtype=dtype, requires_grad=True)
        log_mass(c, h).backward()
        assert math.isfinite(c.grad.item())
        assert math.isfinite(h.grad.item())
        assert c.grad.item() * centre <= 0
        assert h.grad.item() >= 0


@given(st.floats(-60, 60), st.floats(-12, 3.5))
@settings(deadline=None, max_examples=300)
def test_gradients_of_log_mass_agree_with_mpmath(centre, log_half):
    """d/dc = (phi(c+h) - phi(c-h)) / mass, d/dh = (phi(c+h) + phi(c-h)) / mass."""
    c, h = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (centre, math.exp(log_half)))
    log_mass(c, h).backward()
    with mpmath.workdps(60):
        C, H = mpmath.mpf(c.item()), mpmath.mpf(h.item())
        high, low = mpmath.npdf(C + H), mpmath.npdf(C - H)
        mass = mpmath.exp(_exact_log_mass_mp(C, H))
        by_centre, by_half = float((high - low) / mass), float((high + low) / mass)
    assert c.grad.item() == pytest.approx(by_centre, rel=1e-6, abs=1e-9)
    assert h.grad.item() == pytest.approx(by_half, rel=1e-6, abs=1e-300)
