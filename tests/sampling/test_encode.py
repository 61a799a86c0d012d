"""DDIM upwards: where it comes back to, how fast the error falls, and what an arc between two latents keeps."""

import math
from itertools import pairwise

import pytest
import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.sampling import DDIM
from ddpm.sampling.chain import run, start
from ddpm.sampling.encode import encode
from ddpm.sampling.latent import arc, slerp
from tests.harness.oracles import GaussianData, rough_network

F64 = torch.float64
IMAGES = torch.tensor([[0.3], [1.0], [-2.0]], dtype=F64)


def _last(steps):
    for step in steps:  # noqa: B007
        pass
    return step


def _gaussian(T):
    """N(0, 1/4), with the exact denoiser."""
    return GaussianData(0.25).process(log_snr(T, noise_1=0.1, log_snr_T=-6.0))


def _there_and_back(T, iterations, first):
    """The error at x_first, after the way up to x_T and down again."""
    p = _gaussian(T)
    top = _last(encode(p, start(p, IMAGES, first), T, iterations))
    return float((next(s for s in run(p, top, DDIM()) if s.t == first).x - IMAGES).abs().max())


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_each_estimate_gains_an_order(iterations):
    """From x_1, so that all steps shrink: twice as many divide the error by 2, by 4, by 8."""
    errors = [_there_and_back(T, iterations, 1) for T in (41, 81, 161)]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert found == pytest.approx([iterations] * 2, rel=0.08)


def test_many_estimates_invert_ddim():
    """To rounding, even in 20 steps and from x_0: the fixed point is DDIM's own step."""
    assert _there_and_back(20, 1, 0) > 0.1
    assert _there_and_back(20, 30, 0) < 1e-10


def test_they_invert_a_clamped_network_too():
    """Where the estimate of x_0 is limited, epsilon is the one that belongs to it, up and down."""
    p = ReverseProcess(rough_network, linear(20, 1e-3, 0.4))
    x_5 = 2 * torch.randn(4, 3, dtype=F64)
    top = _last(encode(p, start(p, x_5, 5), 20, 30))
    assert bool((top.x_0.abs() == 1).any())
    torch.testing.assert_close(next(s for s in run(p, top, DDIM()) if s.t == 5).x, x_5, rtol=1e-8, atol=1e-8)


def test_the_latents_of_gaussian_data_are_standard():
    """The flow takes N(0, 1/4) to N(0, 1): from x_1 nearer by half each time the steps are halved, within 1% at the end."""
    off = []
    for T in (50, 100, 200):
        p = _gaussian(T)
        a_T, s_1 = p.schedule.alpha_bar[T], p.schedule.one_minus_alpha_bar[1]
        x_1 = ((1 - s_1) * 0.25 + s_1).sqrt().reshape(1, 1)
        x_T = float(_last(encode(p, start(p, x_1, 1), T)).x)
        off.append(abs(x_T**2 - float(1 - 0.75 * a_T)))
    assert off[0] > 1.8 * off[1] > 3.4 * off[2]
    assert abs(x_T**2 - 1) < 0.03


def test_it_can_be_split_anywhere():
    p = ReverseProcess(rough_network, linear(10, 1e-2, 0.6))
    begin = start(p, torch.randn(2, 3), 0)
    steps = list(encode(p, begin, 7))
    assert [(step.t, step.made) for step in steps] == [(t, t) for t in range(1, 8)]
    assert torch.equal(_last(encode(p, steps[3], 7)).x, steps[-1].x)
    assert list(encode(p, steps[3], 4)) == []


def test_where_it_cannot_go():
    p = ReverseProcess(rough_network, linear(10, 1e-2, 0.6))
    begin = start(p, torch.randn(2, 3), 5)
    for t in (4, 11):
        with pytest.raises(ValueError, match=f"got {t}"):
            encode(p, begin, t)
    with pytest.raises(ValueError, match="at least 1"):
        encode(p, begin, 7, 0)


@pytest.mark.parametrize("t", [0, 1, 20, 40])
def test_the_ends_of_an_arc_are_its_ends(t):
    p = _gaussian(40)
    x_0, x_t = torch.randn(2, 3, 4, dtype=F64), torch.randn(2, 3, 4, dtype=F64)
    x_t = x_t if t else x_0
    mixed = arc(p, x_0, x_t, t, [0.0, 0.25, 1.0])
    torch.testing.assert_close(mixed[[0, 2]], x_t)
    if t == 0:
        torch.testing.assert_close(mixed[1], 0.75 * x_0[0] + 0.25 * x_0[1])


@pytest.mark.parametrize("t", [1, 20, 40])
def test_two_draws_of_q_mix_to_a_draw_of_q(t):
    """Mean and variance of q(x_t|x_0) for every lambda, where a line halves the variance and an arc of all brightens the mean."""
    p, count = _gaussian(40), 200_000
    x_0 = torch.full((2, count), 0.8, dtype=F64)
    x_t = p.q.sample(x_0, t, torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0), dtype=F64))
    expected, mixed = p.q.marginal(x_0[:1], t), arc(p, x_0, x_t, t, [0.3, 0.5])
    variance = float(expected.var)
    for row in mixed:
        assert float(row.mean() - expected.mean.mean()) == pytest.approx(0, abs=4 * (variance / count) ** 0.5)
        assert float(row.var()) == pytest.approx(variance, rel=4 * (2 / count) ** 0.5)


def test_an_arc_keeps_the_length_and_the_pace():
    """Shoemake's: unit vectors stay so, and equal fractions are equal angles; parallel vectors are no exception."""
    a, b = torch.tensor([[1.0, 0, 0]], dtype=F64), torch.tensor([[-0.6, 0.8, 0]], dtype=F64)
    weights = torch.linspace(0, 1, 5, dtype=F64).reshape(-1, 1)
    along = slerp(a, b, weights)
    torch.testing.assert_close(along.norm(dim=1), torch.ones(5, dtype=F64))
    angles = torch.acos((along[1:] * along[:-1]).sum(1))
    torch.testing.assert_close(angles, angles[:1].expand(4))
    torch.testing.assert_close(slerp(a, 3 * a, weights), (1 + 2 * weights) * a)
