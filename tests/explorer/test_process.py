"""The page's process, bound and samplers in plain JavaScript, held to the library in float64 with a toy network."""

import base64
import hashlib
import math

import pytest
import scipy
import torch

import ddpm
from ddpm.diffusion import bound, decoder
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import LIMITS, ReverseProcess
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.diffusion.variance import FIRST_VARIANCES, VARIANCES
from ddpm.explorer.model_data import curve_data, process_data, schedule_data
from ddpm.sampling.chain import chain, run, start
from ddpm.sampling.guidance import Guidance, guided
from ddpm.sampling.inpaint import Resampled
from ddpm.sampling.inverse import Outside, consistent
from ddpm.sampling.optimal import Curve, best_steps
from ddpm.sampling.timesteps import SPACINGS, up_to
from tests.explorer.harness import array, ask, tensor

SHAPE = (2, 3, 4)
TABLES = {
    "beta": "beta",
    "alphaBar": "alpha_bar",
    "oneMinusAlphaBar": "one_minus_alpha_bar",
    "logOneMinusAlphaBar": "log_one_minus_alpha_bar",
    "snr": "snr",
    "logSnr": "log_snr",
    "betaTilde": "beta_tilde",
    "posteriorX0": "posterior_x_0",
    "posteriorXt": "posterior_x_t",
    "timestepMap": "timestep_map",
    "kept": "kept",
}


def toy(schedule: Schedule, prediction="eps", kind="fixed-large", first="beta-tilde-2", limit="unlimited", levels=256):
    """A process whose network is `0.3 x_t + timestep / 1000 + label / 10`, and v `0.5 x_t + label / 10`; as in engine.mjs."""
    found = VARIANCES[kind](FIRST_VARIANCES[first])

    def network(x, timestep, label=None):
        said = 0.0 if label is None else label.reshape(-1, 1, 1, 1) / 10
        out = 0.3 * x + timestep.reshape(-1, 1, 1, 1) / 1000 + said
        return torch.cat([out, 0.5 * x + said], 1) if found.outputs else out

    return ReverseProcess(network, schedule, PREDICTIONS[prediction], found, LIMITS[limit], decoder.discretised(levels))


def told(p: ReverseProcess, **more):
    return {"process": process_data(p), "shape": SHAPE, **more}


@pytest.mark.parametrize("name", SCHEDULES)
def test_tables(tmp_path, name):
    """Every table, of the whole chain and of a shorter one, to 1e-9."""
    schedule, kept = SCHEDULES[name](60), [1, 7, 20, 60]
    found = ask(tmp_path, "tables", data=schedule_data(schedule), kept=kept)
    for tables, right in zip(found, (schedule, schedule.respace(kept)), strict=True):
        for ours, theirs in TABLES.items():
            values = [float(value.replace("Infinity", "inf")) for value in tables[ours]]
            torch.testing.assert_close(
                torch.tensor(values, dtype=torch.float64), getattr(right, theirs).double(), rtol=1e-9, atol=1e-15
            )


def test_named_schedules(tmp_path):
    """The page builds schedules by name as the library does."""
    each = [[name, {"T": 40}] for name in SCHEDULES]
    for (name, _), beta in zip(each, ask(tmp_path, "named", each=each), strict=True):
        torch.testing.assert_close(torch.tensor(beta, dtype=torch.float64), SCHEDULES[name](40).beta, rtol=1e-9, atol=0)


def test_spacings(tmp_path):
    """The same steps, also of a chain that begins below T."""
    schedule = ddpm.cosine(250)
    each = [[t, count, name] for name in SPACINGS for t in (250, 99) for count in (1, 2, 5, 50, t)]
    found = ask(tmp_path, "spacings", data=schedule_data(schedule), each=each)
    for (t, count, name), kept in zip(each, found, strict=True):
        right = up_to(schedule, t, count, SPACINGS[name])
        assert kept == right + [250] * (t < 250), (t, count, name)


def test_reverse(tmp_path):
    """Mean, variance and estimate of every prediction, variance and limit, on the whole chain and a shorter one."""
    asked, right = [], []
    x = torch.randn(3, *SHAPE)
    for prediction in PREDICTIONS:
        for kind in VARIANCES:
            for first in FIRST_VARIANCES:
                for kept in (None, [1, 9, 40]):
                    p = toy(ddpm.linear(40, beta_T=0.2), prediction, kind, first, "unit-clamp" if kept else "unlimited")
                    short = p.respace(kept) if kept else p
                    for t in {1, 2, short.schedule.T}:
                        asked.append(told(p, kept=kept, t=t, x=array(x)))
                        gaussian, x_0 = short(x.double(), t)
                        right.append((gaussian.mean, gaussian.log_var.expand_as(x), x_0))
    for one, found, expected in zip(asked, ask(tmp_path, "reverse", each=asked), right, strict=True):
        for mine, theirs in zip(found, expected, strict=True):
            close = dict(rtol=3e-7, atol=1e-6, msg=lambda text, one=one: f"{one['process']} {text}")
            torch.testing.assert_close(tensor(mine).double(), theirs.double(), **close)


