"""The cheap estimate of the bound: its mean is exact, its error is what it scatters by, and it is cheaper than uniform t."""

import math
from dataclasses import replace

import pytest
import torch

from ddpm.analytic.bound import terms_from_mse
from ddpm.analytic.mixture import gaussian, mixture
from ddpm.analytic.process import Diffused
from ddpm.data.imageset import ImageSet, to_model
from ddpm.diffusion.bound import prior, term
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.diffusion.variance import FixedSmall
from ddpm.evaluation import cheap
from ddpm.evaluation.cheap import PAIRINGS, Target, bound_of, difference_of, estimate, planned, watched
from ddpm.evaluation.rate import in_float64
from ddpm.parallel.world import ALONE, World
from tests.harness.oracles import GaussianData, rough_network

F64, CPU, LEVELS = torch.float64, torch.device("cpu"), 9
SCHEDULES = {"log-snr": lambda: log_snr(40, noise_1=0.1), "linear": lambda: linear(60, 1e-3, 0.3)}
THREE = mixture(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([[-0.8], [0.1], [0.9]]), torch.full((3, 1, 1), 0.02))
DATA = {"gaussian": gaussian(0.25), "mixture": THREE}


def _images(count=12, seed=0):
    """Pictures of 2 x 2 with four grey levels more often than others, and some brighter than others."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 4, (count, 1, 2, 2), generator=random) + torch.randint(
        0, 6, (count, 1, 1, 1), generator=random
    )
    return ImageSet("random", values.to(torch.uint8), LEVELS)


def _process(data="mixture", schedule="log-snr"):
    return Diffused(DATA[data], SCHEDULES[schedule]()).process(FixedSmall(), decoder=discretised(LEVELS))


def _exactly(p, images):
    """Mean and variance over noise of L_{t-1}, (images, T + 1) nats each, L_T as entry 0: by quadrature for each pixel.

    Whatever the network does, it does to each pixel alone: so means and variances add up.
    """
    wide = replace(p, network=in_float64(p.network))
    z = torch.linspace(-8, 8, 401, dtype=F64)
    weight = torch.exp(-0.5 * z**2) / torch.exp(-0.5 * z**2).sum()
    values = to_model(torch.arange(images.levels), images.levels, F64)
    x_0 = values.repeat_interleave(len(z))[:, None]
    mean, var = torch.zeros(2, len(values), p.schedule.T + 1, dtype=F64)
    mean[:, 0] = prior(p.q, values[:, None])
    for t in p.schedule.steps:
        nats = term(wide, x_0, p.q.sample(x_0, t, z.repeat(len(values))[:, None]), t)[0].reshape(-1, len(z))
        mean[:, t] = nats @ weight
        var[:, t] = nats**2 @ weight - mean[:, t] ** 2
    pixels = images.tensor().flatten(1).long()
    return mean[pixels].sum(1), var[pixels].sum(1)


def _bits(nats):
    return float(nats.sum(1).mean()) / (4 * math.log(2))


def _repeat(p, images, evaluations, seeds, pairing="fresh"):
    found = [estimate(bound_of(p), images, seed, evaluations, 512, CPU, pairing) for seed in range(seeds)]
    return tuple(
        torch.tensor([getattr(e, name) for e in found], dtype=F64) for name in ("total", "monte_carlo", "stderr")
    )


def test_the_oracle_agrees_with_the_closed_form():
    """Eq. 5: quadrature pixel by pixel against the bound from mean squared errors, for N(0, v) and a density as decoder."""
    schedule, images = SCHEDULES["linear"](), _images()
    p = GaussianData(0.25).process(schedule, FixedSmall())
    second = float((to_model(images.tensor(), LEVELS, F64) ** 2).mean())
    signal, noise = schedule.alpha_bar, schedule.one_minus_alpha_bar
    k = signal.sqrt() * 0.25 / (signal * 0.25 + noise)
    errors = second * (1 - k * signal.sqrt()) ** 2 + k**2 * noise
    by_t = terms_from_mse(schedule, FixedSmall(), errors, second)
    torch.testing.assert_close(_exactly(p, images)[0].mean(0) / 4, by_t, rtol=1e-5, atol=1e-9)


CASES = [
    ("mixture", "log-snr", 2, "fresh"),
    ("gaussian", "linear", 4, "fresh"),
    ("mixture", "linear", 5, "fresh"),
    ("mixture", "log-snr", 4, "antithetic"),
]


@pytest.mark.parametrize(
    ("data", "schedule", "evaluations", "pairing", "estimates"),
    [
        (*CASES[0], 100),
        *((*case, 25) for case in CASES[1:]),
        *(pytest.param(*case, 100, marks=pytest.mark.long) for case in CASES[1:]),
    ],
)
def test_it_is_unbiased_and_its_error_is_honest(data, schedule, evaluations, pairing, estimates):
    """Of all estimates: their mean is exact, they scatter by what they report, and two reported errors hold 95 % of them.

    What chance leaves shrinks with the square root of their number.
    """
    p, images = _process(data, schedule), _images()
    exact = _bits(_exactly(p, images)[0])
    totals, reported, _ = _repeat(p, images, evaluations, estimates, pairing)
    root = math.sqrt(estimates)
    assert abs(float(totals.mean()) - exact) < 4 * float(totals.std()) / root
    assert float((reported**2).mean().sqrt()) == pytest.approx(float(totals.std()), rel=2.5 / root)
    within = float(((totals - exact).abs() < 2 * reported).double().mean())
    assert 0.95 - 0.7 / root < within < 0.95 + 0.4 / root


@pytest.mark.long
def test_the_error_over_images_is_honest_too():
    """Other images each time: the totals scatter by `stderr`, which the Monte-Carlo part alone would not explain."""
    p = _process()
    found = [estimate(bound_of(p), _images(12, 1000 + seed), seed, 8, 512, CPU) for seed in range(100)]
    totals, stderr, part = torch.tensor([[e.total, e.stderr, e.monte_carlo] for e in found], dtype=F64).T
    assert float((stderr**2).mean().sqrt()) == pytest.approx(float(totals.std()), rel=0.25)
    assert float((part**2).mean().sqrt()) < 0.9 * float(totals.std())


@pytest.mark.parametrize("schedule", [log_snr(250, noise_1=0.1), SCHEDULES["linear"]()], ids=["log-snr", "linear"])
@pytest.mark.parametrize("data", DATA)
def test_it_needs_a_tenth_of_the_evaluations_of_uniform_t(data, schedule):
    """Variances in closed form, for the proposal of each of ten pilots: no luck, and neither strata nor slopes counted."""
    p = Diffused(DATA[data], schedule).process(FixedSmall(), decoder=discretised(LEVELS))
    images = _images()
    mean, var = (moment[:, 1:] for moment in _exactly(p, images))
    T = p.schedule.T
    plain = float((T * (mean**2 + var).sum(1) - mean.sum(1) ** 2).mean())
    for seed in range(10):
        evaluator = cheap._Evaluator(bound_of(p), images, seed, 64, CPU, "fresh", ALONE)
        known, _ = cheap._pilot(evaluator, 0)
        left = mean - known.level[1:]
        assert float(((left**2 + var) / known.q[1:]).sum(1).mean() - (left.sum(1) ** 2).mean()) < plain / 10


@pytest.mark.parametrize(("count", "evaluations", "pilot"), [(40, 8, 32), (7, 3, 28), (1, 2, 32)])
def test_every_image_is_used_equally_often(count, evaluations, pilot):
    """And what is spent is what is said: the pilot is counted, no image is dropped or taken twice to fill a batch."""
    images = ImageSet("distinct", torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1), 64)
    seen = []

    def nats(x_0, t, eps, _rows):
        seen.append(((x_0.flatten() + 1) * 31.5).round().long())
        return t * (2 + eps.flatten())

    target = Target(9, 1, lambda x_0: torch.zeros(len(x_0), dtype=F64), nats)
    told = []
    found = estimate(watched(target, told.append), images, 0, evaluations, 3, CPU)
    assert sum(told) == found.evaluations == planned(count, evaluations, 3, CPU)
    shares = [planned(count, evaluations, 3, CPU, World(rank, 4)) for rank in range(4)]
    assert sum(shares) == found.evaluations
    assert shares[0] == max(shares)
    used = torch.bincount(torch.cat(seen), minlength=count)
    assert int(used.sum()) == found.evaluations == count * evaluations + pilot
    assert int(used.min()) >= evaluations
    assert int(used.max()) <= evaluations + math.ceil(pilot / count)


def test_the_batch_size_does_not_matter_but_the_seed_does():
    p = ReverseProcess(rough_network, linear(30, 1e-3, 0.4), decoder=discretised(LEVELS))
    first = estimate(bound_of(p), _images(), 0, 5, 24, CPU)
    again = estimate(bound_of(p), _images(), 0, 5, 7, CPU)
    assert (again.total, again.stderr, again.monte_carlo) == pytest.approx(
        (first.total, first.stderr, first.monte_carlo), rel=1e-5
    )
    assert estimate(bound_of(p), _images(), 1, 5, 24, CPU).total != first.total


@pytest.mark.parametrize(("T", "count"), [(1, 30), (2, 2), (3, 1)])
def test_short_chains_and_few_images(T, count):
    p = ReverseProcess(rough_network, linear(T, 0.3, 0.9), decoder=discretised(LEVELS))
    exact = _bits(_exactly(p, _images(count))[0])
    totals, reported, stderr = _repeat(p, _images(count), 6, 8)
    assert (stderr >= reported).all()
    assert abs(float(totals.mean()) - exact) < 5 * float((reported**2).mean().sqrt()) / math.sqrt(8)


def test_an_error_needs_two_evaluations():
    with pytest.raises(ValueError, match="2 evaluations"):
        estimate(bound_of(_process()), _images(), 0, 1, 8, CPU)


def test_common_noise_tells_two_networks_apart():
    """The difference is unbiased, and its error a fifth or less of that of two estimates on their own."""
    p, images = _process("mixture"), _images()
    other = replace(p, network=lambda x_t, timestep: 1.03 * p.network(x_t, timestep))
    exact = _bits(_exactly(other, images)[0]) - _bits(_exactly(p, images)[0])
    found = [estimate(difference_of(p, other), images, seed, 4, 64, CPU) for seed in range(24)]
    totals, reported = torch.tensor([[e.total, e.monte_carlo] for e in found], dtype=F64).T
    error = float((reported**2).mean().sqrt())
    assert abs(float(totals.mean()) - exact) < 4 * error / math.sqrt(24)
    assert float(totals.std()) == pytest.approx(error, rel=0.4)
    assert error < 0.2 * math.sqrt(2) * estimate(bound_of(p), images, 0, 4, 64, CPU).monte_carlo
    assert found[0].evaluations == 2 * (12 * 4 + 24)


def test_a_network_does_not_differ_from_itself():
    p = _process()
    found = estimate(difference_of(p, p), _images(), 0, 4, 64, CPU)
    assert (found.total, found.stderr, found.monte_carlo) == (0, 0, 0)
    with pytest.raises(ValueError, match="40 and 60"):
        difference_of(p, _process(schedule="linear"))


def test_antithetic_noise_cancels_what_is_odd():
    """And a fresh pair begins where the last one ended."""
    images = _images(6)
    target = Target(1, 1, lambda x_0: x_0.new_zeros(len(x_0)), lambda _x, _t, eps, _rows: 3 + eps.flatten(1).sum(1))
    plain, paired = (estimate(target, images, 0, 4, 8, CPU, name) for name in ("fresh", "antithetic"))
    assert paired.total == pytest.approx(3 / (4 * math.log(2)), rel=1e-12)
    assert paired.monte_carlo < 1e-9 < plain.monte_carlo
    random = torch.Generator().manual_seed(0)
    noise = PAIRINGS["antithetic"](lambda like: torch.randn(like.shape, generator=random))
    first, second, third, fourth = (noise(torch.zeros(2, 3)) for _ in range(4))
    assert torch.equal(second, -first)
    assert torch.equal(fourth, -third)
    assert not torch.equal(third.abs(), first.abs())
