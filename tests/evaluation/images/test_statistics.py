"""Kernel distance, inception score, neighbours and quantiles: against sums by hand, double loops and closed forms."""

import math

import pytest
import torch

from ddpm.errors import Mismatch, UsageError
from ddpm.evaluation.images import inception_score, kernel, neighbours, sliced
from ddpm.evaluation.images.groups import GROUPS, groups_of, left_out_variance
from ddpm.evaluation.images.metrics import METRICS, Choices, choices_of, metrics_of, scores
from ddpm.evaluation.images.moments import Moments
from ddpm.evaluation.images.side import Side


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mmd(x, y):
    """By its definition, pair by pair."""
    k = lambda a, b: (float(a @ b) / len(a) + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_is_the_double_loop(monkeypatch):
    x, y = normal(0, 13, 3), normal(1, 9, 3) + 0.5
    monkeypatch.setattr(kernel, "BLOCK", 4)
    found = kernel.score(x, y)
    assert found.value == pytest.approx(mmd(x, y), rel=1e-12)
    rest = (
        [mmd(torch.cat([x[:i], x[i + 1 :]]), y) for i in range(13)],
        [mmd(x, torch.cat([y[:i], y[i + 1 :]])) for i in range(9)],
    )
    expected = sum(float(torch.tensor(one, dtype=torch.float64).var(correction=0) * (len(one) - 1)) for one in rest)
    assert found.about["full_variance"] == pytest.approx(expected, rel=1e-9)


def expected_kernel(a, b):
    """Of two independent draws of Gaussians, each a mean and a covariance: E (s + 1)^3 for s = x^T y/D, by the moments of s."""
    D = len(a[0])
    (first_a, second_a, third_a), (first_b, second_b, third_b) = map(raw_moments, (a, b))
    one = (first_a * first_b).sum() / D
    two = (second_a * second_b).sum() / D**2
    three = (third_a * third_b).sum() / D**3
    return 1 + 3 * one + 3 * two + three


def raw_moments(gaussian):
    """E x_i, E x_i x_j and E x_i x_j x_k."""
    mean, covariance = gaussian
    apart = torch.einsum("i,jk->ijk", mean, covariance)
    third = torch.einsum("i,j,k->ijk", mean, mean, mean) + apart + apart.permute(1, 0, 2) + apart.permute(2, 1, 0)
    return mean, covariance + torch.outer(mean, mean), third


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.4, 1.0), (0.0, 1.3), (0.4, 1.3)])
def test_the_interval_of_kid_covers_the_truth(shift, scale):
    """In 95 of 100 sets of Gaussians, of which KID is known; of one law, where it is 0, at least so often: the jackknife is wide."""
    D, times = 8, 200
    sizes = 1 / torch.arange(1, D + 1).double()
    a = torch.zeros(D).double() + 0.5, torch.diag(sizes)
    b = a[0] + shift * sizes.sqrt(), torch.diag(sizes * scale**2)
    truth = float(expected_kernel(a, a) + expected_kernel(b, b) - 2 * expected_kernel(a, b))
    assert (abs(truth) < 1e-12) == ((shift, scale) == (0, 1))
    found = []
    for seed in range(times):
        x, y = (
            normal(2 * seed + side, n, D) * one[1].diag().sqrt() + one[0] for side, n, one in ((0, 150, a), (1, 200, b))
        )
        found.append(kernel.score(x, y))
    share = sum(one.low <= truth <= one.high for one in found) / times
    error = 3 * math.sqrt(0.95 * 0.05 / times)
    assert share >= 0.95 - error
    if truth > 1e-12:
        assert share <= 0.95 + error
    values = torch.tensor([one.value for one in found])
    assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / math.sqrt(times), "unbiased"


def test_kid_of_subsets_is_near_that_of_all_and_its_variance_is_that_of_many_sets():
    x, y = normal(0, 60, 2), normal(1, 60, 2) + 0.3
    found = kernel.score(x, y, subsets=300, subset_size=30)
    assert found.value == pytest.approx(found.about["full"], abs=3 * found.about["subsets_std"] / math.sqrt(300) + 0.02)
    each = [kernel.sums(normal(2 * s, 60, 2), normal(2 * s + 1, 60, 2) + 0.3) for s in range(300)]
    values = torch.tensor([one.mmd() for one in each])
    guess = sum(one.variance() for one in each) / 300
    assert guess == pytest.approx(float(values.var()), rel=0.35)


