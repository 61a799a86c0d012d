"""L_T without a gradient, and densities beside probabilities: finite differences and scipy's own normal law."""

import math

import pytest
import torch
from scipy.stats import norm

from ddpm.diffusion.schedule import SCHEDULES, linear
from ddpm.diffusion.variance import FixedLarge
from ddpm.laboratory.basics.ends import BIN, by_density_and_mass, shifted, slopes, terms_at_scale
from ddpm.laboratory.basics.likelihood import at_scale
from ddpm.laboratory.basics.quarter import ENTROPY, V
from tests.laboratory.test_verdicts import EVERYWHERE, SCHEDULE, _ask, _says

F64 = torch.float64


@pytest.mark.parametrize("name", ["linear", "cosine", "log-snr"])
def test_derivatives_by_differences(name):
    """Of the network's number, for all three parts; the terms are those of the chain itself."""
    schedule, h = SCHEDULES[name](20), 1e-5

    def parts(c):
        terms = terms_at_scale(schedule, torch.tensor(c, dtype=F64))
        return torch.stack([terms[0], terms[2:].sum(), terms[1]])

    assert torch.allclose(
        terms_at_scale(schedule, torch.tensor(0.9, dtype=F64)), at_scale(schedule, FixedLarge(), 0.9).terms, rtol=1e-9
    )
    by_differences = (parts(0.9 + h) - parts(0.9 - h)) / (2 * h)
    found = [row[2] for row in slopes(schedule)]
    assert found[0] == 0.0  # not small: nothing
    assert found == pytest.approx(by_differences.tolist(), rel=1e-6)


def test_l_t_by_hand_and_its_slope_by_the_schedule():
    """E42, and its derivative when log SNR moves at every t: alpha_bar (1 - alpha_bar) dL_T/d alpha_bar."""
    schedule = linear(30, 0.01, 0.2)
    a = float(schedule.alpha_bar[-1])
    (_, L_T, _, by_schedule), *_ = slopes(schedule)
    assert pytest.approx(0.5 * (a * (V - 1) - math.log(1 - a)), rel=1e-10) == L_T
    assert by_schedule == pytest.approx(a * (1 - a) * 0.5 * (V - 1 + 1 / (1 - a)), rel=1e-8)


def test_a_shifted_schedule_is_still_a_bound_with_l_t_only():
    """Where L - L_T falls below the entropy, L does not."""
    for nats in (0.0, 4.0, 8.0, 12.0):
        L_T, L = shifted(linear(100, 1e-3, 0.2), nats)
        assert L > ENTROPY - 1e-9
        assert L_T > 0
    assert L - L_T < ENTROPY - 0.1


@SCHEDULE
@EVERYWHERE
def test_prior_what_it_costs_and_what_happens_without_it(name, T):
    schedule, text, rows = _ask("prior", name, T)
    a = float(schedule.alpha_bar[-1])
    bits = 0.5 * (a * (V - 1) - math.log1p(-a)) / math.log(2)
    assert rows[0][2] == 0.0
    assert rows[0][1] / math.log(2) == pytest.approx(bits, rel=1e-6, abs=1e-15)
    _says(text, bits < 0.001, ("it is small", "작은데"), ("no network can win back", "되찾지 못한다"))
    _says(text, True, ("is below the entropy", "보다 작아져"), ("is not below the entropy", "작지 않고"))


@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.01, 0.003, 1e-4])
def test_density_and_mass_by_scipy(sigma):
    level = 128 / 127.5 - 1
    density, product, mass, total = by_density_and_mass(sigma)
    assert density == pytest.approx(-math.log2(norm.pdf(0, scale=sigma)), rel=1e-12)
    assert product == pytest.approx(density - math.log2(2 / 255), rel=1e-12)
    inside = norm.cdf(BIN / 2, scale=sigma) - norm.cdf(-BIN / 2, scale=sigma)
    assert mass == pytest.approx(-math.log2(inside), abs=1e-9)
    assert mass >= 0
    assert total == pytest.approx(sum(norm.pdf(k / 127.5 - 1, level, sigma) for k in range(256)) * BIN, rel=1e-9)


@SCHEDULE
@EVERYWHERE
def test_mass_whether_the_product_will_do(name, T):
    schedule, text, rows = _ask("mass", name, T)
    own = math.sqrt(float(schedule.beta[1]))
    product = -math.log2(norm.pdf(0, scale=own) * BIN)
    mass = -math.log2(2 * norm.cdf(BIN / 2, scale=own) - 1)
    assert f"{product:.4f}" in text.en
    assert f"{mass:.4f}" in text.ko
    _says(text, abs(product - mass) < 0.1, ("it gives", "(구간의"), ("already wrong", "이미 틀려서"))
    assert rows[-1][2] < -18 < 0 <= rows[-1][4]
