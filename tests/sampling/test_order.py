"""Each solver of the probability flow converges at the order that its theory gives, on N(0, v), where the flow is known."""

import math
from itertools import pairwise

import pytest
import torch

from ddpm.analytic.mixture import mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import jsd, linear, log_snr
from ddpm.sampling import (
    DDIM,
    SAMPLERS,
    DPMSolver,
    DPMSolverSDE,
    DPMSolverSinglestep,
    Heun,
    Multistep,
    PredictorCorrector,
)
from ddpm.sampling.chain import Step, chain, run, start
from ddpm.sampling.exponential import weights
from tests.harness.oracles import AT_STEPS, GaussianData, rough_network

F64 = torch.float64
SOLVERS = [
    (DDIM(), 1),
    (Multistep(1), 1),
    (DPMSolver(), 2),
    (DPMSolverSinglestep(), 2),
    (Heun(), 2),
    (Multistep(2), 2),
    (PredictorCorrector(1), 2),
    (Multistep(3), 3),
    (PredictorCorrector(2), 3),
    (PredictorCorrector(3), 3),
]


def _no_noise(_):
    raise AssertionError("a solver of the flow draws no noise")


def _error(sampler, steps):
    """|x_1 - exact x_1| after `steps` steps that begin with an exact past: x_t scales with the standard deviation of q(x_t).

    (From x_T on the first steps of a multistep method are of lower order, and hide it.)
    """
    T = steps + 3
    p = GaussianData(2.0).process(log_snr(T, noise_1=0.3, log_snr_T=-5.0))
    sd = (1 + p.schedule.alpha_bar).sqrt()
    x_T = torch.tensor([[0.3], [1.0], [-2.0]], dtype=F64)

    def x(t):
        return sd[t] / sd[T] * x_T

    def x_0(t):
        return p.estimate(x(t), t)

    begin = Step(T - 2, x(T - 2), x_0(T - 1), 2, Step(T - 1, x(T - 1), x_0(T), 1))
    *_, there, _ = run(p, begin, sampler, _no_noise)
    assert there.t == 1
    return float((there.x - x(1)).abs().max())


@pytest.mark.parametrize(("sampler", "order"), SOLVERS, ids=str)
def test_the_order_is_that_of_the_theory(sampler, order):
    """Halving h divides the error by 2^order, within 15 % of the order."""
    errors = [_error(sampler, steps) for steps in (40, 80, 160)]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert found == pytest.approx([order] * 2, rel=0.15)


@pytest.mark.parametrize("h", [1e-3, 0.3, 2.0, 9.0])
def test_the_weights_integrate_polynomials(h):
    """Against the closed forms of the first three moments of e^{tau - h} on [0, h]."""
    nodes = [0.0, -0.7 * h, -2.1 * h]
    w = weights(h, nodes)
    zeroth = -math.expm1(-h)
    assert sum(w) == pytest.approx(zeroth, rel=1e-12)
    if h > 0.1:  # below, the closed forms cancel
        first = h - zeroth
        assert sum(a * b for a, b in zip(w, nodes, strict=True)) == pytest.approx(first, rel=1e-9)
        assert sum(a * b**2 for a, b in zip(w, nodes, strict=True)) == pytest.approx(h**2 - 2 * first, rel=1e-8)