def test_an_inception_score_of_sure_and_even_classes_is_their_number():
    logits = 100 * torch.eye(10).repeat(50, 1)
    found = inception_score.score(logits, splits=1)
    assert found.value == pytest.approx(10, rel=1e-9)
    assert inception_score.score(torch.zeros(50, 7)).value == pytest.approx(1)


def test_an_inception_score_is_that_of_its_formula():
    logits = normal(0, 40, 5)
    p = logits.softmax(1)
    mean = p.mean(0)
    expected = math.exp(float((p * (p / mean).log()).sum(1).mean()))
    assert inception_score.inception_score(logits) == pytest.approx(expected, rel=1e-12)


def test_the_interval_of_an_inception_score_covers_the_truth():
    truth = inception_score.inception_score(2 * normal(10**6, 400_000, 6))
    found = [inception_score.score(2 * normal(s, 400, 6)) for s in range(100)]
    assert sum(one.low <= truth <= one.high for one in found) >= 88
    assert sum(one.value - one.bias for one in found) / 100 == pytest.approx(truth, rel=0.01)


A = torch.tensor([[0.0], [1.0], [2.0], [10.0]]).double()
B = torch.tensor([[0.4], [1.4], [2.5], [30.0], [30.2]]).double()


def test_precision_and_recall_of_a_few_points_by_hand():
    """k = 1. Radii of B: 1, 1, 1.1, 0.2, 0.2: 0, 1 and 2 of A lie within, 10 does not. Radii of A: 1, 1, 1, 8: 30 and 30.2 do not."""
    precision, recall = neighbours.precision_recall(A, B, k=1)
    assert (precision.value, recall.value) == (3 / 4, 3 / 5)


def test_density_and_coverage_of_a_few_points_by_hand():
    """Balls of B with k = 1: 0 in one; 1 in two (of 0.4 and 1.4); 2 in two; 10 in none: 5 over 4. Three of five have one in them."""
    density, coverage = neighbours.density_coverage(A, B, k=1)
    assert (density.value, coverage.value) == (5 / 4, 3 / 5)


def test_radii_without_a_group_are_those_of_the_others():
    x, k = normal(0, 60, 3), 3
    of = neighbours.balls(x, k, 0, "x")
    for group in of.without:
        kept = of.groups != group
        rest = neighbours.balls(x[kept], k, 0, "x").radii[0]
        torch.testing.assert_close(of.radii[1 + group][kept], rest)
        assert bool((of.radii[1 + group][~kept] == -1).all())


def test_without_a_group_a_point_is_in_the_balls_of_the_others():
    x, y = normal(0, 40, 2), normal(1, 45, 2)
    found = neighbours.within(x, neighbours.balls(y, 2, 0, "y"))
    groups = groups_of(45, 0, "y")
    for group in range(GROUPS):
        rest = neighbours.within(x, neighbours.balls(y[groups != group], 2, 0, "y"))[0]
        assert torch.equal(found[1 + group], rest)


def test_blocks_change_nothing(monkeypatch):
    x, y = normal(0, 50, 4), normal(1, 60, 4)
    found = [one.value for one in (*neighbours.precision_recall(x, y), *neighbours.density_coverage(x, y))]
    monkeypatch.setattr(neighbours, "BYTES", 8 * 60 * 7)
    again = [one.value for one in (*neighbours.precision_recall(x, y), *neighbours.density_coverage(x, y))]
    assert found == again


def test_the_interval_of_neighbours_is_as_wide_as_many_sets_differ():
    """Two standard errors to each side, or more: what leaving out neighbours tells of density is up to twice too much."""
    found = [
        (*neighbours.precision_recall(x, y), *neighbours.density_coverage(x, y))
        for s in range(40)
        for x, y in [(normal(2 * s, 100, 2), normal(2 * s + 1, 100, 2) * 1.2 + 0.5)]
    ]
    for at in range(4):
        values = torch.tensor([one[at].value for one in found])
        half = sum(one[at].high - one[at].low for one in found) / len(found) / 2
        assert 0.75 < half / (1.96 * float(values.std())) < 2.2, found[0][at].name


