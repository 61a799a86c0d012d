"""Langevin dynamics, the churn of EDM: what they leave where it is, and at which order they do not."""

import inspect
import math
from abc import ABC
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear, log_snr
from ddpm.diffusion.variance import FixedSmall
from ddpm.sampling import (
    DDIM,
    SAMPLERS,
    Ancestral,
    Corrected,
    DPMSolver,
    DPMSolverSinglestep,
    Heun,
    Langevin,
    Multistep,
    PredictorCorrector,
    Sampler,
    SongLangevin,
)
from ddpm.sampling.chain import Step, chain, start
from ddpm.sampling.inpaint import Replacement, Resampled
from ddpm.seeds import NoiseForEach, generator
from tests.harness.oracles import rough_network

F64 = torch.float64


def _noise(seed):
    random = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=random, dtype=F64)


def _settled(sampler, diffused, t):
    """The variance of x_{t-1}'s own x_t after many steps at t, relative to that of q(x_t)."""
    p, sd = diffused.process(), float(diffused.marginal(t).covariance.sqrt())
    x_t = sd * torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    there = sampler.step(p, Step(t, x_t, torch.zeros_like(x_t)), _noise(1))
    return float(there.x.var() * p.schedule.alpha[t]) / sd**2


@pytest.mark.parametrize("make", [Langevin, SongLangevin])
def test_the_stationary_law_is_off_by_the_first_order_of_the_step(make):
    """For N(0, v) the variance settles at v / (1 - eta / 4v): computed by hand, and its excess halves with eta."""
    diffused, t = Diffused(gaussian(0.25), linear()), 400
    v, found = float(diffused.marginal(t).covariance), []
    for size in (1.0, 0.5):
        sampler = make(corrections=12, size=size * (40 if make is Langevin else 1))
        eta = sampler.eta(diffused.process(), t)
        contraction = (1 - eta / (2 * v)) ** 2
        expected = 1 / (1 - eta / (4 * v))
        expected += contraction**12 * (1 - expected)
        found.append(_settled(sampler, diffused, t))
        assert found[-1] == pytest.approx(expected, abs=4 * math.sqrt(2 / 400_000) * expected)
    assert (found[0] - 1) / (found[1] - 1) == pytest.approx(2, rel=0.35)


def test_the_sizes_are_the_published_ones():
    p = Diffused(gaussian(0.25), linear()).process()
    for t in (1, 300, 1000):
        assert Langevin().eta(p, t) == pytest.approx(float(p.schedule.beta[t]))
        # NCSN: epsilon (sigma_i / sigma_L)^2 = 2e-5 sigma_i^2 / 1e-4 in x / sqrt(alpha_bar)
        sigma_2 = float(1 / p.schedule.snr[t])
        assert SongLangevin().eta(p, t) == pytest.approx(2e-5 * sigma_2 / 1e-4 * float(p.schedule.alpha_bar[t]))


def test_corrections_bring_a_short_chain_nearer_to_the_law():
    """N(0, 1/4) in 10 steps of ancestral sampling: Langevin steps between them mend most of the variance."""
    diffused = Diffused(gaussian(0.25), log_snr(10, noise_1=0.1, log_snr_T=-7.0))
    p, wanted = diffused.process(FixedSmall()), float(diffused.marginal(1).covariance)
    off = []
    for sampler in (Ancestral(), Corrected(snr=0.16), Corrected(snr=0.16, corrections=3)):
        x_T = torch.randn(200, 100, generator=torch.Generator().manual_seed(0), dtype=F64)
        *_, there, _ = chain(p, x_T, sampler, _noise(3))
        off.append(abs(float(there.x.var()) / wanted - 1))
    assert all(later < 0.7 * earlier for earlier, later in pairwise(off)), off


