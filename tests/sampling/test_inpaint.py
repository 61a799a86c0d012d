"""Filling holes: the law that comes out where the right one is known, what is kept, and where RePaint's chain goes."""

from functools import cache
from itertools import pairwise

import pytest
import torch

from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.sampling import DDIM, Ancestral, DPMSolver
from ddpm.sampling.chain import chain, run, start
from ddpm.sampling.dpm_solver import DPMSolverSinglestep
from ddpm.sampling.edm import Heun
from ddpm.sampling.inpaint import Replacement, Resampled, plan, repaint
from ddpm.sampling.langevin import Corrected, Langevin
from ddpm.sampling.multistep import Multistep, PredictorCorrector
from ddpm.seeds import NoiseForEach, generator
from tests.harness.oracles import correlated, rough_network

F64 = torch.float64
RHO, V, SEEN = 0.9, 0.25, 0.6
KNOWN, HOLE = torch.tensor([[SEEN, 0.0]], dtype=F64), torch.tensor([False, True])


def _last(steps):
    for step in steps:  # noqa: B007
        pass
    return step


@cache
def _unseen(jump, resamplings, count=4_000):
    """Mean and variance of the coordinate in the hole, the other one being 0.6."""
    p, random = correlated(RHO, V, log_snr(20, noise_1=0.15, log_snr_T=-6.0)), torch.Generator().manual_seed(0)

    def noise(like):
        return torch.randn(like.shape, generator=random, dtype=F64)

    x = _last(chain(p, noise(torch.empty(count, 2)), repaint(KNOWN, HOLE, jump, resamplings), noise)).x
    assert bool((x[:, 0] == SEEN).all())
    return float(x[:, 1].mean()), float(x[:, 1].var())


def test_resampling_approaches_the_conditional():
    """N(0.54, 0.0475). Replacement leaves a third of the mean out; 10 resamplings leave a seventh, and the right variance."""
    mean, variance = RHO * SEEN, V * (1 - RHO**2)
    found = [_unseen(1, times) for times in (1, 3, 10)]
    off = [mean - m for m, _ in found]
    standard_error = (variance / 4_000) ** 0.5
    assert off[0] > 0.15
    assert found[0][1] > 1.3 * variance
    assert all(after < before - 6 * standard_error for before, after in pairwise(off))
    assert abs(off[-1]) < 0.09
    assert found[-1][1] == pytest.approx(variance, rel=0.1)


def test_longer_jumps_help_as_well():
    assert _unseen(5, 5)[0] > _unseen(1, 1)[0] + 0.05


def test_the_plan_is_the_published_one():
    """250 steps, jumps of 10, 10 times: 4570 moves of one step each (Lugmayr et al. 2022); every way is made 10 times."""
    places = plan(250, 10, 10)
    assert (places[0], places[-1], min(places[:-1])) == (250, 0, 1)
    assert sum(abs(a - b) for a, b in pairwise(places)) == 4570
    ups = [(a, b) for a, b in pairwise(places) if b > a]
    assert ups == [(t, t + 10) for t in range(231, 0, -10) for _ in range(9)]
    assert all(b == a - 1 for a, b in pairwise(places) if b < a)


@pytest.mark.parametrize("T", [1, 2, 3, 11])
@pytest.mark.parametrize("jump", [1, 10, 99])
def test_short_chains(T, jump):
    """A jump is cut to what there is; from x_1 there is no way up where T = 1."""
    places = plan(T, jump, 3)
    assert (places[0], places[-1], max(places)) == (T, 0, T)
    assert any(b > a for a, b in pairwise(places)) == (T > 1)
    p = ReverseProcess(rough_network, linear(T, 0.1, 0.6), limit=unlimited)
    sampler = repaint(KNOWN, HOLE, jump, 3)
    steps = list(chain(p, torch.randn(3, 2, dtype=F64), sampler))
    assert [step.t for step in steps] == list(places[1:])
    assert sampler.moves(T) == len(steps)
    assert bool((steps[-1].x[:, 0] == SEEN).all())


def test_one_resampling_is_replacement():
    """The baseline, noise for noise; and the network is asked as often as is said."""
    asked = []

    def network(x_t, timestep):
        asked.append(1)
        return rough_network(x_t, timestep)

    p, x_T, z = ReverseProcess(network, linear(12, 1e-2, 0.5)), torch.randn(3, 2), torch.randn(60, 3, 2)
    found = []
    for sampler in (Replacement(KNOWN.float(), HOLE), repaint(KNOWN.float(), HOLE, 4, 1)):
        drawn = iter(z)
        found.append(_last(chain(p, x_T, sampler, lambda _, d=drawn: next(d))).x)
    assert torch.equal(*found)
    for sampler in (Replacement(KNOWN.float(), HOLE), repaint(KNOWN.float(), HOLE, 4, 3)):
        asked.clear()
        _last(chain(p, x_T, sampler))
        assert len(asked) == sampler.evaluations(12)