def test_a_first_order_solver_is_ddim():
    p = ReverseProcess(rough_network, linear().respace([1, 250, 500, 1000]), limit=unlimited)
    x_T = torch.randn(4, 3, dtype=F64)
    for ours, ddim in zip(chain(p, x_T, Multistep(1), _no_noise), chain(p, x_T, DDIM(), _no_noise), strict=True):
        torch.testing.assert_close(ours.x, ddim.x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", AT_STEPS)
def test_a_schedule_without_signal_at_T(name):
    """jsd: lambda_T is minus infinity, and every sampler still ends at finite images."""
    p = ReverseProcess(lambda x, _: 0.9 * torch.tanh(x), jsd(8), X0(), limit=unlimited)
    *_, last = chain(p, torch.randn(5, 3, dtype=F64), SAMPLERS[name]())
    assert last.x.isfinite().all()


@pytest.mark.parametrize("name", AT_STEPS)
def test_a_sampler_counts_its_steps_and_evaluations(name):
    calls = []

    def network(x_t, timestep):
        calls.append(None)
        return rough_network(x_t, timestep)

    p, sampler = ReverseProcess(network, linear(7, 0.05, 0.8)), SAMPLERS[name]()
    steps = list(chain(p, torch.randn(2, 3), sampler))
    assert len(steps) == sampler.moves(7)
    assert len(calls) == sampler.evaluations(7)


@pytest.mark.parametrize("name", AT_STEPS)
def test_every_sampler_draws_the_mixture(name):
    """Two clusters of 1 : 3, the exact network, 60 steps: both are found, with their shares, and nothing lies between."""
    law = mixture(torch.tensor([1.0, 3.0]), torch.tensor([[-0.8], [0.7]]), torch.tensor([[[0.01]], [[0.02]]]))
    p = Diffused(law, log_snr(60, noise_1=0.05, log_snr_T=-7.0)).process()
    random = torch.Generator().manual_seed(1)
    patience = {"langevin": {"corrections": 8, "size": 100.0}, "langevin-ncsn": {"corrections": 20}}
    *_, last = chain(
        p,
        torch.randn(40, 100, generator=random, dtype=F64),
        SAMPLERS[name](**patience.get(name, {})),
        lambda x: torch.randn(x.shape, generator=random, dtype=F64),
    )
    assert float((last.x < 0).double().mean()) == pytest.approx(0.25, abs=0.03)
    assert float((last.x.abs() < 0.2).double().mean()) < 0.03


def test_a_multistep_solver_refuses_other_orders():
    with pytest.raises(ValueError, match="order must be 1, 2 or 3"):
        Multistep(4)
    with pytest.raises(ValueError, match="order must be 1, 2 or 3"):
        PredictorCorrector(0)


def test_a_step_knows_where_it_came_from():
    p = ReverseProcess(rough_network, linear(5, 0.1, 0.9))
    begin = start(p, torch.randn(2, 3), 5)
    first, second, *_ = run(p, begin, DDIM())
    assert begin.before is None
    assert torch.equal(first.before.x, begin.x)
    assert torch.equal(second.before.x, first.x)
    assert second.before.before is None


@pytest.mark.parametrize("v", [0.25, 2.0])
def test_the_sde_is_of_second_order_in_law(v):
    """The variance of x_1 by the exact 2x2 recursion of (x_t, the estimate before): no Monte Carlo."""
    errors = []
    for T in (41, 81, 161):
        p = GaussianData(v).process(log_snr(T, noise_1=0.3, log_snr_T=-5.0))
        spread = torch.tensor([[1 + float(p.schedule.alpha_bar[T]) * (v - 1), 0.0], [0.0, 0.0]], dtype=F64)
        basis, z = torch.eye(3, dtype=F64), torch.tensor([[0.0], [0.0], [1.0]], dtype=F64)
        for t in range(T, 1, -1):
            here = Step(t, basis[:, :1], basis[:, 1:2], T - t, Step(t + 1, basis[:, :1], basis[:, 1:2], 0))
            made = DPMSolverSDE().step(p, here, lambda _, z=z: z)
            move = torch.cat([made.x, made.x_0], dim=1).T  # rows: the new x and estimate; columns: x, estimate, noise
            spread = move[:, :2] @ spread @ move[:, :2].T + move[:, 2:] @ move[:, 2:].T
        errors.append(abs(float(spread[0, 0]) - (1 + float(p.schedule.alpha_bar[1]) * (v - 1))))
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([2, 2], rel=0.1)
