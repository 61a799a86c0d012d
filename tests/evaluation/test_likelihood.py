"""Three likelihoods over a data set: against known ones, side by side, and whatever the batch size."""

import math
from dataclasses import replace

import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.diffusion.bound import terms
from ddpm.diffusion.decoder import discretised, log_density
from ddpm.diffusion.estimators import estimates, importance_weighted
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import cosine, linear, log_snr
from ddpm.diffusion.variance import FixedSmall, Optimal, beta_1
from ddpm.evaluation.likelihood import by_flow, exact_trace, flow_nats, hutchinson, log_ratios, weighted
from ddpm.evaluation.rate import measure, summarise
from ddpm.seeds import generator
from tests.harness.oracles import GaussianData, rough_network

CPU, F64 = torch.device("cpu"), torch.float64


def _images(count=6, levels=17, shape=(1, 2, 3)):
    random = torch.Generator().manual_seed(0)
    return ImageSet("random", torch.randint(0, levels, (count, *shape), generator=random, dtype=torch.uint8), levels)


def _noise(seed):
    random = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=random, dtype=like.dtype)


@pytest.fixture
def p():
    return ReverseProcess(rough_network, linear(30, 1e-3, 0.4), decoder=discretised(17))


def _weighted(p, images, draws, batch_size=64, seed=0):
    return weighted(log_ratios(p, images, draws, seed, batch_size, CPU), images, draws, p.schedule.T)


def _flow(p, images, vectors, batch_size=64, seed=0, tolerance=1e-4):
    return by_flow(flow_nats(p, images, vectors, tolerance, seed, batch_size, CPU), images)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_the_batch_size_does_not_matter(p, batch_size):
    images = _images(3)
    torch.testing.assert_close(
        _weighted(p, images, 3, batch_size).per_image, _weighted(p, images, 3).per_image, rtol=1e-6, atol=0
    )
    for vectors in (exact_trace, hutchinson(3, seed=0)):
        torch.testing.assert_close(
            _flow(p, images, vectors, batch_size, tolerance=1e-2).per_image,
            _flow(p, images, vectors, tolerance=1e-2).per_image,
            rtol=1e-5,
            atol=0,
        )


def test_an_image_does_not_depend_on_the_others(p):
    images = _images()
    last = replace(images, images=images.tensor().flip(0))
    for score in (lambda data: _weighted(p, data, 2), lambda data: _flow(p, data, exact_trace, seed=3)):
        assert not torch.allclose(score(images).per_image, score(last).per_image.flip(0), rtol=1e-6)  # other noise
        first = ImageSet("one", images.images[:1], 17)
        torch.testing.assert_close(score(first).per_image, score(images).per_image[:1], rtol=1e-6, atol=0)


def test_evaluations_and_errors_are_counted(p):
    images = _images()
    found = _weighted(p, images, 4)
    assert found.evaluations == 4 * 30
    assert found.stderr == pytest.approx(float(found.per_image.std()) / math.sqrt(6))
    assert found.total == pytest.approx(float(found.per_image.mean()))
    calls = []

    def counting(x, timestep):
        calls.append(len(x))
        return rough_network(x, timestep)

    found = _flow(replace(p, network=counting), images, exact_trace)
    assert found.evaluations == pytest.approx(sum(calls) / 6)


def test_every_image_counts_once(p):
    images = _images()
    parts = list(log_ratios(p, images, 2, 0, 5, CPU))
    weighted(parts, images, 2, 30)
    whole = list(log_ratios(p, images, 2, 0, 64, CPU))  # one batch: what is left out, all lack
    scored = list(flow_nats(p, images, hutchinson(1, 0), 1e-2, 0, 4, CPU))
    by_flow(scored, images)
    for wrong in (parts[:-1], [*parts, parts[0]], [*parts, *parts], whole[:-1], []):
        with pytest.raises(ValueError, match="left out"):
            weighted(wrong, images, 2, 30)
    for wrong in (scored[1:], [*scored, scored[0]], [*scored, *scored], []):
        with pytest.raises(ValueError, match="left out"):
            by_flow(wrong, images)


def test_the_weighted_bound_is_the_log_of_a_mean():
    """Against the definition, where weights can be written out, and where only their logarithms can."""
    weights = torch.tensor([[0.5, 2.0, 0.1], [3.0, 3.0, 3.0]], dtype=F64)
    torch.testing.assert_close(importance_weighted(weights.log()), -weights.mean(1).log())
    torch.testing.assert_close(importance_weighted(weights.log() - 2000), 2000 - weights.mean(1).log())


