"""The Frechet distance: exact for known moments, its bias, and how often its interval covers the truth."""

import math

import numpy as np
import pytest
import torch

from ddpm.evaluation.images import frechet
from ddpm.evaluation.images.moments import Moments, total
from ddpm.evaluation.images.side import Side


def known(mean, covariance):
    return Moments(None, torch.as_tensor(mean).double(), torch.as_tensor(covariance).double())


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_diagonal_gaussians_are_exact():
    """|m - n|^2 + sum (s_k - r_k)^2 where the covariances commute."""
    m, n = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([1.0, 1.0, 0.5])
    s, r = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 0.5, 1.5])
    expected = float((m - n).square().sum() + (s - r).square().sum())
    found = frechet.frechet(known(m, torch.diag(s**2)), known(n, torch.diag(r**2)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_two_dimensions_have_a_closed_form():
    """tr (A^1/2 B A^1/2)^1/2 = (tr AB + 2 (det A det B)^1/2)^1/2 for 2x2."""
    A, B = torch.tensor([[2.0, 0.7], [0.7, 1.0]]).double(), torch.tensor([[1.0, -0.4], [-0.4, 3.0]]).double()
    cross = math.sqrt(float((A @ B).trace()) + 2 * math.sqrt(float(A.det() * B.det())))
    expected = float(A.trace() + B.trace()) - 2 * cross
    assert frechet.frechet(known([0, 0], A), known([0, 0], B)) == pytest.approx(expected, rel=1e-12)


def test_identical_sets_have_none_and_the_distance_is_symmetric():
    x, y = normal(0, 300, 5), normal(1, 200, 5) * 2 + 1
    a, b = Moments.of(x), Moments.of(y)
    assert frechet.frechet(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet.frechet(a, b) == pytest.approx(frechet.frechet(b, a), rel=1e-12)


def test_moments_of_parts_add_up_to_those_of_all():
    """Also where the mean is a million times the spread, which a sum of squares does not survive."""
    x = normal(0, 1000, 4) + 1e6
    whole, parts = Moments.of(x), total(Moments.of(part) for part in x.split(137))
    exact = torch.from_numpy(np.cov((x - 1e6).numpy(), rowvar=False))
    assert parts.count == whole.count == 1000
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(parts.covariance, exact, rtol=1e-8, atol=1e-9)


def test_the_variance_of_first_order_is_that_of_the_derivative():
    """Moving one row by little changes the distance by the difference of its influence over N - 1."""
    x, y = normal(0, 400, 4), normal(1, 400, 4) @ torch.diag(torch.tensor([1.0, 2, 0.5, 1]).double()) + 0.5
    b = Moments.of(y)
    a = Moments.of(x)
    psi = torch.stack(
        [torch.tensor(frechet.frechet(Moments.of(torch.cat([x[:i], x[i + 1 :]])), b)) for i in range(len(x))]
    )
    jackknife = float(psi.var(correction=0) * (len(x) - 1))
    assert frechet.part(Side.of(x), b).first == pytest.approx(jackknife, rel=0.05)
    assert frechet.part(Side(a), b) == frechet.NOTHING


def sets(kind, D, N, M, seed):
    """Two sets of Gaussians and the true distance."""
    s = 1 / torch.arange(1, D + 1).double()
    mean, scale = torch.zeros(D).double(), s.sqrt().clone()
    if kind == "shifted":
        mean = 0.3 * s.sqrt()
    if kind == "wider":
        scale = scale * 1.15
    truth = frechet.frechet(known(torch.zeros(D), torch.diag(s)), known(mean, torch.diag(scale**2)))
    return normal(2 * seed, N, D) * s.sqrt(), normal(2 * seed + 1, M, D) * scale + mean, truth


def covered(kind, D, N, M, times):
    """How often the interval has the truth in it; and the mean of the distance without its bias, less the truth."""
    inside, left = 0, 0.0
    for seed in range(times):
        x, y, truth = sets(kind, D, N, M, seed)
        found = frechet.score(Side.of(x), Side.of(y), seed)
        inside += found.low <= truth <= found.high
        left += (found.value - found.bias - truth) / times
    return inside / times, left


@pytest.mark.parametrize("kind", ["the same", "shifted", "wider"])
def test_the_interval_covers_the_truth(kind):
    share, _ = covered(kind, 8, 300, 400, 60)
    assert share >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 60)


@pytest.mark.long
@pytest.mark.parametrize(("D", "N", "M"), [(8, 300, 400), (32, 500, 500), (64, 1000, 2000)])
@pytest.mark.parametrize("kind", ["the same", "shifted", "wider"])
def test_the_interval_covers_the_truth_in_95_of_100_sets(kind, D, N, M):
    times = 400
    share, left = covered(kind, D, N, M, times)
    assert share >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / times)
    truth = sets(kind, D, N, M, 0)[2]
    assert abs(left) < 0.02 + 0.02 * truth


def test_few_images_are_too_far_apart_by_what_is_said():
    """The mean distance of two samples of one law is the mean bias."""
    found = [
        frechet.score(Side.of(x), Side.of(y), s) for s in range(40) for x, y, _ in [sets("the same", 16, 160, 160, s)]
    ]
    value, bias = (sum(getattr(one, name) for one in found) / len(found) for name in ("value", "bias"))
    assert value > 0.1
    assert bias == pytest.approx(value, rel=0.08)


def test_infinity_takes_off_the_bias_of_the_judged_set():
    x, _, _ = sets("the same", 16, 2000, 2, 0)
    truth = Side(known(torch.zeros(16), torch.diag(1 / torch.arange(1, 17).double())))
    plain, found = frechet.score(Side.of(x), truth), frechet.infinity(Side.of(x), truth)
    assert plain.value > 0.005
    assert abs(found.value) < plain.value / 3
    assert found.about["sizes"][-1] == 2000
    assert found.low is None and found.high is None, "what b's images add, and how far off the line is, is not known"