def test_corrections_of_an_image_depend_on_it_alone():
    p = Diffused(gaussian(0.25), linear(12, 1e-2, 0.5)).process()

    def draw(rows):
        noise = NoiseForEach([generator(5, "sample", row) for row in rows])
        *_, last = chain(p, noise(torch.empty(len(rows), 6, dtype=F64)), Corrected(), noise)
        return last.x

    torch.testing.assert_close(torch.cat([draw([i]) for i in range(4)]), draw(range(4)), rtol=1e-12, atol=0)


def test_churn_keeps_the_law():
    """N(0, 1/4): with noise added before each step the variance stays, where inflating the noise spoils it."""
    diffused = Diffused(gaussian(0.25), linear())
    p = replace(diffused.process(), network=diffused.process().network).respace(range(20, 1001, 20))
    x_T = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    wanted = float(Diffused(gaussian(0.25), p.schedule).marginal(1).covariance)
    spread = {}
    for name, sampler in {"none": Heun(), "churn": Heun(churn=10), "inflated": Heun(churn=10, inflate=1.2)}.items():
        *_, there, _ = chain(p, x_T, sampler, _noise(2))
        spread[name] = float(there.x.var()) / wanted
    assert spread["none"] == pytest.approx(1, abs=0.03)
    assert spread["churn"] == pytest.approx(1, abs=0.03)
    assert spread["inflated"] > 1.05


def test_churn_goes_up_to_a_step_of_training():
    """The network is asked at trained steps only, above the kept one; between `low` and `high` alone."""
    told = []

    def network(x_t, timestep):
        told.append(int(timestep[0]))
        return 0.1 * x_t

    p = replace(Diffused(gaussian(0.25), linear()).process(), network=network).respace([100, 400, 700, 1000])
    sigma = [float(p.schedule.snr[t] ** -0.5) for t in range(1, 5)]
    list(chain(p, torch.randn(2, 1), Heun(churn=4, low=sigma[1] * 0.99, high=sigma[1] * 1.01), torch.randn_like))
    assert told[0:2] == [999, 699]
    assert told[2:4] == [699, 399]
    assert 400 < told[4] < 600
    assert told[5:] == [99, 99]


@pytest.mark.parametrize("make", [lambda: Heun(churn=-1.0), lambda: Heun(inflate=0.0)])
def test_impossible_churn(make):
    with pytest.raises(ValueError, match="churn"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Langevin(corrections=0),
        lambda: SongLangevin(size=0.0),
        lambda: Corrected(snr=0.0),
        lambda: Corrected(corrections=-1),
    ],
)
def test_impossible_corrections(make):
    with pytest.raises(ValueError, match="corrections"):
        make()


@pytest.mark.long
def test_one_langevin_step_of_the_paper_a_level_is_too_few():
    """E58: half the drift of Algorithm 2 does not keep up with the falling noise; four steps a level nearly do."""
    schedule = linear()
    p = Diffused(gaussian(0.25), schedule).process()
    x_T = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    for corrections, spread in ((1, 3.2), (4, 0.33)):
        exact = _spread_after(schedule, 0.25, corrections)
        assert exact == pytest.approx(spread, rel=0.02)
        *_, last = chain(p, x_T, Langevin(corrections), _noise(1))
        assert float(last.x.var()) == pytest.approx(exact, rel=4.5 * (2 / 1000) ** 0.5)


def _spread_after(schedule, v, corrections):
    """The variance of what comes out, from N(0, 1): all is linear, x + eta/2 score = (1 - eta / (2 var x_t)) x."""
    spread = 1.0
    for t in schedule.steps:
        law = float(schedule.alpha_bar[t] * v + schedule.one_minus_alpha_bar[t])
        eta = min(float(schedule.beta[t]), float(schedule.one_minus_alpha_bar[t]))
        for _ in range(corrections):
            spread = (1 - eta / (2 * law)) ** 2 * spread + eta
        spread /= float(schedule.alpha[t]) if t > 1 else 1.0
    return float(schedule.alpha_bar[1]) * v**2 / law**2 * spread


