"""T22: interpolation ends at its ends; shared latents are shared."""

import pytest
import torch

from ddpm.diffusion.schedule import linear
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain, run, start
from ddpm.sampling.latent import mix_latents, shared
from tests.harness.oracles import GaussianData

F64 = torch.float64


def _last(steps):
    for step in steps:  # noqa: B007
        pass
    return step


@pytest.fixture
def p():
    return GaussianData(0.25).process(linear(40, 1e-3, 0.3))


def _fixed_noise(seed):
    random = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=random, dtype=like.dtype)


@pytest.mark.parametrize("t", [0, 1, 20, 40])
def test_the_ends_are_the_ends_own_chains(p, t):
    """T22: Lambda = 0 and 1, decoded with the noise of a chain that knows nothing of the other image."""
    a, b = torch.randn(1, 3, dtype=F64), torch.randn(1, 3, dtype=F64)
    mixed = mix_latents(p, a, b, t, [0.0, 0.5, 1.0], _fixed_noise(1))
    random = _fixed_noise(1)
    x_a, x_b = p.q.sample(a, t, random(a)), p.q.sample(b, t, random(b))
    torch.testing.assert_close(mixed[:1], x_a)
    torch.testing.assert_close(mixed[2:], x_b)
    torch.testing.assert_close(mixed[1:2], (x_a + x_b) / 2)
    if t:
        z = torch.randn(t, 1, 3, dtype=F64)
        drawn, alone = iter(z.expand(t, 3, 3)), [iter(z), iter(z)]
        decoded = _last(run(p, start(p, mixed, t), Ancestral(), lambda _: next(drawn))).x
        for row, x_t, noise in ((0, x_a, alone[0]), (2, x_b, alone[1])):
            expected = _last(run(p, start(p, x_t, t), Ancestral(), lambda _, n=noise: next(n))).x
            torch.testing.assert_close(decoded[row : row + 1], expected)


def test_at_zero_pixels_are_mixed(p):
    a, b = torch.randn(1, 3), torch.randn(1, 3)
    torch.testing.assert_close(mix_latents(p, a, b, 0, [0.25], torch.randn_like), 0.75 * a + 0.25 * b)


def test_halfway_has_half_the_noise(p):
    """E80: the published mixture of independent noises has variance (lambda^2 + (1-lambda)^2)(1 - alpha_bar)."""
    zero = torch.zeros(1, 100_000)
    mixed = mix_latents(p, zero, zero, 20, [0.5], torch.randn_like)
    assert float(mixed.var()) == pytest.approx(0.5 * float(p.schedule.one_minus_alpha_bar[20]), rel=0.03)


def test_shared_latents(p):
    """E78: all copies leave from one x_t, and differ after it; the way to x_t is the chain's own."""
    x_T = torch.randn(2, 3, dtype=F64)
    x_t, steps = shared(p, x_T, 10, 5, Ancestral(), _fixed_noise(3))
    reached = next(step for step in chain(p, x_T, Ancestral(), _fixed_noise(3)) if step.t == 10)
    assert torch.equal(x_t, reached.x)
    last = _last(steps)
    assert last.t == 0
    assert last.x.shape == (10, 3)
    assert (last.x[0] != last.x[1]).all()
    near = (last.x.reshape(2, 5, 3) - last.x.reshape(2, 5, 3).mean(1, keepdim=True)).std()
    assert near < last.x.std()