def test_the_interval_of_all_or_none_is_not_empty():
    """200 points all of which lie inside say that 2 to 4 % may not: 1.8 % by Clopper and Pearson, and what the balls add."""
    inside, far = normal(0, 200, 2) * 0.1, normal(1, 200, 2) + 1000
    b = normal(2, 300, 2)
    precision, _ = neighbours.precision_recall(inside, b)
    assert (precision.value, precision.high) == (1.0, 1.0)
    assert 0.95 < precision.low < 0.985
    found = (*neighbours.precision_recall(far, b), neighbours.density_coverage(far, b)[1])
    for score in found:
        assert (score.value, score.low) == (0.0, 0.0)
        assert 0.01 < score.high < 0.03, score.name


def test_a_sliced_distance_is_that_of_quantiles():
    """W_2 of a shift is the shift; of two points and three the steps are matched by hand."""
    x = normal(0, 200, 1)
    assert sliced.score(x, x + 3).value == pytest.approx(3)
    a, b = torch.tensor([[0.0], [6.0]]).double(), torch.tensor([[1.0], [2.0], [4.0]]).double()
    expected = (1 * 2 + 4 + 16 + 4 * 2) / 6  # in sixths: 0-1 twice, 0-2, 6-2, 6-4 twice
    assert sliced.squared(a, b) == pytest.approx(expected)


def test_a_sliced_distance_of_gaussians_loses_its_bias():
    """N(0, I) against N(0, (1 + d)^2 I): W_2 is d along every direction."""
    found = [sliced.score(normal(2 * s, 200, 3), normal(2 * s + 1, 200, 3) * 1.3, 16) for s in range(40)]
    assert sum(one.low <= 0.3 <= one.high for one in found) >= 33
    assert sum(one.value - one.bias for one in found) / 40 == pytest.approx(0.3, abs=0.02)


def test_identical_sets_are_at_no_distance():
    x = normal(0, 80, 4)
    side = Side.of(x, normal(1, 80, 5))
    found = {one.name: one.value for one in scores(list(METRICS), side, side)}
    assert found["fid"] == pytest.approx(0, abs=1e-10)
    assert found["sliced"] == 0
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_the_choices_are_used_and_said():
    a, b = Side.of(normal(0, 80, 4), normal(1, 80, 5)), Side.of(normal(2, 70, 4))
    how = Choices(seed=5, subsets=7, subset_size=20, splits=4, precision_k=2, density_k=6, directions=9)
    about = {one.name: one.about for one in scores(list(METRICS), a, b, how)}
    assert (about["kid"]["subsets"], about["kid"]["subset_size"]) == (7, 20)
    assert about["inception-score"]["splits"] == 4
    assert (about["precision"]["k"], about["coverage"]["k"], about["sliced"]["directions"]) == (2, 6, 9)
    assert all(one["seed"] == 5 for one in about.values())


@pytest.mark.parametrize(
    ("name", "a", "b", "kind"),
    [
        ("kid", Side(Moments.of(normal(0, 9, 2))), Side.of(normal(0, 9, 2)), UsageError),
        ("is", Side.of(normal(0, 9, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("precision-recall", Side.of(normal(0, 4, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("sliced", Side.of(normal(0, 3, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("fid", Side.of(normal(0, 1, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("kid", Side.of(normal(0, 2, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("fid-infinity", Side.of(normal(0, 29, 2)), Side.of(normal(0, 9, 2)), UsageError),
        ("fid", Side.of(normal(0, 9, 2)), Side.of(normal(0, 9, 3)), Mismatch),
    ],
)
def test_what_cannot_be_measured_is_refused(name, a, b, kind):
    with pytest.raises(kind):
        list(scores([name], a, b))


def test_a_metric_that_there_is_not_is_refused():
    assert metrics_of("fid, kid,fid") == ["fid", "kid"]
    with pytest.raises(UsageError, match="unknown metric: 'fld'"):
        metrics_of("fld")
    with pytest.raises(UsageError, match="subset_size"):
        choices_of({"subset_size": 1})  # of one image there is no pair: KID would be no number


def test_groups_are_even_and_their_variance_is_that_of_a_mean():
    groups = groups_of(100, 0, "x")
    assert groups.bincount().tolist() == [5] * GROUPS
    x = normal(0, 100)
    found = left_out_variance(torch.stack([x[groups != g].mean() for g in range(GROUPS)]))
    means = torch.stack([x[groups == g].mean() for g in range(GROUPS)])
    assert found == pytest.approx(float(means.var() / GROUPS) * 1.1404, rel=1e-3)
