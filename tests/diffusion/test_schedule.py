"""T1, T4, T18: the tables against 20-digit values, identities at every t, and what is refused."""

import math
import warnings
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from ddpm.diffusion import schedule as s
from ddpm.diffusion.bound import constants, prior_table
from ddpm.diffusion.objective import weights
from ddpm.diffusion.variance import FixedLarge, FixedSmall, beta_1

FULL = {"linear_1000": s.linear, "cosine_1000": s.cosine}
ENDS = {
    "linear_1000": s.linear,
    "cosine_1000": s.cosine,
    "quad_1000": s.quadratic,
    "const_1000": s.constant,
    "warmup10_1000": s.warmup,
    "warmup50_1000": lambda: s.warmup(fraction=0.5),
    "linear_10_unscaled": lambda: s.linear(10),
    "linear_1_unscaled": lambda: s.linear(1),
    "linear_2_unscaled": lambda: s.linear(2),
    "iddpm_linear_4000": lambda: s.linear(4000, 2.5e-5, 0.005),
    "iddpm_linear_100": lambda: s.linear(100, 1e-3, 0.2),
    "cosine_4000": lambda: s.cosine(4000),
    "cosine_100": lambda: s.cosine(100),
    "cosine_1": lambda: s.cosine(1),
    "jsd_1000": s.jsd,
}


@pytest.mark.parametrize("name", FULL)
def test_tables_agree_with_the_reference(name, reference):
    """T1: every entry to 1e-12."""
    q = FULL[name]()
    small, large, large_paper = FixedSmall(), FixedLarge(), FixedLarge(beta_1)
    tables = {
        "beta": q.beta,
        "alpha": q.alpha,
        "abar": q.alpha_bar,
        "one_minus_abar": q.one_minus_alpha_bar,
        "sqrt_abar": q.alpha_bar.sqrt(),
        "sqrt_one_minus_abar": q.one_minus_alpha_bar.sqrt(),
        "beta_tilde": q.beta_tilde,
        "beta_tilde_over_beta": q.beta_tilde / q.beta,
        "snr": q.snr,
        "log_snr": q.log_alpha_bar - q.log_one_minus_alpha_bar,
        "post_coef_x0_c1": q.posterior_x_0,
        "post_coef_xt_c2": q.posterior_x_t,
        "c1_plus_c2": q.posterior_x_0 + q.posterior_x_t,
        "logvar_fixedlarge": large_paper.table(q).log(),
        "logvar_fixedlarge_code": large.table(q).log(),
        "logvar_fixedsmall_clipped": small.table(q).log(),
        "w_eps_fixedlarge": weights(q, large_paper),
        "w_eps_code_fixedlarge": weights(q, large),
        "w_eps_code_fixedsmall": weights(q, small),
    }
    for t, row in reference["schedules"][name]["t"].items():
        for key, table in tables.items():
            assert float(table[int(t)]) == pytest.approx(float(row[key]), rel=1e-12), (key, t)
        if int(t) > 1:
            expected = float(row["C_fixedlarge_per_dim_nats"])
            assert float(constants(q, large)[int(t)]) == pytest.approx(expected, rel=1e-8, abs=1e-25)


@pytest.mark.parametrize("name", FULL)
def test_aggregates_agree_with_the_reference(name, reference):
    q, expected = FULL[name](), reference["schedules"][name]["aggregates"]
    w = weights(q, FixedLarge(beta_1))[1:]
    nats = float(constants(q, FixedLarge()).sum())
    assert nats == pytest.approx(float(expected["sum_C_fixedlarge_t2_to_T_nats_per_dim"]), rel=1e-12)
    assert float(w.sum()) == pytest.approx(float(expected["sum_w_eps_fixedlarge_t1_to_T"]), rel=1e-12)
    assert float(w.min()) == pytest.approx(float(expected["min_w_eps_fixedlarge"]), rel=1e-12)
    assert int(w.argmin()) + 1 == expected["argmin_w_eps_fixedlarge"]
    assert int((q.snr < 1).nonzero()[0]) == expected["first_t_with_snr_below_1"]


