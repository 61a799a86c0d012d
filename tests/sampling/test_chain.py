"""T12, T16, T18: Algorithm 2 with an exact denoiser gives the exact variance; calls, noise and short chains."""

import pytest
import torch

from ddpm.analytic.bound import linear_chain
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import cosine, linear
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.sampling import DDIM, SAMPLERS, Ancestral
from ddpm.sampling.chain import chain, run, start
from ddpm.sampling.timesteps import SPACINGS, uniform
from ddpm.seeds import NoiseForEach, generator
from tests.harness.oracles import AT_STEPS, GaussianData, rough_network

F64 = torch.float64


def _last(steps):
    for step in steps:  # noqa: B007
        pass
    return step


def _respaced(schedule, count):
    """The exact denoiser of the whole chain, on `count` of its steps."""
    return GaussianData(0.25).process(schedule).respace(uniform(schedule, count))


@pytest.mark.parametrize(("variance", "expected"), [(FixedLarge(), 0.250752), (FixedSmall(), 0.246125)])
def test_the_sample_variance_of_gaussian_data(variance, expected):
    """T12 by simulation: 200,000 chains of 1000 steps, within four standard errors (0.3 % each)."""
    p = GaussianData(0.25).process(linear(), variance)
    x_0 = _last(chain(p, torch.randn(200_000, 1), Ancestral())).x
    standard_error = expected * (2 / 200_000) ** 0.5
    assert abs(x_0.var() - expected) < 4 * standard_error
    assert abs(x_0.mean()) < 4 * (expected / 200_000) ** 0.5


@pytest.mark.parametrize("T", [1, 2, 7])
def test_t_calls_and_no_noise_at_the_last_step(T):
    """Algorithm 2; T16, T18."""
    calls, noises = [], []

    def network(x_t, timestep):
        calls.append(int(timestep[0]))
        return x_t

    def noise(like):
        noises.append(None)
        return torch.randn_like(like)

    p = ReverseProcess(network, linear(T, 0.1, 0.9))
    steps = list(chain(p, torch.randn(2, 3), Ancestral(), noise))
    assert calls == list(range(T - 1, -1, -1))
    assert len(noises) == T - 1
    assert [step.t for step in steps] == list(range(T - 1, -1, -1))
    assert torch.equal(steps[-1].x, steps[-1].x_0)  # E66, E77: what is shown is the last estimate


def test_algorithm_2_to_the_letter():
    """Algorithm 2 and Eq. 1; E70 against the paper's line 4, step by step, with the same noise."""
    schedule = linear(20, 1e-3, 0.4)
    p = ReverseProcess(rough_network, schedule, limit=unlimited)
    z = {t: torch.randn(3, 2, dtype=F64) for t in range(1, 21)}
    x = torch.randn(3, 2, dtype=F64)
    drawn = iter([z[t] for t in range(20, 1, -1)])
    ours = chain(p, x, Ancestral(), lambda _: next(drawn))
    for t in range(20, 0, -1):
        alpha, abar = schedule.alpha[t], schedule.alpha_bar[t]
        eps = rough_network(x, torch.full((3,), t - 1))
        mean = (x - (1 - alpha) / (1 - abar).sqrt() * eps) / alpha.sqrt()
        x = mean + schedule.beta[t].sqrt() * z[t] if t > 1 else mean
        torch.testing.assert_close(next(ours).x, x, rtol=1e-9, atol=1e-10)


def test_ddim_with_eta_1_is_ancestral_with_the_small_variance():
    schedule = linear(50, 1e-3, 0.2)
    p = ReverseProcess(rough_network, schedule, variance=FixedSmall())
    x_T, z = torch.randn(4, 3, dtype=F64), torch.randn(50, 4, 3, dtype=F64)
    noise = [iter(z), iter(z)]
    ancestral = chain(p, x_T, Ancestral(), lambda _: next(noise[0]))
    ddim = chain(p, x_T, DDIM(eta=1.0), lambda _: next(noise[1]))
    for ours, theirs in zip(ddim, ancestral, strict=True):
        torch.testing.assert_close(ours.x, theirs.x, rtol=1e-8, atol=1e-9)


