"""The probability flow as a sampler: the limit of the others, at any number of kept steps, and nothing but that."""

import pytest
import torch

from ddpm.diffusion.prediction import Mean
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import log_snr
from ddpm.sampling import Multistep, ProbabilityFlow
from ddpm.sampling.chain import chain
from tests.harness.oracles import rough_network

F64 = torch.float64


def _no_noise(_):
    raise AssertionError("the flow draws no noise")


def test_it_is_the_limit_of_many_small_steps():
    """Third order on 800 steps against the flow on 3 of them, at x_1."""
    p = ReverseProcess(rough_network, log_snr(800, noise_1=0.1, log_snr_T=-6.0), limit=unlimited)
    x_T = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=F64)
    *_, fine, _ = chain(p, x_T, Multistep(3), _no_noise)
    found = []
    for tolerance in (1e-3, 1e-7):
        *_, there, last = chain(p.respace([1, 300, 800]), x_T, ProbabilityFlow(tolerance), _no_noise)
        assert last.t == 0
        found.append(float((there.x - fine.x).abs().max()))
    assert found[1] < 2e-5
    assert found[1] < found[0] < 1e-2


def test_an_image_does_not_depend_on_the_others():
    p = ReverseProcess(rough_network, log_snr(4, noise_1=0.1, log_snr_T=-6.0))
    x_T = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    *_, together = chain(p, x_T, ProbabilityFlow())
    for row in range(3):
        *_, alone = chain(p, x_T[row : row + 1], ProbabilityFlow())
        assert torch.equal(alone.x[0], together.x[row])


def test_what_it_cannot_do():
    with pytest.raises(ValueError, match="tolerance"):
        ProbabilityFlow(0.0)
    p = ReverseProcess(rough_network, log_snr(4, noise_1=0.1, log_snr_T=-6.0), Mean())
    with pytest.raises(ValueError, match="predict eps, x0 or v"):
        next(chain(p, torch.randn(2, 3), ProbabilityFlow()))