@pytest.mark.parametrize("name", ENDS)
def test_ends_and_prior_agree_with_the_reference(name, reference):
    """T11: L_T to 1e-10 relative, down to 1e-18 nats, where the usual formula has no digit left."""
    q, expected = ENDS[name](), reference["endpoints"][name]
    assert expected["T"] == q.T
    assert float(q.beta[1]) == pytest.approx(float(expected["beta_1"]), rel=1e-12)
    assert float(q.beta[-1]) == pytest.approx(float(expected["beta_T"]), rel=1e-12)
    assert float(q.alpha_bar[-1]) == pytest.approx(float(expected["abar_T"]), rel=1e-12)
    nats = expected["LT_nats_per_dim"]
    assert prior_table(q, 0.0) == pytest.approx(float(nats["x0sq=0"]), rel=1e-12)
    assert prior_table(q, 0.5) == pytest.approx(float(nats["x0sq=0.25"]), rel=1e-12)
    assert prior_table(q, 1.0) == pytest.approx(float(nats["x0sq=1"]), rel=1e-12)
    uniform = sum(prior_table(q, 2 * k / 255 - 1) for k in range(256)) / 256
    assert uniform == pytest.approx(float(nats["uniform256"]), rel=1e-12)


@pytest.mark.parametrize("T", [1, 2, 3, 50, 1000])
@pytest.mark.parametrize("name", s.SCHEDULES)
def test_identities_hold_at_every_t(name, T):
    """T4: E7, E31, E35 and E52, for every schedule there is."""
    q = s.SCHEDULES[name](T=T)
    t = torch.arange(1, T + 1)
    assert len(q.beta) == T + 1
    assert q.beta[0] == 0
    assert q.alpha_bar[0] == 1
    assert list(q.steps) == list(range(T, 0, -1))
    torch.testing.assert_close(q.alpha_bar[t], q.alpha[t] * q.alpha_bar[t - 1], rtol=1e-12, atol=0)
    torch.testing.assert_close(q.one_minus_alpha_bar, 1 - q.alpha_bar, rtol=1e-9, atol=1e-15)
    a, b = q.alpha[t].sqrt(), q.alpha_bar[t - 1].sqrt()
    sums = q.posterior_x_0[t] + q.posterior_x_t[t]
    torch.testing.assert_close(sums, (a + b) / (1 + a * b), rtol=1e-11, atol=0)
    gap = q.beta[t] ** 2 * q.alpha_bar[t - 1] / q.one_minus_alpha_bar[t]
    torch.testing.assert_close(q.beta[t] - q.beta_tilde[t], gap, rtol=1e-6, atol=1e-16)
    assert (q.posterior_x_0[1], q.posterior_x_t[1], q.beta_tilde[1]) == (1, 0, 0)
    later = t[(t > 1) & (q.alpha_bar[t] > 0)]
    w = weights(q, FixedSmall())[later]
    torch.testing.assert_close(w, 0.5 * (q.snr[later - 1] / q.snr[later] - 1), rtol=1e-7, atol=0)


