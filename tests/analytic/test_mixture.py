"""T13 and the family itself: Bayes, Tweedie, Chapman-Kolmogorov, and the reference values of two-point data."""

import math

import pytest
import torch

from ddpm.analytic.mixture import Mixture, gaussian, grey_levels, mixture, points, two_points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import expected
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.prediction import PREDICTIONS, X0
from ddpm.diffusion.schedule import cosine, jsd, linear
from ddpm.seeds import generator

F64 = torch.float64


def _plane():
    """Three correlated components in the plane."""
    covariances = torch.tensor([[[0.3, 0.2], [0.2, 0.4]], [[0.1, -0.05], [-0.05, 0.05]], [[0.02, 0.0], [0.0, 0.5]]])
    return mixture(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[0.0, 1.0], [-1.0, 0.5], [0.7, -0.4]]), covariances)


def test_weights_are_normalised_and_moments_are_right():
    law = _plane()
    assert float(law.log_weight.exp().sum()) == pytest.approx(1, abs=1e-15)
    drawn = law.sample(400_000, generator(0))
    torch.testing.assert_close(drawn.mean(0), law.expectation, rtol=0, atol=5e-3)
    torch.testing.assert_close(torch.cov(drawn.T), law.covariance, rtol=0, atol=1e-2)
    moment = float((drawn**2).mean())
    assert float(law.second_moment) == pytest.approx(moment, abs=5e-3)


def test_in_no_dimension_nothing_is_unlikely():
    law = Mixture(*(torch.zeros(1, *size, dtype=F64) for size in ((), (0,), (0, 0), (0,))))
    assert law.log_prob(torch.zeros(3, 0, dtype=F64)).tolist() == [0, 0, 0]


def test_the_density_is_the_sum_of_its_components():
    """Against torch's own multivariate normals."""
    law, x = _plane(), torch.randn(50, 2, dtype=F64, generator=generator(1))
    each = [
        w.log() + torch.distributions.MultivariateNormal(m, (u * s) @ u.T).log_prob(x)
        for w, m, u, s in zip(law.log_weight.exp(), law.mean, law.axes, law.spread, strict=True)
    ]
    torch.testing.assert_close(law.log_prob(x), torch.stack(each).logsumexp(0))


def test_given_is_bayes_rule():
    """q(x|y) q(y) = q(x) N(y; a x, s) at random x and y, for one a and s and for one of each a row."""
    law, random = _plane(), generator(2)
    x, y = torch.randn(2, 30, 2, dtype=F64, generator=random)
    for a, s in ((0.7, 0.4), (torch.linspace(0.1, 0.9, 30, dtype=F64), torch.linspace(1, 0.1, 30, dtype=F64))):
        posterior = law.given(y, a, s)
        column = torch.as_tensor(a, dtype=F64).reshape(-1, 1)
        variance = torch.as_tensor(s, dtype=F64).reshape(-1, 1)
        log_likelihood = (-0.5 * ((y - column * x) ** 2 / variance + (2 * math.pi * variance).log())).sum(1)
        for i in range(30):
            row = [torch.as_tensor(v, dtype=F64).expand(30)[i] for v in (a, s)]
            evidence = law.noised(*row).log_prob(y[i : i + 1])
            one = law.given(y[i : i + 1], *row)
            assert float(one.expectation[0, 0]) == pytest.approx(float(posterior.expectation[i, 0]), abs=1e-12)
            flat = type(one)(one.log_weight[0], one.mean[0], one.axes, one.spread[0])
            left = flat.log_prob(x[i : i + 1]) + evidence
            right = law.log_prob(x[i : i + 1]) + log_likelihood[i]
            assert float(left - right) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("law", [_plane(), gaussian(0.25), two_points()], ids=["plane", "gaussian", "two points"])
@pytest.mark.parametrize("t", [1, 30, 500, 1000])
def test_the_score_is_the_gradient_of_the_log_density(law, t):
    """Tweedie (E57) against autograd."""
    diffused = Diffused(law, linear())
    x = torch.randn(20, law.dims, dtype=F64, generator=generator(3)).requires_grad_()
    (gradient,) = torch.autograd.grad(diffused.log_prob(x, t).sum(), x)
    torch.testing.assert_close(diffused.score(x.detach(), t), gradient, rtol=1e-8, atol=1e-9)


def test_the_reverse_kernel_leads_from_one_marginal_to_the_one_before():
    """E over q(x_t) of the kernel's first two moments are those of q(x_{t-1}); so is its density, integrated."""
    diffused = Diffused(
        mixture(torch.tensor([1.0, 3.0]), torch.tensor([[-1.0], [0.5]]), torch.tensor([[[0.1]], [[0.01]]])), linear()
    )
    for t in (2, 50, 400, 1000):
        before, here = diffused.marginal(t - 1), diffused.marginal(t)
        mean = expected(here, lambda x, t=t: diffused.reverse(x, t).expectation[:, 0])
        second = expected(here, lambda x, t=t: diffused.reverse(x, t).second_moment)
        assert float(mean) == pytest.approx(float(before.expectation), abs=1e-12)
        assert float(second) == pytest.approx(float(before.second_moment), rel=1e-12)
        density = expected(here, lambda x, t=t: diffused.reverse(x, t).log_prob(torch.full_like(x, 0.3)).exp())
        there = before.log_prob(torch.full((1, 1), 0.3, dtype=F64)).exp()
        assert float(density) == pytest.approx(float(there), rel=1e-9)


