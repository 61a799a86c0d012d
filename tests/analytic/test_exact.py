"""T10, T14, T21, T23: exact bounds, kernels and rates, against the reference values."""

import math

import pytest
import torch

from ddpm.analytic.bound import linear_chain, terms_from_mse
from ddpm.analytic.masking import Masking
from ddpm.analytic.mixture import gaussian, grey_levels, mixture, two_points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import (
    entropy,
    excess,
    expected,
    from_standard,
    kernel_entropy,
    kernel_from_gaussian,
    mmse,
    pixel_term,
)
from ddpm.diffusion import schedule as s
from ddpm.diffusion.bound import bits_per_dim, terms
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Optimal, beta_1
from ddpm.laboratory.reverse import single_step
from ddpm.seeds import generator
from tests.harness.oracles import GAUSSIAN_SCHEDULES

F64 = torch.float64


@pytest.mark.filterwarnings("ignore:alpha_bar_T")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if "1000" in name else []) for name in GAUSSIAN_SCHEDULES]
)
def test_gaussian_data(name, reference):
    """T10: the 60 reference bounds by two routes: from the mean squared errors, and read off the chain."""
    schedule, best = GAUSSIAN_SCHEDULES[name](), {}
    for case in reference["gaussian_data"]:
        if case["schedule"] != name:
            continue
        v = float(case["v"])
        diffused = Diffused(gaussian(v), schedule)
        errors = best[v] = best[v] if v in best else mmse(diffused)
        rule = {
            "fixedlarge_paper": FixedLarge(beta_1),
            "fixedlarge_code": FixedLarge(),
            "fixedsmall_clipped": FixedSmall(),
            "optimal": Optimal(errors),
        }[case["variance"]]
        chain = linear_chain(diffused.process(rule), v)
        torch.testing.assert_close(terms_from_mse(schedule, rule, errors, v), chain.terms, rtol=1e-8, atol=1e-12)
        assert chain.bound == pytest.approx(float(case["bound_L"]), rel=1e-9)
        assert chain.nll == pytest.approx(float(case["nll"]), rel=1e-9)
        assert chain.gap == pytest.approx(float(case["gap_L_minus_nll"]), abs=1e-8)
        assert chain.displayed_var == pytest.approx(float(case["displayed_mean_var"]), rel=1e-9)


def test_rate_and_distortion_of_gaussian_data(reference):
    """Algorithms 3 and 4; T21: every row of the reference curve; and R(1) + L_0 = L."""
    schedule, v = s.linear(), 0.25
    errors = mmse(Diffused(gaussian(v), schedule))
    by_t = terms_from_mse(schedule, FixedLarge(), errors, v)
    for case in reference["gaussian_rate_distortion"]:
        t = case["t"]
        rate = float(by_t[0] + by_t[t + 1 :].sum())
        assert rate == pytest.approx(float(case["rate_nats_per_dim"]), rel=1e-9)
        assert float(errors[t].sqrt()) == pytest.approx(float(case["rmse"]), rel=1e-11)
    assert float(by_t[0] + by_t[2:].sum() + by_t[1]) == pytest.approx(0.84046110351213770897, rel=1e-10)


def test_entropies_and_optimal_variances_of_two_points(reference):
    """T14."""
    diffused = Diffused(two_points(), s.linear())
    optimal = Optimal(mmse(diffused)).table(diffused.schedule)
    for case in reference["entropy_bounds_two_point"]:
        t = case["t"]
        assert kernel_entropy(diffused, t) == pytest.approx(float(case["H_x_tm1_given_x_t"]), abs=1e-11)
        assert float(optimal[t]) == pytest.approx(float(case["optimal_sigma2"]), rel=1e-10)


def test_entropy_and_divergence_of_a_gaussian():
    assert entropy(gaussian(0.3)) == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.3), rel=1e-12)
    assert from_standard(gaussian(0.3)) == pytest.approx(0.5 * (0.3 - 1 - math.log(0.3)), rel=1e-11)


@pytest.mark.parametrize("T", [1, 2, 20])
def test_l_minus_entropy_is_the_sum_of_divergences(T):
    """Eq. 16 and 26; E38: L - H(x_0) = D(q(x_T)||p) + sum of E D(q(x_{t-1}|x_t)||p_theta), for data with a density."""
    law = mixture(torch.tensor([1.0, 2.0]), torch.tensor([[-0.6], [0.5]]), torch.tensor([[[0.05]], [[0.2]]]))
    schedule = s.linear(T, 0.2, 0.4) if T > 1 else s.constant(1, 0.99)
    diffused, rule = Diffused(law, schedule), FixedLarge(beta_1)
    errors = mmse(diffused)
    bound = float(terms_from_mse(schedule, rule, errors, float(law.second_moment)).sum())
    assert bound - entropy(law) == pytest.approx(excess(diffused, rule, errors), rel=1e-9)


@pytest.mark.parametrize("beta", [0.5, 0.02, 0.001])
def test_the_reverse_kernel_becomes_gaussian_like_beta_cubed(beta):
    """E36 on two points, to the digits quoted there."""
    quoted = {0.5: 4.5e-3, 0.02: 1.2e-6, 0.001: 1.6e-10}[beta]
    assert kernel_from_gaussian(single_step(beta), 2) == pytest.approx(quoted, rel=0.02)


def test_the_exact_bound_of_grey_levels_is_what_the_evaluator_estimates():
    """Pixels of four levels: quadrature against `bound.terms` on a million coordinates, within four standard errors."""
    law = grey_levels(torch.tensor([0.5, 0.05, 0.15, 0.3], dtype=F64))
    schedule = s.log_snr(12, noise_1=0.2)
    diffused = Diffused(law, schedule)
    errors = mmse(diffused)
    rule = Optimal(errors)
    p = diffused.process(rule, decoder=discretised(4))
    by_t = terms_from_mse(schedule, rule, errors, float(law.second_moment))
    exact = float(by_t[0] + by_t[2:].sum()) + pixel_term(
        diffused, diffused, discretised(4), float(rule.table(schedule)[1])
    )
    random = generator(0)
    x_0 = law.sample(1_000_000, random)
    found = sum(term.nats for term in terms(p, x_0, lambda x: torch.randn(x.shape, generator=random, dtype=F64)))
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 1000
    assert float(bits_per_dim(torch.tensor(exact), 1)) > float(
        torch.special.entr(law.log_weight.exp()).sum() / math.log(2)
    )


def test_expectations_are_exact():
    law = mixture(torch.tensor([1.0, 2.0]), torch.tensor([[-0.6], [0.5]]), torch.tensor([[[0.05]], [[0.0]]]))
    assert float(expected(law, lambda x: x.flatten())) == pytest.approx(float(law.expectation), abs=1e-14)
    assert float(expected(law, lambda x: x.flatten() ** 2)) == pytest.approx(float(law.second_moment), rel=1e-13)
    with pytest.raises(ValueError, match="one dimension"):
        expected(mixture(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None]), lambda x: x[:, 0])


def test_masking_is_an_autoregressive_model():
    """T23: with exact conditionals the bound is the entropy; with others it is the entropy and the divergence."""
    random = generator(1)
    data, model = (Masking(w / w.sum()) for w in torch.rand(2, 3, 3, 3, 3, generator=random, dtype=F64))
    assert data.T == 4
    assert sum(data.terms(data)) == pytest.approx(data.entropy, rel=1e-13)
    divergence = float((data.probability * (data.probability / model.probability).log()).sum())
    assert sum(data.terms(model)) == pytest.approx(data.entropy + divergence, rel=1e-12)
    assert all(value > 0 for value in data.terms(data))