def test_optimal_variance(tmp_path):
    """A measured variance, on a shorter chain too."""
    schedule, steps = ddpm.linear(40, beta_T=0.2), torch.arange(41, dtype=torch.float64)
    curve = Curve(0.01 + steps / 50, 0.001 + steps / 1000, steps)
    p = ReverseProcess(toy(schedule).network, schedule, variance=curve.variance())
    data = told(toy(schedule), kept=[1, 9, 40])
    data["process"]["variance"] = {"kind": "optimal", **curve_data(curve)}
    x = torch.randn(1, *SHAPE)
    found = ask(tmp_path, "reverse", each=[data | {"t": t, "x": array(x)} for t in (1, 2, 3)])
    for t, one in zip((1, 2, 3), found, strict=True):
        expected = p.respace([1, 9, 40])(x.double(), t)[0].log_var.float()
        torch.testing.assert_close(tensor(one[1]), expected.expand_as(x), rtol=1e-6, atol=0)


SAMPLERS = {
    "ancestral": ddpm.SAMPLERS["ancestral"],
    "ddim": ddpm.SAMPLERS["ddim"],
    "dpm-solver": ddpm.SAMPLERS["dpm-solver"],
    "dpm-solver-sde": ddpm.SAMPLERS["dpm-solver-sde"],
}


def test_samplers(tmp_path):
    """Step by step as the library's, when fed the same noise; with a learned variance, guidance, and a hole."""
    asked, right = [], []
    schedule, kept = ddpm.linear(40, beta_T=0.2), [1, 5, 9, 20, 40]
    x, known = torch.randn(2, *SHAPE), torch.rand(1, *SHAPE) * 2 - 1
    hole = torch.rand(1, 1, *SHAPE[1:]) > 0.5
    for name, options in [*((name, {}) for name in SAMPLERS), ("ddim", {"eta": 0.7})]:
        for label, guidance, filled in ((None, 1, False), (3, 1, False), (3, 2.5, False), (None, 1, True)):
            p = toy(schedule, kind="learned", limit="unit-clamp")
            noise = [torch.randn(2, *SHAPE) for _ in range(2 * len(kept))]
            sampler = SAMPLERS[name](**options)
            q = p if label is None else guided(p, torch.tensor([label] * 2), Guidance(guidance))
            q = consistent(q, Outside(hole), known.double().masked_fill(hole, 0)) if filled else q
            drawn = iter(noise)
            steps = chain(q.respace(kept), x.double(), sampler, lambda like, drawn=drawn: next(drawn).double())
            right.append([(step.t, step.x, step.x_0) for step in steps])
            data = told(p, kept=kept, label=label, guidance=guidance, x=array(x), noise=[array(z) for z in noise])
            masked = {"known": array(known), "hole": array(hole.float())} if filled else {}
            asked.append(data | {"name": name, "options": options, **masked})
    found = ask(tmp_path, "chains", each=asked)
    for one, mine, theirs in zip(asked, found, right, strict=True):
        assert [step[0] for step in mine] == [step[0] for step in theirs]
        for (_, x_t, x_0), (t, right_x, right_x_0) in zip(mine, theirs, strict=True):
            for a, b in ((x_t, right_x), (x_0, right_x_0)):
                assert float((tensor(a) - b).abs().max()) < 2e-6, (one["name"], t)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_steps_around_a_hole_are_made_again(tmp_path, steps):
    """RePaint's jumps up and down, of samplers that look back too, when fed the same noise."""
    asked, right = [], []
    schedule = ddpm.linear(40, beta_T=0.2)
    kept = [round(40 * (i + 1) / steps) for i in range(steps)]
    x, known, hole = torch.randn(2, *SHAPE), torch.rand(1, *SHAPE) * 2 - 1, torch.rand(1, 1, *SHAPE[1:]) > 0.5
    for name, build in SAMPLERS.items():
        for jump, resamplings in ((1, 1), (2, 3), (3, 2), (100, 2)):
            p = toy(schedule, kind="learned", limit="unit-clamp")
            sampler = Resampled(build(), jump, resamplings)
            noise = [torch.randn(2, *SHAPE) for _ in range(sampler.moves(steps))]
            q, drawn = consistent(p, Outside(hole), known.double().masked_fill(hole, 0)), iter(noise)
            chained = chain(q.respace(kept), x.double(), sampler, lambda like, drawn=drawn: next(drawn).double())
            right.append([(step.t, step.x, step.x_0) for step in chained])
            data = told(p, kept=kept, x=array(x), noise=[array(z) for z in noise], known=array(known))
            again = {"jump": jump, "resamplings": resamplings}
            asked.append(data | {"name": name, "options": {}, "hole": array(hole.float()), "again": again})
    for one, mine, theirs in zip(asked, ask(tmp_path, "chains", each=asked), right, strict=True):
        assert [step[0] for step in mine] == [step[0] for step in theirs]
        for (_, x_t, x_0), (t, right_x, right_x_0) in zip(mine, theirs, strict=True):
            for a, b in ((x_t, right_x), (x_0, right_x_0)):
                assert float((tensor(a) - b).abs().max()) < 5e-6, (one["name"], one["again"], t)