@pytest.mark.parametrize(
    "inner",
    [
        DDIM(),
        DPMSolver(),
        Multistep(),
        Heun(),
        Heun(churn=3.0),
        Corrected(),
        Corrected(corrections=2, predictor=Heun()),
        Langevin(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("T", [1, 2, 7])
def test_the_network_is_asked_as_often_as_is_said(inner, T):
    """Also where a sampler asks twice a step but for the last, which is gone over again too."""
    asked = []

    def network(x_t, timestep):
        asked.append(1)
        return rough_network(x_t, timestep)

    sampler = repaint(KNOWN.float(), HOLE, 3, 4, inner)
    _last(chain(ReverseProcess(network, linear(T, 1e-2, 0.5)), torch.randn(3, 2), sampler))
    assert len(asked) == sampler.evaluations(T)


def test_what_is_known_follows_q():
    """At every t, down or up, the known part has the law q(x_t|x_0)."""
    p = ReverseProcess(rough_network, linear(8, 0.05, 0.5))
    steps = list(chain(p, torch.randn(50_000, 2, dtype=F64), repaint(KNOWN, HOLE, 3, 2)))
    assert any(step.before.t < step.t for step in steps)
    for step in steps[:-1]:
        expected = p.q.marginal(KNOWN[:, :1], step.t)
        seen = step.x[:, 0]
        assert float(seen.mean() - expected.mean) == pytest.approx(0, abs=4.5 * float(expected.var / 50_000) ** 0.5)
        assert float(seen.var()) == pytest.approx(float(expected.var), rel=4.5 * (2 / 50_000) ** 0.5)


@pytest.mark.parametrize("inner", [Ancestral(), DDIM(), DPMSolver()], ids=lambda s: type(s).__name__)
def test_it_can_be_split_anywhere_and_each_image_has_its_seed(inner):
    p = ReverseProcess(rough_network, linear(9, 1e-2, 0.6))
    sampler = repaint(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4) > 0.5, 3, 3, inner)

    def draw(rows):
        noise = NoiseForEach([generator(5, "edit", row) for row in rows])
        return _last(chain(p, noise(torch.empty(len(rows), 1, 4, 4)), sampler, noise)).x

    assert torch.equal(draw(range(3)), torch.cat([draw([i]) for i in range(3)]))
    x_T, z = torch.randn(2, 1, 4, 4), torch.randn(90, 2, 1, 4, 4)
    calls = []

    def counted(_):
        calls.append(None)
        return z[len(calls) - 1]

    marks, steps = [], []
    for step in chain(p, x_T, sampler, counted):
        steps.append(step)
        marks.append(len(calls))
    for place in (2, 5, 6, 9):
        rest = iter(z[marks[place] :])
        again = list(run(p, steps[place], sampler, lambda _, r=rest: next(r)))
        assert torch.equal(again[-1].x, steps[-1].x)


@pytest.mark.parametrize("T", [8, 9])
@pytest.mark.parametrize("jump", [2, 3])
@pytest.mark.parametrize(
    "inner", [DPMSolver(), DPMSolverSinglestep(), Multistep(3), PredictorCorrector(2)], ids=lambda s: type(s).__name__
)
def test_a_jump_up_is_a_new_beginning(inner, jump, T):
    """No line or parabola joins estimates from before and after a jump, and pairs of steps begin with it."""
    p, x_T = ReverseProcess(rough_network, linear(T, 1e-2, 0.6)), torch.randn(2, 2, dtype=F64)
    steps = list(chain(p, x_T, Resampled(inner, jump, 3)))
    ups = [i + 1 for i, (a, b) in enumerate(pairwise(steps)) if b.t > a.t]
    assert {up % 2 for up in ups} == {0, 1}
    for up in ups:
        fresh = run(p, start(p, steps[up].x, steps[up].t), inner)
        for ours, theirs in zip(steps[up + 1 : up + 1 + jump], fresh, strict=False):
            assert torch.equal(ours.x, theirs.x)


def test_where_it_cannot_begin():
    p = ReverseProcess(rough_network, linear(9, 1e-2, 0.6))
    with pytest.raises(ValueError, match="x_T"):
        _last(run(p, start(p, torch.randn(2, 2), 5), repaint(KNOWN, HOLE, 3, 2)))
    for jump, times in ((0, 2), (2, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            repaint(KNOWN, HOLE, jump, times)
