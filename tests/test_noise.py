"""Noise is an argument: a function or a generator, at every public door, and nothing touches the global generator."""

import pytest
import torch

from ddpm.diffusion.bound import terms
from ddpm.diffusion.estimators import COUPLINGS, estimates
from ddpm.diffusion.flow import basis, nats
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.sampling import SAMPLERS, Ancestral
from ddpm.sampling.chain import chain, run, start
from ddpm.sampling.latent import mix_latents, shared
from ddpm.tensors import noise_from
from tests.harness.oracles import rough_network

X = (2 * torch.linspace(0, 255, 12).round() / 255 - 1).reshape(2, 6)  # on the levels of images


def _random(seed=3):
    return torch.Generator().manual_seed(seed)


def _process():
    return ReverseProcess(rough_network, linear(6, 0.05, 0.6))


def _shared(noise):
    x_t, steps = shared(_process(), X, 3, 2, Ancestral(), noise)
    return torch.cat([x_t, *(step.x for step in steps)])


DOORS = {
    **{
        f"chain, {name}": lambda noise, make=make: torch.stack([step.x for step in chain(_process(), X, make(), noise)])
        for name, make in SAMPLERS.items()
        if name != "flow"  # draws no noise, and is slow
    },
    "run": lambda noise: torch.stack([s.x for s in run(_process(), start(_process(), X, 4), Ancestral(), noise)]),
    "terms": lambda noise: torch.stack([term.nats for term in terms(_process(), X, noise)]),
    "shared": _shared,
    "mix_latents": lambda noise: mix_latents(_process(), X[:1], X[1:], 3, [0.0, 0.3, 1.0], noise),
    **{
        f"estimates, {name}": lambda noise, name=name: torch.stack(
            [value for _, value in estimates(_process(), X, "raw", name, noise)]
        )
        for name in COUPLINGS
    },
    "nats": lambda noise: nats(
        ReverseProcess(lambda x, t: 0.3 * x, log_snr(4, 0.2)), X[:1, :2].double(), basis(X[:1, :2].double()), noise
    )[0],
}


@pytest.mark.parametrize("door", DOORS)
def test_a_generator_draws_what_randn_like_draws(door):
    """The same seed, the same numbers, to the bit; and the global generator stays where it is."""
    torch.manual_seed(3)
    expected = DOORS[door](torch.randn_like)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    assert torch.equal(DOORS[door](_random()), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_is_another_sample():
    one, again, other = (DOORS["chain, ancestral"](_random(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_generator_goes_on_where_it_stopped():
    """Two calls differ; both have the dtype and shape of what they are called with."""
    draw = noise_from(_random())
    first, second = draw(X.double()), draw(X)
    assert (first.dtype, second.dtype) == (torch.float64, torch.float32)
    assert first.shape == second.shape == X.shape
    assert not torch.equal(first.float(), second)


def test_a_function_is_taken_as_it_is():
    assert noise_from(torch.zeros_like) is torch.zeros_like


def test_what_is_neither_is_refused_in_a_sentence():
    unchecked = getattr(noise_from, "__wrapped__", noise_from)  # the tests' type checker would refuse it first
    with pytest.raises(TypeError, match=r"must be a torch\.Generator, or a function of a tensor .* not int"):
        unchecked(0)
