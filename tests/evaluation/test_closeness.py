"""Closer than chance: the search is the plain one, copies are found, fresh draws are not, and the chances are those that are told."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, hypergeom

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import UsageError
from ddpm.evaluation import closeness
from ddpm.evaluation.closeness import Nearest, alike, clopper_pearson, distinct, featured, judged, pixels, search


def some_images(count, seed=0, side=5):
    values = torch.randint(0, 17, (count, 1, side, side), generator=torch.Generator().manual_seed(seed))
    return ImageSet("some", values.to(torch.uint8), 17)


def found_by(samples, held_out, train, mirrors=1, features=pixels):
    """All of it."""
    both = torch.cat([featured(samples, features), featured(held_out, features)])
    *_, found = search(both, train, features, mirrors=mirrors)
    n = len(samples)
    return judged(found.take(slice(0, n)), found.take(slice(n, None)), len(train), mirrors)


@pytest.mark.parametrize("mirrors", [1, 2])
@pytest.mark.parametrize("block", [2**25, 900])
def test_the_search_is_the_plain_one(monkeypatch, mirrors, block):
    """Whatever the blocks; and a distance of pixels is the RMSE on 0..255."""
    monkeypatch.setattr(closeness, "BLOCK", block)
    a, train = some_images(7), some_images(61, seed=1)
    *states, found = search(featured(a), train, mirrors=mirrors)
    assert (len(states) > 5) == (block == 900)
    assert closeness.blocks(train, 25) == len(states) + 1
    x, y = (images.tensor().double() * 255 / 16 for images in (a, train))
    plain = (x[:, None] - y).square().mean((2, 3, 4)).sqrt()
    if mirrors == 2:
        plain = torch.minimum(plain, (x[:, None] - y.flip(-1)).square().mean((2, 3, 4)).sqrt())
    expected, rows = plain.sort(1)
    torch.testing.assert_close(found.nearest, expected[:, :50], rtol=1e-6, atol=0)
    assert torch.equal(found.rows, rows[:, 0])
    assert bool(found.mirrored.any()) == (mirrors == 2)
    torch.testing.assert_close(found.ratio, expected[:, 0] / expected[:, :50].mean(1), rtol=1e-6, atol=0)


def test_a_copy_is_at_no_distance():
    train = some_images(30)
    *_, found = search(featured(train), train)
    assert torch.equal(found.rows, torch.arange(30))
    assert bool((found.distance == 0).all())
    *_, same = search(torch.zeros(2, 25), ImageSet("black", torch.zeros(3, 1, 5, 5, dtype=torch.uint8), 17))
    assert same.ratio.tolist() == [0, 0]


def with_ratios(ratios):
    """A nearest image of which only the ratio is of interest."""
    ratios = torch.as_tensor(ratios, dtype=torch.float64)
    nearest = torch.stack([ratios, 2 - ratios], 1)  # their mean is 1
    return Nearest(torch.zeros(len(ratios), dtype=torch.int64), torch.zeros(len(ratios), dtype=torch.bool), nearest)


@pytest.mark.parametrize(("m", "rate", "rank"), [(19, 0.05, 1), (98, 0.05, 4), (99, 0.01, 1), (300, 0.01, 3)])
def test_the_rate_that_held_out_images_allow(m, rate, rank):
    found = judged(with_ratios([0.5]), with_ratios(torch.rand(m)), 10, 1)
    assert (found.rate, found.rank) == (rate, rank)
    assert found.expected == pytest.approx(rank / (m + 1))


def test_too_few_held_out_images():
    with pytest.raises(UsageError, match="at least 19 held-out images that differ from each other, not 18"):
        judged(with_ratios([0.5]), with_ratios(torch.rand(18)), 10, 1)


def test_held_out_images_that_are_all_as_close_are_no_sample():
    """Such as images of one pixel each: the threshold would be that one ratio, and every sample below it a copy."""
    for spread in (0.0, 1e-8):
        with pytest.raises(
            UsageError, match=r"all 30 held-out images are equally close .* \(0\.900\): they are no sample"
        ):
            judged(with_ratios([0.5] * 20), with_ratios(0.9 + spread * torch.rand(30)), 10, 1)
    assert judged(with_ratios([0.5] * 20), with_ratios(0.9 + 1e-3 * torch.rand(30)), 10, 1).count == 20


@pytest.mark.parametrize("block", [2**25, 900])
def test_an_image_that_is_there_twice_is_kept_once(monkeypatch, block):
    monkeypatch.setattr(closeness, "BLOCK", block)
    some = some_images(30)
    rows = torch.tensor([4, 4, 0, 7, 4, 0, 29])
    assert distinct(some.take(rows)).tolist() == [0, 2, 3, 6]
    assert torch.equal(distinct(some), torch.arange(30))


@pytest.mark.parametrize("training", [1, 9])
def test_too_few_training_images(training):
    """Of one alone every ratio is 1, whether it is copied or not."""
    with pytest.raises(UsageError, match=f"at least 10 of them, not {training}") as refused:
        judged(with_ratios([0.5]), with_ratios(torch.rand(99)), training, 1)
    assert refused.value.hints
    assert judged(with_ratios([0.5]), with_ratios(torch.rand(99)), 10, 1).training == 10


def rows_alike(held_out, shown, seed=0):
    names = [f"number {one}" for one in range(10)]
    random = torch.Generator().manual_seed(seed)
    return alike(torch.as_tensor(held_out), torch.as_tensor(shown), names, random)


def test_held_out_images_have_the_classes_of_the_samples():
    """As many as there can be: of one class those alone, of several each with its share, chosen at random."""
    held_out = torch.tensor([3] * 50 + [5] * 200 + [-1] * 9 + [7] * 80)
    one = rows_alike(held_out, [5] * 7)
    assert torch.equal(one, torch.arange(50, 250))
    several = rows_alike(held_out, [3, 5, 7, 5])
    assert held_out[several].bincount().tolist() == [0, 0, 0, 50, 0, 100, 0, 50]
    assert bool((several.diff() > 0).all())
    assert not torch.equal(several, rows_alike(held_out, [3, 5, 7, 5], seed=1))
    with pytest.raises(
        UsageError, match=r"9 of the class 'number 3' leave 18 to compare with, and at least 19"
    ) as refused:
        rows_alike([3] * 9 + [5] * 100, [3, 5])
    assert "`label`" in refused.value.hints[0]
    with pytest.raises(UsageError, match=r"0 of the class 'number 4' leave 0"):
        rows_alike(held_out, [3, 4])


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.5, 0.5)])
def test_samples_of_classes_are_accused_no_more_often_than_told(shares):
    """Close pairs are frequent in the first class, of which a tenth of the held-out images are: unmatched, chance is accused."""
    random = np.random.default_rng(0)

    def ratios(classes):
        return np.where(classes == 0, random.beta(2, 6, len(classes)), random.beta(6, 2, len(classes)))

    shown = np.repeat([0, 1], [int(100 * share) for share in shares])
    small = {"alike": 0, "all": 0}
    for trial in range(200):
        held_out = (random.random(600) > 0.1).astype(np.int64)
        near, of_samples = ratios(held_out), with_ratios(ratios(shown))
        rows = rows_alike(held_out, shown, trial)
        small["alike"] += judged(of_samples, with_ratios(near[rows.numpy()]), 10, 1).p_value <= 0.05
        small["all"] += judged(of_samples, with_ratios(near), 10, 1).p_value <= 0.05
    assert small["alike"] <= binom.ppf(0.9999, 200, 0.05)
    assert small["all"] > 100


def test_the_p_value_is_that_of_the_common_order():
    """Counted: of all orders of N samples and m held-out images, in how many so many samples are below the r-th held-out one."""
    N, m, r = 12, 120, 1
    ratios = torch.linspace(0.1, 0.9, m)
    for count in range(4):
        samples = [0.01 * (i + 1) if i < count else 0.95 for i in range(N)]
        found = judged(with_ratios(samples), with_ratios(ratios), 10, 1)
        assert (found.count, found.rank) == (count, r)
        # at least `count` samples before the r-th held-out image: fewer than r held-out ones among the first count + r - 1
        exact = hypergeom(N + m, m, count + r - 1).cdf(r - 1)
        assert found.p_value == pytest.approx(exact, rel=1e-9)
    all_of_them = judged(with_ratios([0.01] * 300), with_ratios(torch.linspace(0.1, 0.9, 300)), 10, 1)
    assert all_of_them.p_value == pytest.approx(
        math.comb(302, 2) / math.comb(600, 300), rel=1e-6
    )  # the last of 3 after all
    assert found.p_values[0] == pytest.approx(1 / (m + 1))
    assert found.p_values[-1] == pytest.approx(1)


def test_fresh_draws_are_not_suspected_more_often_than_told():
    """Over 400 trials, of any distribution: the share at the rate, and no more small p-values than there should be."""
    random = np.random.default_rng(0)
    found = [judged(*(with_ratios(random.beta(5, 3, n)) for n in (100, 199)), 10, 1) for _ in range(400)]
    share = np.mean([one.share for one in found])
    rank_share = 2 / 200
    error = np.std([one.share for one in found]) / math.sqrt(len(found))
    assert abs(share - rank_share) < 4 * error
    for level in (0.2, 0.05, 0.01):
        small = sum(one.p_value <= level for one in found)
        assert small <= binom.ppf(0.9999, len(found), level)
    assert sum(one.p_value <= 0.2 for one in found) > 20  # it is a test: its p-values are small now and then


def test_the_interval_covers():
    for p in (0.01, 0.2, 0.97):
        covered = sum(
            binom.pmf(k, 80, p) for k in range(81) if clopper_pearson(k, 80)[0] <= p <= clopper_pearson(k, 80)[1]
        )
        assert 0.95 <= covered < 1
    assert clopper_pearson(0, 80)[0] == 0
    assert clopper_pearson(80, 80)[1] == 1


@pytest.fixture(scope="module")
def digits():
    """A training set, held-out images, and fresh ones in the place of samples."""
    train, rest = open_source("digits", "train"), open_source("digits", "test")
    order = torch.randperm(1497, generator=torch.Generator().manual_seed(0))
    return train.take(order[:1297]), rest, train.take(order[1297:])


def noisy(images, seed=0):
    """Copies that are off by a level or two here and there, as a network's are."""
    off = torch.randint(-1, 2, tuple(images.images.shape), generator=torch.Generator().manual_seed(seed))
    return ImageSet("copies", (images.tensor().int() + off).clamp(0, 16).to(torch.uint8), 17)