def test_one_draw_is_the_bound_and_more_are_less():
    """Eq. 3: over 4,000 copies of one image, K = 1 has the bound's mean; K = 2, 8, 32 fall, by more than their error."""
    p = ReverseProcess(rough_network, linear(6, 0.05, 0.9), decoder=discretised(17))
    x_0 = (_images(1, shape=(1, 1, 2)).tensor().double() / 8 - 1).repeat(4000, 1, 1, 1)
    bound = sum(term.nats for term in terms(p, x_0, _noise(1)))
    copies = x_0.repeat_interleave(32, 0)
    nats = sum(nats for _, nats in estimates(p, copies, "log-ratio", "trajectory", _noise(0)))
    log_w = -nats.reshape(4000, 32)
    found = {}
    for K in (1, 2, 8, 32):
        nats = importance_weighted(log_w[:, :K])
        found[K] = float(nats.mean()), float(nats.std()) / math.sqrt(4000)
    assert abs(found[1][0] - float(bound.mean())) < 4 * math.hypot(found[1][1], float(bound.std()) / math.sqrt(4000))
    for more, fewer in ((2, 1), (8, 2), (32, 8)):
        assert found[more][0] < found[fewer][0] - 2 * math.hypot(found[more][1], found[fewer][1])


def _real_time(estimate, schedule):
    """E[x_0|x_t] = estimate(x, a, s), told a real timestep: the angle of noise and signal lies on a line between the steps'."""
    angles = torch.atan2(schedule.one_minus_alpha_bar.sqrt(), schedule.alpha_bar.sqrt())

    def network(x, timestep):
        t = (timestep.double() + 1).clamp(1, schedule.T)
        low = t.floor().long().clamp(max=schedule.T - 1)
        angle = (angles[low] + (t - low) * (angles[low + 1] - angles[low])).reshape(-1, *[1] * (x.ndim - 1))
        return estimate(x.double(), angle.cos(), angle.sin()).to(x)

    return network


@pytest.mark.parametrize("make", [linear, cosine], ids=["linear", "cosine"])
def test_all_three_are_exact_for_gaussian_data(make):
    """N(0, 1/4), the optimal variance: p_theta is the true reverse kernel, so each is -log p(x_0), up to what x_T keeps.

    The weights have no variance: K = 1 and K = 4 are one number.
    """
    v, schedule = 0.25, make(100, **({"beta_1": 1e-3, "beta_T": 0.2} if make is linear else {}))
    network = _real_time(lambda x, a, s: a * v / (a**2 * v + s**2) * x, schedule)
    p = ReverseProcess(network, schedule, X0(), Optimal(GaussianData(v).mse_x_0(schedule)), unlimited, log_density)
    images = _images(3)
    x_0 = images.tensor().double() / 8 - 1
    exact = -Gaussian(torch.zeros((), dtype=F64), torch.tensor(v, dtype=F64).log()).log_prob(x_0)
    bits = exact.flatten(1).mean(1) / math.log(2)
    one, four = _weighted(p, images, 1).per_image, _weighted(p, images, 4).per_image
    torch.testing.assert_close(one, four, rtol=0, atol=2e-4)
    torch.testing.assert_close(four, bits, rtol=0, atol=2e-4)
    torch.testing.assert_close(_flow(p, images, exact_trace).per_image, bits, rtol=0, atol=1e-3)
    bound = summarise(measure(p, images, 0, 3, CPU), schedule, 3, 6)
    assert abs(bound.total - float(bits.mean())) < 4 * bound.stderr + 1e-3


def test_all_three_agree_on_discrete_data():
    """Pixels of four levels with known frequencies, -log p known for each: what each of the three is above it.

    Where x_1 tells the level, the flow costs nothing but the error of its steps. The bound is above by the cost of T steps
    (which the test of `rate` shows to fall like 1/T), the weighted bound by less of it.
    """
    levels, probability = 4, torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=F64)
    schedule, values = log_snr(100, noise_1=0.06, log_snr_T=-9.0), torch.linspace(-1, 1, 4, dtype=F64)

    def estimate(x, a, s):
        log_joint = probability.log() - 0.5 * ((x - a * values) / s) ** 2
        return (log_joint.softmax(-1) * values).sum(-1, keepdim=True)

    p = ReverseProcess(
        _real_time(estimate, schedule), schedule, X0(), FixedSmall(beta_1), unlimited, discretised(levels)
    )
    pixels = torch.multinomial(probability, 12, replacement=True, generator=generator(0))
    images = ImageSet("known", pixels.reshape(12, 1, 1, 1).to(torch.uint8), levels)
    exact = -probability[pixels].log2()

    def above(per_image):
        return float((per_image - exact).mean()), float((per_image - exact).std()) / math.sqrt(12)

    bound = above(summarise(measure(p, images, 0, 12, CPU), schedule, 12, 1).per_image)
    many = above(_weighted(p, images, 16, 200).per_image)
    flow = above(_flow(p, images, exact_trace).per_image)
    assert abs(flow[0]) < 4 * flow[1] + 2e-3
    assert abs(many[0]) < 4 * many[1] + 0.05
    assert -4 * bound[1] < bound[0] < 4 * bound[1] + 0.17
    assert flow[1] < 0.02
    assert many[1] < 0.1