def test_a_draw_from_each_row_has_its_moments():
    law = _plane()
    y = torch.tensor([[0.2, -0.5]], dtype=F64).expand(200_000, 2)
    posterior = law.given(y, 0.8, 0.3)
    drawn = posterior.draw(generator(4))
    torch.testing.assert_close(drawn.mean(0), posterior.expectation[0], rtol=0, atol=5e-3)
    torch.testing.assert_close(torch.cov(drawn.T), posterior.covariance[0], rtol=0, atol=5e-3)


def test_two_point_data(reference):
    """T13: the 24 reference values of E[x_0|x_t], epsilon and the score."""
    diffused = Diffused(two_points(), linear())
    p = diffused.process()
    assert len(reference["two_point"]) == 24
    for case in reference["two_point"]:
        t, x_t = case["t"], torch.tensor([[float(case["x_t"])]], dtype=F64)
        (eps,) = p.outputs(x_t, t)
        assert float(diffused.x_0(x_t, t)) == pytest.approx(float(case["x0hat"]), rel=1e-11)
        assert float(eps) == pytest.approx(float(case["eps_star"]), rel=1e-9, abs=1e-9)
        assert float(diffused.score(x_t, t)) == pytest.approx(float(case["score"]), rel=1e-9, abs=1e-7)


def test_gaussian_data_have_a_linear_denoiser():
    """E85: the mean of p(x_{t-1}|x_t) is k_t x_t; images of any shape, coordinate by coordinate."""
    v, schedule = 0.25, cosine(100)
    diffused = Diffused(gaussian(v), schedule)
    x_t = torch.randn(3, 2, 4, 4, dtype=F64, generator=generator(5))
    v_t = 1 + schedule.alpha_bar * (v - 1)
    for t in (1, 2, 60, 100):
        k = schedule.alpha[t].sqrt() * v_t[t - 1] / v_t[t]
        torch.testing.assert_close(diffused.process()(x_t, t)[0].mean, k * x_t, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_it_plugs_into_the_chain_as_a_network_of_any_kind(name):
    """Mixed times in one batch, float32 and float64, on a respaced schedule: always E[x_0|x_t]."""
    diffused = Diffused(_plane(), linear().respace([3, 200, 700, 1000]))
    p = diffused.process(prediction=PREDICTIONS[name])
    x_t, t = torch.randn(4, 2, dtype=F64, generator=generator(6)), torch.tensor([1, 4, 2, 3])
    for dtype, tolerance in ((F64, 1e-9), (torch.float32, 1e-3)):
        _, x_0 = p(x_t.to(dtype), t)
        assert x_0.dtype == dtype
        torch.testing.assert_close(x_0.to(F64), diffused.x_0(x_t, t), rtol=tolerance, atol=tolerance)


def test_where_nothing_is_left_the_estimate_is_the_mean():
    """jsd ends at alpha_bar = 0."""
    diffused = Diffused(grey_levels(torch.tensor([0.1, 0.9], dtype=F64)), jsd(10))
    p = diffused.process(prediction=X0())
    assert float(p(torch.full((1, 1), 0.4, dtype=F64), 10)[1]) == pytest.approx(0.8)


def test_a_point_stays_a_point():
    """E87: mu-tilde for the only x_0 there is, so every L_{t-1} with sigma^2 = beta-tilde is 0."""
    here = torch.tensor([[0.3]], dtype=F64)
    diffused, q = Diffused(points(here, torch.ones(1)), linear(50, 1e-3, 0.2)), ForwardProcess(linear(50, 1e-3, 0.2))
    x_t = torch.randn(5, 1, dtype=F64, generator=generator(7))
    torch.testing.assert_close(diffused.process()(x_t, 20)[0].mean, q.posterior(x_t, here.expand(5, 1), 20).mean)
    assert float(diffused.reverse(x_t, 20).covariance[0]) == pytest.approx(float(diffused.schedule.beta_tilde[20]))


@pytest.mark.parametrize(
    ("weights", "covariances", "match"),
    [([1.0, 0.0], [[[1.0]], [[1.0]]], "weights"), ([1.0, 1.0], [[[1.0]], [[-1.0]]], "positive semidefinite")],
)
def test_what_is_no_mixture_is_refused(weights, covariances, match):
    with pytest.raises(ValueError, match=match):
        mixture(torch.tensor(weights), torch.zeros(2, 1), torch.tensor(covariances))