@pytest.mark.parametrize("name", s.SCHEDULES)
def test_respacing_keeps_the_marginals(name):
    q = s.SCHEDULES[name](T=100)
    kept = [1, 2, 7, 30, 31, 99, 100]
    short = q.respace(kept)
    torch.testing.assert_close(short.alpha_bar[1:], q.alpha_bar[kept], rtol=1e-12, atol=0)
    assert short.timestep_map[1:].tolist() == [t - 1 for t in kept]
    again = short.respace([2, 5, 7])
    torch.testing.assert_close(again.alpha_bar[1:], q.alpha_bar[[2, 31, 100]], rtol=1e-9, atol=0)
    assert again.timestep_map[1:].tolist() == [1, 30, 99]
    torch.testing.assert_close(q.respace(range(1, 101)).beta, q.beta, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kept", [[], [3, 2], [2, 2], [0, 1], [1, 101]])
def test_respacing_refuses(kept):
    with pytest.raises(ValueError):
        s.linear(100, 1e-3, 0.2).respace(kept)


def test_log_snr_is_linear_and_its_steps_cost_the_same():
    q = s.log_snr(T=250, noise_1=0.06, log_snr_T=-9.2)
    log_snr = (q.log_alpha_bar - q.log_one_minus_alpha_bar)[1:]
    steps = log_snr[1:] - log_snr[:-1]
    torch.testing.assert_close(steps, steps[:1].expand(249), rtol=1e-9, atol=0)
    assert float(q.one_minus_alpha_bar[1].sqrt()) == pytest.approx(0.06, rel=1e-12)
    assert float(log_snr[-1]) == pytest.approx(-9.2, rel=1e-12)
    w = weights(q, FixedSmall())[2:]
    torch.testing.assert_close(w, w[:1].expand(249), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("beta", "match"),
    [
        ([0.0, 0.1, 0.0], r"beta\[2\] = 0.0"),
        ([0.0, 0.0, 0.1], r"beta\[1\] = 0.0"),
        ([0.0, 1.0, 0.5], r"beta\[1\] = 1.0"),
        ([0.0, 0.1, 1.1], r"beta\[2\] = 1.1"),
        ([0.0, -0.1, 0.5], r"beta\[1\] = -0.1"),
        ([0.0, math.nan, 0.5], r"beta\[1\] = nan"),
        ([0.1, 0.1, 0.5], "beta"),
        ([0.0], "beta"),
    ],
)
def test_impossible_betas_are_refused(beta, match):
    with pytest.raises(ValueError, match=match):
        s.Schedule(torch.tensor(beta, dtype=torch.float64))


def test_tables_that_are_not_given_are_formed():
    """What is read is a table always, and an empty one is not taken for none."""
    q = s.linear(10, 1e-3, 0.5)
    assert q.origin is None
    assert q.timestep_map.tolist() == [0, *range(10)]
    assert q.kept.tolist() == list(range(11))
    again = replace(q, timestep_map=10 * q.timestep_map)
    assert again.timestep_map.tolist() == [0, *range(0, 100, 10)]
    assert torch.equal(again.beta, q.beta)
    with pytest.raises(ValueError, match="timestep_map must be an int64 table of 11 entries"):
        s.Schedule(q.beta, torch.empty(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="kept must be an int64 table of 11 entries"):
        s.Schedule(q.beta, origin=q, kept=torch.empty(0, dtype=torch.int64))
    with pytest.raises(FrozenInstanceError):
        q.beta = q.beta


@pytest.mark.parametrize("t", [torch.tensor([1.0, 2.0]), torch.tensor([True, False]), 1.0, "1", None])
def test_what_is_no_integer_is_no_step(t):
    """A float `t` was taken for a place in the table, and failed there or worse."""
    unchecked = getattr(s.Schedule.check, "__wrapped__", s.Schedule.check)  # the tests' type checker refuses it first
    with pytest.raises(ValueError, match=r"t must be an int or a tensor of integers in 1..10, got "):
        unchecked(s.linear(10, 1e-3, 0.5), t)


def test_linear_with_too_large_an_end_is_refused():
    with pytest.raises(ValueError, match=r"beta\[6\] = 1.15"):
        s.linear(10, 0.1, 2.0)


@pytest.mark.parametrize("make", [lambda: s.linear(10), lambda: s.linear(1), lambda: s.linear().respace([1, 500])])
def test_signal_left_at_the_end_is_warned_of(make):
    with pytest.warns(s.SignalRemains, match="leaves signal"):
        make()


@pytest.mark.parametrize("name", s.SCHEDULES)
def test_a_schedule_says_what_it_is_in_a_line(name):
    """Its name, how many steps, and between which numbers beta lies."""
    schedule = s.SCHEDULES[name](T=40)
    low, high = float(schedule.beta[1:].min()), float(schedule.beta[1:].max())
    assert repr(schedule) == f"Schedule({name}, T = 40, beta {low:.3g} to {high:.3g})"
    assert repr(schedule.respace([1, 40])).startswith(f"Schedule({name}, T = 2 of 40, beta ")
    assert repr(s.Schedule(torch.tensor([0, 0.5, 0.999], dtype=torch.float64))) == "Schedule(T = 2, beta 0.5 to 0.999)"


def test_a_shorter_chain_does_not_say_again_what_the_whole_one_said():
    whole = s.linear(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole.respace([1, 5, 10]).respace([2, 3])


@pytest.mark.parametrize("name", s.SCHEDULES)
def test_no_schedule_warns_as_it_comes(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.SCHEDULES[name]()