def test_chain_from_the_middle(tmp_path):
    """From x_t on, with the steps up to t."""
    p = toy(ddpm.linear(40, beta_T=0.2))
    x, kept = torch.randn(1, *SHAPE), [1, 5, 9, 40]
    right = [step.x for step in run(p.respace(kept), start(p, x.double(), 3), ddpm.SAMPLERS["ddim"]())]
    (found,) = ask(tmp_path, "chains", each=[told(p, kept=kept, x=array(x), name="ddim", options={}, noise=[], t=3)])
    assert len(found) == 3
    for (_, mine, _), theirs in zip(found, right, strict=True):
        assert float((tensor(mine) - theirs).abs().max()) < 2e-6


def test_decoder(tmp_path):
    """The mass of a pixel's bin to 1e-9, from the middle to far out in the tails, of broad bins and narrow ones; all sum to 1."""
    each = []
    for levels in (2, 17, 256):
        for log_var in (-18.0, -9.0, -5.0, -1.0, 0.0, 3.0, 14.0, 30.0):
            for mean in (-1.5, -0.3, 0.0, 0.999, 40.0):
                every = range(levels) if levels < 100 else range(0, 256, 15)
                each += [[2 * value / (levels - 1) - 1, mean, log_var, levels] for value in every]
    found = torch.tensor(ask(tmp_path, "masses", each=each), dtype=torch.float64)
    columns = torch.tensor(each, dtype=torch.float64).unbind(1)
    right = torch.stack(
        [
            decoder.log_likelihood(x[None, None], Gaussian(m[None, None], v[None, None]), int(levels)).squeeze()
            for x, m, v, levels in zip(*columns, strict=True)
        ]
    )
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-12)
    whole = [[2 * value / 255 - 1, 0.2, -4.0, 256] for value in range(256)]
    assert math.fsum(map(math.exp, ask(tmp_path, "masses", each=whole))) == pytest.approx(1, abs=1e-12)


def test_terms(tmp_path):
    """L_{t-1}, L_0, L_T of an image to 1e-6, with each variance."""
    asked, right = [], []
    x_0 = torch.randint(0, 17, (1, *SHAPE)) / 8 - 1.0
    for kind in VARIANCES:
        p = toy(ddpm.linear(40, beta_T=0.2), kind=kind, limit="unit-clamp", levels=17)
        for t in (1, 2, 20, 40):
            x_t = p.q.sample(x_0, t, torch.randn_like(x_0))
            asked.append(told(p, x_0=array(x_0), x_t=array(x_t), t=t))
            nats, _ = bound.term(p, x_0.double(), x_t.double(), t)
            right.append((float(nats), float(bound.prior(p.q, x_0.double())), float(bound.bits_per_dim(nats, 24))))
    for mine, theirs in zip(ask(tmp_path, "terms", each=asked), right, strict=True):
        assert mine == pytest.approx(theirs, rel=2e-6, abs=1e-9)


def test_exponential(tmp_path):
    """To 1e-12 of its value."""
    x = torch.cat([torch.linspace(-700, 700, 3001), torch.linspace(-1, 1, 3001)]).double()
    found = torch.tensor(ask(tmp_path, "exponentials", each=x.tolist()), dtype=torch.float64)
    torch.testing.assert_close(found, x.exp(), rtol=1e-12, atol=0)


def test_random_numbers(tmp_path):
    """Gaussian by the test of Kolmogorov and Smirnov, the same again for a seed, and other ones for another purpose."""
    a, b = (tensor(found) for found in ask(tmp_path, "random", seed=7, count=20_000))
    again, _ = ask(tmp_path, "random", seed=7, count=20_000)
    other, _ = ask(tmp_path, "random", seed=8, count=20_000)
    assert torch.equal(a, tensor(again))
    for numbers in (a, b, tensor(other)):
        assert scipy.stats.kstest(numbers.numpy(), "norm").pvalue > 1e-3
    assert abs(float((a * b).mean())) < 0.03
    assert abs(float((a * tensor(other)).mean())) < 0.03
    assert abs(float((a[1:] * a[:-1]).mean())) < 0.03


def test_digests(tmp_path):
    """SHA-256 around the sizes at which its last block changes."""
    contents = [bytes(range(256)) * 3 + b"a" * size for size in (0, 1, 55, 56, 63, 64, 65)] + [b""]
    found = ask(tmp_path, "digests", each=[base64.b64encode(content).decode() for content in contents])
    assert found == [hashlib.sha256(content).hexdigest() for content in contents]


def test_best_steps(tmp_path):
    """The shortest path is the library's."""
    schedule, steps = ddpm.cosine(60), torch.arange(61, dtype=torch.float64)
    curve = Curve(0.3 * (steps / 60) ** 1.5 + 1e-4, steps, 1 + steps / 10)
    found = ask(tmp_path, "best", data=schedule_data(schedule), curve=curve_data(curve), count=6)
    kept, nats = best_steps(schedule, curve, 6)
    assert found == {"kept": kept, "nats": pytest.approx(nats, rel=1e-12)}
    assert kept != list(range(kept[0], 61))
