"""DPM-Solver++: its first-order relatives, the law of its SDE, and where it ends."""

import pytest
import torch

from ddpm.analytic.mixture import gaussian, mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import Schedule, linear, log_snr
from ddpm.diffusion.variance import FixedSmall
from ddpm.sampling import SAMPLERS, DPMSolver, DPMSolverSDE
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Step, chain, run
from ddpm.sampling.ddim import DDIM
from tests.harness.oracles import rough_network

F64 = torch.float64


def _no_noise(_):
    raise AssertionError("a solver of the flow draws no noise")


def test_its_first_step_is_ddim():
    p = ReverseProcess(rough_network, linear(), limit=unlimited)
    here = Step(600, torch.randn(4, 3, dtype=F64), torch.zeros(4, 3, dtype=F64))
    ours, ddim = (sampler.step(p, here, _no_noise) for sampler in (DPMSolver(), DDIM()))
    torch.testing.assert_close(ours.x, ddim.x, rtol=1e-10, atol=1e-12)


def test_the_first_step_of_the_sde_is_ancestral_with_the_small_variance():
    p = ReverseProcess(rough_network, linear(), variance=FixedSmall(), limit=unlimited)
    here, z = Step(600, torch.randn(4, 3, dtype=F64), torch.zeros(4, 3, dtype=F64)), torch.randn(4, 3, dtype=F64)
    ours, ancestral = (sampler.step(p, here, lambda _: z) for sampler in (DPMSolverSDE(), Ancestral()))
    torch.testing.assert_close(ours.x, ancestral.x, rtol=1e-9, atol=1e-10)


def test_the_sde_keeps_the_law():
    """Variance of N(0, 1/4) after 20 steps: nearer than ancestral sampling with the same steps, within Monte Carlo error."""
    diffused = Diffused(gaussian(0.25), log_snr(20, noise_1=0.1, log_snr_T=-7.0))
    random = torch.Generator().manual_seed(0)
    off = {}
    for name, sampler in (("sde", DPMSolverSDE()), ("ancestral", Ancestral())):
        p = diffused.process(FixedSmall())
        x_T = torch.randn(200_000, 1, generator=random, dtype=F64)
        *_, there, _ = chain(p, x_T, sampler, lambda x: torch.randn(x.shape, generator=random, dtype=F64))
        off[name] = abs(float(there.x.var()) / float(diffused.marginal(1).covariance) - 1)
    assert off["sde"] < 0.25 * off["ancestral"]


def test_few_steps_reach_a_mixture():
    """Two clusters: after 20 steps of the flow no image lies between them, and both have their share."""
    law = mixture(torch.tensor([1.0, 3.0]), torch.tensor([[-0.8], [0.7]]), torch.tensor([[[0.01]], [[0.02]]]))
    p = Diffused(law, linear().respace(range(50, 1001, 50))).process()
    x_T = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1), dtype=F64)
    *_, last = chain(p, x_T, DPMSolver(), _no_noise)
    assert float((last.x < 0).double().mean()) == pytest.approx(0.25, abs=0.02)
    assert float((last.x.abs() < 0.2).double().mean()) < 0.02


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_can_be_split_anywhere(name):
    """A step carries all that the next one needs."""
    p, sampler = ReverseProcess(rough_network, linear(10, 1e-2, 0.6)), SAMPLERS[name]()
    x_T, z = torch.randn(2, 3), torch.randn(11, 2, 3)
    noise = lambda like: z[int(1e6 * float(like.abs().sum())) % 11]  # noqa: E731  a function of where the chain is
    steps = list(chain(p, x_T, sampler, noise))
    for place in (0, 3, 4, 8):
        again = list(run(p, steps[place], sampler, noise))
        assert torch.equal(again[-1].x, steps[-1].x)
    assert [step.made for step in steps] == list(range(1, 11))


@pytest.mark.parametrize("T", [1, 2, 3])
@pytest.mark.parametrize("name", SAMPLERS)
def test_short_chains_are_finite_and_end_at_the_estimate(name, T):
    p = ReverseProcess(rough_network, Schedule(torch.tensor([0.0, *[0.5] * T], dtype=F64)))
    *_, last = chain(p, torch.randn(3, 2, dtype=F64), SAMPLERS[name]())
    assert last.x.isfinite().all()
    assert torch.equal(last.x, last.x_0)