@pytest.mark.parametrize("predictor", [DDIM(), DPMSolver(), Multistep(3), Heun()], ids=str)
def test_corrections_of_no_size_change_nothing(predictor):
    """Whatever the predictor remembers is left as it was."""
    p = ReverseProcess(rough_network, linear(12, 1e-2, 0.5), limit=unlimited)
    x_T = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=F64)
    for ours, plain in zip(
        chain(p, x_T, Corrected(1e-9, 2, predictor), _noise(1)), chain(p, x_T, predictor, _noise(1)), strict=True
    ):
        torch.testing.assert_close(ours.x, plain.x, rtol=1e-6, atol=1e-6)


def test_the_size_of_a_correction_is_that_of_its_level():
    """epsilon = 2 alpha_t (snr |z| / |g|)^2 at the x_t that is corrected, from its own score."""
    p = ReverseProcess(rough_network, linear().respace([1, 300, 1000]), limit=unlimited)
    here = Step(3, torch.randn(2, 5, dtype=F64), torch.zeros(2, 5, dtype=F64))
    z = torch.randn(2, 5, dtype=F64)
    x_2 = DDIM().step(p, here, lambda _: z).x
    g = p.score(x_2, 2)
    size = 2 * p.schedule.alpha[2] * (0.3 * z.norm(dim=1, keepdim=True) / g.norm(dim=1, keepdim=True)) ** 2
    found = Corrected(0.3, 1, DDIM()).step(p, here, lambda _: z).x
    torch.testing.assert_close(found, x_2 + size * g + (2 * size).sqrt() * z, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("predictor", [PredictorCorrector(), DPMSolverSinglestep()], ids=str)
def test_a_predictor_that_would_undo_the_corrections(predictor):
    with pytest.raises(ValueError, match="before the corrections"):
        Corrected(predictor=predictor)


@dataclass(frozen=True)
class OfMyOwn(Sampler):
    """A sampler that the library knows nothing of: halfway to the estimate, from here or from the x before."""

    goes_back: bool = False

    @property
    def uses_earlier_x(self):
        return self.goes_back

    def step(self, p, here, noise):
        begin = here.before.x if self.goes_back and here.before is not None else here.x
        x_0 = p.estimate(here.x, here.t)
        return here.down((begin + x_0) / 2, x_0)


def test_a_sampler_of_ones_own_says_so_itself():
    """Also through a wrapper; one that goes on from where it is has no need to say anything."""
    hole = torch.ones(1, dtype=torch.bool)
    for bad in (OfMyOwn(True), Replacement(torch.zeros(1, 1), hole, OfMyOwn(True)), Resampled(PredictorCorrector())):
        with pytest.raises(ValueError, match="before the corrections"):
            Corrected(predictor=bad)
    p = ReverseProcess(rough_network, linear(6, 1e-2, 0.5))
    *_, last = chain(p, torch.ones(2, 5, dtype=F64), Corrected(predictor=OfMyOwn()), _noise(1))
    assert last.t == 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_whether_an_earlier_x_is_used(name):
    """What a sampler says is what it does: the x before matters to some step of it, or to none."""
    p, matters = ReverseProcess(lambda x, t: 0.3 * x, linear(6, 1e-2, 0.5)), False
    sampler, here = SAMPLERS[name](), start(p, torch.ones(2, 5, dtype=F64), 6)
    while here.t > 1:
        here = sampler.step(p, here, _noise(here.t))
        moved = replace(here, before=replace(here.before, x=here.before.x + 0.1))
        one, other = (sampler.step(p, place, _noise(1)).x for place in (here, moved))
        matters = matters or not torch.equal(one, other)
    assert matters == sampler.uses_earlier_x


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_final_and_what_it_extends_is_abstract(name):
    """To change one, wrap it (design 4.7)."""
    own, *others = SAMPLERS[name].__mro__
    assert not own.__subclasses__()
    assert all(inspect.isabstract(other) for other in others if other not in (object, ABC))
