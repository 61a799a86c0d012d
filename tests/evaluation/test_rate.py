"""The bound over a data set: every image once, no dependence on the batch, and against an exact value."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.diffusion.bound import terms
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.diffusion.variance import FixedSmall, Optimal, beta_1
from ddpm.evaluation.rate import Measured, batches_of, in_float64, measure, summarise
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.tensors import at
from tests.harness.oracles import rough_network

CPU = torch.device("cpu")


def _images(count=10, levels=17, shape=(1, 3, 4)):
    random = torch.Generator().manual_seed(0)
    return ImageSet("random", torch.randint(0, levels, (count, *shape), generator=random, dtype=torch.uint8), levels)


@pytest.fixture
def p():
    return ReverseProcess(rough_network, linear(30, 1e-3, 0.4), decoder=discretised(17))


def _bound(p, images, batch_size, seed=0):
    found = measure(p, images, seed, batch_size, CPU)
    return summarise(found, p.schedule, len(images), math.prod(images.shape))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_batch_size_changes_no_bit(precision):
    """README: of a U-Net, whose matrix products round otherwise in other batches; sides that fill no register by themselves."""
    torch.manual_seed(0)
    network = in_precision(_unet(), precision, CPU)
    p, images = ReverseProcess(network, linear(4, 1e-3, 0.4), decoder=discretised(17)), _images(37, shape=(1, 6, 6))
    whole, *others = [_bound(p, images, size) for size in (64, 1, 7, 16, 20, 37)]
    for found in others:
        assert found.total == whole.total
        for name in ("per_image", "by_t", "mse_x_0"):
            assert torch.equal(getattr(found, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(37, 20, [16, 16, 5]), (37, 100, [32, 5]), (3, 1, [3]), (32, 1, [16, 16])]
)
def test_batches_are_of_multiples_of_16_and_what_is_left_over(count, batch_size, sizes):
    found = batches_of(count, batch_size, CPU)
    assert [len(rows) for rows in found] == sizes
    assert torch.cat(found).tolist() == list(range(count))
    asked = batches_of(count, batch_size, torch.device("cuda"))  # it rounds otherwise in any batch: what is asked for
    assert [len(rows) for rows in asked[:-1]] == [batch_size] * (len(asked) - 1)
    assert torch.cat(asked).tolist() == list(range(count))


def _unet():
    """Small, and with weights that say something."""
    network = UNet(UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4), 1, 1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def test_a_network_of_float64_is_scored_in_float64():
    """Its bound is near that of the same weights in float32, and sees what float32 cannot; no weight is changed."""
    torch.manual_seed(0)
    narrow = _unet()
    wide = deepcopy(narrow).double()
    images, kept = _images(3, shape=(1, 8, 8)), {name: w.clone() for name, w in wide.state_dict().items()}
    found = [
        _bound(ReverseProcess(n, linear(8, 1e-3, 0.4), decoder=discretised(17)), images, 3) for n in (narrow, wide)
    ]
    assert found[1].total == pytest.approx(found[0].total, abs=1e-5)
    parts = _bound(ReverseProcess(wide, linear(8, 1e-3, 0.4), decoder=discretised(17)), images, 1)
    torch.testing.assert_close(parts.per_image, found[1].per_image, rtol=1e-12, atol=0)
    assert all(torch.equal(w, kept[name]) for name, w in wide.state_dict().items())


def test_it_is_the_sum_of_the_terms(p):
    """Against `bound.terms` on each image alone, in bits for each of 12 coordinates; stderr over images."""
    from ddpm.seeds import NoiseForEach, generator

    images = _images()
    wide = replace(p, network=in_float64(rough_network))
    totals = []
    for i in range(10):
        x_0 = images.images[i : i + 1].double() / 8 - 1
        noise = NoiseForEach([generator(0, "bound", i)])
        totals.append(sum(float(term.nats) for term in terms(wide, x_0, noise)) / (12 * math.log(2)))
    bound = _bound(p, images, 4)
    assert bound.per_image.tolist() == pytest.approx(totals, rel=1e-9)
    assert bound.total == pytest.approx(np.mean(totals), rel=1e-9)
    assert bound.stderr == pytest.approx(np.std(totals, ddof=1) / math.sqrt(10), rel=1e-9)
    assert float(bound.by_t.sum()) == pytest.approx(bound.total, rel=1e-9)
    assert (bound.images, bound.dims, bound.T) == (10, 12, 30)


def test_the_rate_distortion_curve_adds_up(p):
    """Algorithms 3 and 4, what is sent and what is shown: R(T) = L_T, R(1) + L_0 = L; the rate only grows."""
    bound = _bound(p, _images(), 10)
    curve = bound.rate_distortion()
    assert [t for t, _, _ in curve] == list(range(30, 0, -1))
    assert curve[0][1] == pytest.approx(float(bound.by_t[0]))
    assert curve[-1][1] + float(bound.by_t[1]) == pytest.approx(bound.total)
    rates = [rate for _, rate, _ in curve]
    assert rates == sorted(rates)
    assert curve[0][2] == pytest.approx(127.5 * math.sqrt(float(bound.mse_x_0[30])))


def test_an_image_counts_exactly_once(p):
    found = list(measure(p, _images(), 0, 10, CPU))
    with pytest.raises(ValueError, match="twice"):
        summarise([*found, found[3]], p.schedule, 10, 12)
    with pytest.raises(ValueError, match="left out"):
        summarise(found[:-1], p.schedule, 10, 12)
    half = [Measured(m.rows[:5], m.t, m.nats[:5], m.mse_x_0[:5]) for m in found]
    with pytest.raises(ValueError, match="left out"):
        summarise(half, p.schedule, 10, 12)


@pytest.mark.parametrize(("T", "gap"), [(30, 0.6), (100, 0.17), (300, 0.06)])
def test_a_known_distribution_is_coded_in_its_entropy(T, gap):
    """Pixels of four levels with known frequencies and their exact denoiser: L falls to H, from above, like 1/T."""
    levels, probability = 4, torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    schedule = log_snr(T, noise_1=0.06, log_snr_T=-9.0)
    values = 2 * torch.arange(levels, dtype=torch.float64) / (levels - 1) - 1

    def denoiser(x_t, timestep):
        signal = at(schedule.alpha_bar, timestep + 1, x_t.double()).unsqueeze(-1)
        noise = at(schedule.one_minus_alpha_bar, timestep + 1, x_t.double()).unsqueeze(-1)
        score = -0.5 * (x_t.double().unsqueeze(-1) - signal.sqrt() * values) ** 2 / noise + probability.log()
        return (score.softmax(-1) * values).sum(-1).to(x_t.dtype)

    random = torch.Generator().manual_seed(0)
    pixels = torch.multinomial(probability, 400 * 16, replacement=True, generator=random)
    images = ImageSet("known", pixels.reshape(400, 1, 4, 4).to(torch.uint8), levels)
    entropy = -float(probability[pixels].log2().mean())
    p = ReverseProcess(denoiser, schedule, X0(), FixedSmall(beta_1), decoder=discretised(levels))
    small = _bound(p, images, 400)
    optimal = _bound(replace(p, variance=Optimal(small.mse_x_0)), images, 400)
    assert entropy < small.total < entropy + gap
    assert entropy < optimal.total < small.total