def test_ddim_without_noise_draws_none_and_keeps_the_law():
    """eta = 0 with an exact score is the probability flow: the variance goes to v as the steps get finer."""

    def no_noise(_):
        raise AssertionError

    errors = []
    for T in (10, 100, 1000):
        p = _respaced(cosine(), T)
        x_0 = _last(chain(p, torch.ones(1, 1, dtype=F64), DDIM(), no_noise)).x
        errors.append(abs(float(x_0) ** 2 - 0.25))
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("eta", [-0.1, 1.5])
def test_ddim_refuses_a_wrong_eta(eta):
    with pytest.raises(ValueError, match="eta"):
        DDIM(eta)


def test_each_image_has_a_seed_of_its_own():
    """Image i is the same in batches of 1, 3 and 7."""
    p = GaussianData(0.25).process(linear(30, 1e-3, 0.4))

    def draw(rows):
        noise = NoiseForEach([generator(5, "sample", row) for row in rows])
        x_T = noise(torch.empty(len(rows), 1, 4, 4))
        return _last(chain(p, x_T, Ancestral(), noise)).x

    together = draw(range(7))
    assert torch.equal(torch.cat([draw([i]) for i in range(7)]), together)
    assert torch.equal(torch.cat([draw(range(3)), draw(range(3, 6)), draw([6])]), together)
    assert (together[0] != together[1]).all()


def test_a_chain_can_be_split_anywhere():
    p = GaussianData(0.25).process(linear(10, 1e-2, 0.6))
    x_T, z = torch.randn(2, 3), torch.randn(10, 2, 3)
    drawn = iter(z)
    steps = list(chain(p, x_T, Ancestral(), lambda _: next(drawn)))
    drawn = iter(z[4:])
    again = list(run(p, steps[3], Ancestral(), lambda _: next(drawn)))
    assert torch.equal(again[-1].x, steps[-1].x)
    assert [step.t for step in again] == [5, 4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match=r"0\.\.10"):
        start(p, x_T, 11)


@pytest.mark.parametrize("name", AT_STEPS)
def test_samplers_are_pure(name):
    p, sampler = GaussianData(1.0).process(linear(5, 0.1, 0.9)), SAMPLERS[name]()
    begin = start(p, torch.randn(2, 3), 5)
    before = begin.x.clone()
    first = sampler.step(p, begin, torch.zeros_like)
    assert torch.equal(first.x, sampler.step(p, begin, torch.zeros_like).x)
    assert torch.equal(begin.x, before)
    assert not first.x.requires_grad


@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("T", [1, 2, 10, 61, pytest.param(1000, marks=pytest.mark.long)])
def test_spacings(name, T):
    """Every count from 1 to T: distinct, ascending, inside, and never without T."""
    schedule = linear(T, 1e-3, 0.9)
    for count in range(1, T + 1):
        kept = SPACINGS[name](schedule, count)
        assert len(kept) == count
        assert kept == sorted(set(kept))
        assert kept[-1] == T
        assert kept[0] >= 1
        if count == T:
            assert kept == list(range(1, T + 1))
    for count in (0, T + 1):
        with pytest.raises(ValueError, match="can keep"):
            SPACINGS[name](schedule, count)


def test_a_respaced_chain_samples_the_same_law():
    """50 of 1000 steps with the exact denoiser: the variance that the closed form of the short chain gives."""
    p = _respaced(linear(), 50)
    displayed = linear_chain(p, 0.25).displayed_var
    x_0 = _last(chain(p, torch.randn(200_000, 1), Ancestral())).x
    assert abs(x_0.var() - displayed) < 4 * displayed * (2 / 200_000) ** 0.5