def test_copies_are_found_and_fresh_digits_are_not(digits):
    train, held_out, fresh = digits
    none = found_by(fresh, held_out, train)
    assert not none.closer
    assert none.p_value > 0.05
    a_tenth = ImageSet("mixed", torch.cat([noisy(train).tensor()[:20], fresh.tensor()[:180]]), 17)
    some = found_by(a_tenth, held_out, train)
    assert some.closer
    assert some.interval[0] < 0.1 < some.interval[1] + 0.02
    assert some.worst(20).sort().values.tolist() == list(range(20))
    assert torch.equal(some.samples.rows[:20], torch.arange(20))


def test_blurred_images_are_near_to_all_and_copies_of_none(digits):
    """By the distance alone they would be suspected: they are nearer to the training images than any held-out image is."""
    train, held_out, fresh = digits
    real = train.tensor().double()
    near = torch.cdist(fresh.tensor().double().flatten(1), real.flatten(1)).topk(10, largest=False).indices
    blurred = real[near].mean(1).round().to(torch.uint8)
    found = found_by(ImageSet("blurred", blurred, 17), held_out, train)
    nearer = found.samples.distance < found.held_out.distance.quantile(0.01)
    assert float(nearer.double().mean()) > 0.15
    assert not found.closer


def test_mirrored_copies_count_where_training_mirrored(digits):
    train, held_out, _ = digits
    copies = ImageSet("mirrored", noisy(train.take(torch.arange(40))).tensor().flip(-1), 17)
    assert found_by(copies, held_out, train).share < 0.5
    found = found_by(copies, held_out, train, mirrors=2)
    assert found.share > 0.9
    assert torch.equal(found.samples.rows, torch.arange(40))
    assert int(found.samples.mirrored.sum()) > 30


def test_features_of_any_kind(digits):
    train, held_out, fresh = digits
    project = torch.randn(64, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def features(values, levels):
        return pixels(values, levels) @ project

    assert not found_by(fresh, held_out, train, features=features).closer
    assert found_by(noisy(train.take(torch.arange(50))), held_out, train, features=features).closer


def test_images_that_were_trained_on_judge_nothing(digits):
    train, _, fresh = digits
    with pytest.raises(
        UsageError, match="200 of 200 images that should be held out are among the training images"
    ) as refused:
        found_by(fresh, train.take(torch.arange(200)), train)
    assert "`split=test`" in refused.value.hints[0]
