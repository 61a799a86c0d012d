"""Every question has an answer, whatever the schedule; and the numbers that the specification quotes come out."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddpm.diffusion.schedule import SCHEDULES
from ddpm.errors import UsageError
from ddpm.figures.style import svg
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.questions import QUESTIONS, ask, find
from tests.laboratory.test_korean import assert_cases_korean, assert_korean

COSTLY = frozenset({"Q4", "Q6", "Q11", "Q12", "vae", "steps", "dimension", "mass", "implicit"})
"""Seconds each on other schedules: their own tests, on the usual one, are in every run."""
SHORT_AND_LONG = pytest.mark.parametrize("T", [100, pytest.param(1000, marks=pytest.mark.long)])
"""Questions that follow thousands of images along the chain: a short one in every run."""


def test_all_of_them_are_there():
    assert [name for name in QUESTIONS if name.startswith("Q")] == [f"Q{n}" for n in range(1, 36)]
    assert {"steps", "masking", "last-step"} <= set(QUESTIONS)
    assert {"mle", "kernel", "joint", "start", "dimension", "vae", "implicit", "prior", "mass"} <= set(QUESTIONS)
    assert find("q20") is QUESTIONS["Q20"]
    with pytest.raises(UsageError, match="Q36"):
        find("Q36")


def _words(text):
    return set(re.findall(r"\d+\.\d+(?:e-?\d+)?", text))


def test_some_schedules_leave_nothing_to_ask():
    with pytest.raises(UsageError, match="at least 2 steps: 1"):
        Setting("cosine", SCHEDULES["cosine"](1))
    with pytest.raises(UsageError, match="jsd ends at alpha_bar_T = 0"):
        Setting("jsd", SCHEDULES["jsd"](10))


def _asked(name, schedule, T, seed):
    return ask(find(name), Setting(schedule, SCHEDULES[schedule](T), seed))


def _require_whole(answer):
    """In both languages with the same numbers, tables without NaN, a figure that can be drawn."""
    assert len(answer.text.en) > 100
    assert re.search("[가-힣]", answer.text.ko)
    assert _words(answer.text.en) == _words(answer.text.ko)
    assert "nan" not in answer.text.en.lower().split()
    assert answer.tables
    for table in answer.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
        numbers = [cell for row in table.rows for cell in row if isinstance(cell, float)]
        assert not any(math.isnan(number) for number in numbers)
    assert svg(answer.figure).startswith("<svg")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in COSTLY else name for name in QUESTIONS]
)
def test_any_schedule_will_do(name, every_case):
    """Whole and Korean; tables change with the schedule if and only if it is used, and with the seed only if that is."""
    one, other = (_asked(name, *setting) for setting in (("constant", 2, 1), ("cosine", 50, 1)))
    uses = QUESTIONS[name].uses
    assert (_rows(one) != _rows(other)) == ("schedule" in uses)
    for answer in (one, other) if "schedule" in uses else (one,):
        _require_whole(answer)
        assert_korean(answer)
    assert_cases_korean(every_case)
    assert "seed" in uses or _rows(one) == _rows(_asked(name, "constant", 2, 2))


@pytest.mark.long
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_long_chain_will_do(name):
    _require_whole(_asked(name, "linear", 250, 1))


def _rows(answer):
    return [table.rows for table in answer.tables]


def _table(answer, index=0):
    return answer.tables[index].rows


def test_q1_bounds_and_gaps(answers):
    rows = {row[0]: row for row in _table(answers("Q1"))}
    for T, gap in ((1, 0.000112), (2, 0.0212), (3, 0.0303), (10, 0.0731), (1000, 0.00109)):
        assert rows[T][3] == pytest.approx(gap, rel=5e-3)
    assert rows[1][2] == pytest.approx(1.0438, abs=5e-5)
    assert rows[1000][2] == pytest.approx(0.7269, abs=5e-5)


def test_q2_the_past_says_nothing(answers):
    for _, partial, correlation, expected in _table(answers("Q2")):
        assert abs(partial) < 4 / math.sqrt(200_000)
        assert correlation == pytest.approx(expected, abs=4 / math.sqrt(200_000))


@pytest.mark.long
def test_q3_one_bound_and_one_sample(answers):
    rows = _table(answers("Q3"))
    assert len(rows) == 4
    assert max(r[1] for r in rows) - min(r[1] for r in rows) < 1e-10
    assert max(r[2] for r in rows) < 1e-9


@SHORT_AND_LONG
def test_q4_score_langevin_and_matching(answers, T):
    score, matching, samplers = (_table(answers("Q4", T), i) for i in range(3))
    assert all(row[2] < 1e-8 for row in score)
    assert max(row[3] for row in matching) - min(row[3] for row in matching) < 1e-9
    assert matching[-1][2] == pytest.approx(0, abs=1e-12)
    (_, _, floor), (_, _, ours), (_, _, langevin) = samplers
    assert ours < 3 * floor
    assert langevin < 10 * floor


def test_q5_rate_and_distortion(answers, reference):
    rows = {row[0]: row for row in _table(answers("Q5"))}
    cases = [case for case in reference["gaussian_rate_distortion"] if case["t"] in rows]
    assert len(cases) >= 3
    for case in cases:
        assert rows[case["t"]][1] == pytest.approx(float(case["rate_bits_per_dim"]), rel=1e-8)
        assert rows[case["t"]][2] == pytest.approx(float(case["rmse_255"]), rel=1e-8)


@pytest.mark.long
def test_q6_the_best_chain_approaches_the_entropy(answers):
    entropy = -sum(p * math.log2(p) for p in (0.5, 0.05, 0.15, 0.3))
    rows = _table(answers("Q6"))
    assert all(entropy < row[1] < row[2] for row in rows)
    assert rows[-1][1] - entropy < 0.03
    assert rows[-1][2] == pytest.approx(2, abs=0.05)


def _information(beta):
    """KL from q(x_1|x_2) to the Gaussian of x_1's moments, by sums on a grid: two points at ±sqrt(1/2), noise 1/2, then beta."""
    x, y = torch.linspace(-6, 6, 1201, dtype=torch.float64), torch.linspace(-8, 8, 1601, dtype=torch.float64)
    normal = torch.distributions.Normal

    def log_law(places, centre, variance):
        parts = [normal(sign * centre, math.sqrt(variance)).log_prob(places) for sign in (-1.0, 1.0)]
        return torch.stack(parts).logsumexp(0) - math.log(2)

    first = log_law(x, math.sqrt(0.5), 0.5)
    both = first[:, None] + normal(math.sqrt(1 - beta) * x[:, None], math.sqrt(beta)).log_prob(y)
    second = log_law(y, math.sqrt(0.5 * (1 - beta)), 0.5 * (1 - beta) + beta)
    ratio = both - second - normal(0.0, 1.0).log_prob(x)[:, None]
    return float((both.exp() * ratio).sum()) * 0.01**2


def test_q7_beta_cubed(answers):
    rows = {row[0]: row for row in _table(answers("Q7"))}
    assert rows[0.001][2] == pytest.approx(rows[0.005][2], rel=0.02)
    for beta, nats, _, _, blind in rows.values():
        assert blind == pytest.approx(_information(beta), abs=1e-3)
        assert blind > nats


def test_q8_scaling(answers):
    rows = {row[0]: row for row in _table(answers("Q8"))}
    assert rows["0..255"][2] == pytest.approx(0.632, abs=5e-4)
    assert rows["[-1, 1]"][2] == pytest.approx(9.781e-6, rel=1e-3)


def test_q9_simulation_agrees(answers):
    for row in _table(answers("Q9")):
        for exact, simulated in zip(row[1::2], row[2::2], strict=True):
            assert simulated == pytest.approx(exact, rel=4 * math.sqrt(2 / 20_000))


def test_q10_three_ways_to_one_bound(answers):
    for _, by_terms, by_joint, nll, divergence, gap in _table(answers("Q10")):
        assert by_joint == pytest.approx(by_terms, abs=1e-9)
        assert nll + divergence == pytest.approx(by_terms, abs=1e-9)
        assert divergence == pytest.approx(gap, abs=1e-9)


@pytest.mark.long
def test_q11_only_the_ends_matter(answers):
    quoted = {100: (4.266, 6.448), 1000: (3.9454, 4.069), 10_000: (3.9155, 3.927), 100_000: (3.9125, 3.9137)}
    for T, by_log, by_angle, limit in _table(answers("Q11")):
        digits = {100: 5e-4, 1000: 5e-4, 10_000: 5e-4, 100_000: 1e-4}[T]
        assert (by_log, by_angle) == pytest.approx(quoted[T], abs=digits)
        assert limit == pytest.approx(3.91217, abs=5e-6)
    assert "4.3685" in answers("Q11").text.en
    above = dict(_table(answers("Q11"), 1))
    assert 0 < above["learned"] < 0.7 * min(above[name] for name in ("linear", "cosine", "log SNR uniform"))


@pytest.mark.long
def test_q12_depth(answers):
    rows = _table(answers("Q12"))
    for column in (1, 2, 3):
        assert all(row[column] > 0 for row in rows)
    best = [row[3] for row in rows]
    assert best == sorted(best, reverse=True)
    assert all(row[3] <= min(row[1:3]) + 1e-9 for row in rows)
    assert best[-1] < 0.005


def test_q13_steps_and_jump(answers):
    for _, scale, jumped, variance, at_once, factor in _table(answers("Q13")):
        assert scale == pytest.approx(jumped, abs=1e-13)
        assert variance == pytest.approx(at_once, abs=1e-13)
        assert factor == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_q14_the_gradients_agree(answers):
    *_, (_, _, random, error), (_, _, every, other) = _table(answers("Q14"))
    assert abs(random - every) < 4 * math.hypot(error, other)


def test_q15_monte_carlo_converges(answers):
    for _, mean, error, exact in _table(answers("Q15"))[1:]:
        assert abs(mean - exact) < 4.5 * error


def test_q16_the_mean_is_no_data(answers):
    assert "0.4789" in answers("Q16").text.en
    rows = _table(answers("Q16"))
    for _, _, truth, drawn, plugged in rows:
        assert drawn == pytest.approx(truth, rel=1e-9)
        assert plugged <= drawn + 1e-12
    assert min(plugged / truth for _, _, truth, _, plugged in rows) < 0.95


def test_q17_the_sum_of_the_coefficients(answers):
    assert _table(answers("Q17"))[-1][3] == pytest.approx(0.990077, abs=5e-7)
    cosine = ask(find("Q17"), Setting("cosine", SCHEDULES["cosine"](1000)))
    assert _table(cosine)[-1][3] == pytest.approx(0.03318, abs=5e-6)


def test_q18_linear_and_cosine(answers):
    rows = {row[0]: row for row in _table(answers("Q18"))}
    assert (rows["linear"][1], rows["cosine"][1]) == (260, 497)
    assert rows["cosine"][4] == pytest.approx(20291.17, abs=0.5)
    assert rows["cosine"][5] == pytest.approx(0.974, abs=5e-4)
    assert rows["cosine"][3] < 1e-9


def test_q19_their_arrays_are_ours(answers):
    assert all(row[2] < 1e-10 for row in _table(answers("Q19")))


def test_q20_on_a_short_chain(answers):
    """The figures of ten times the images, with two other seeds."""
    *_, fresh, chain = zip(*(row[1:] for row in _table(answers("Q20", 100))), strict=True)
    raw, ratio, closed = (row[1:6] for row in _table(answers("Q20", 100)))
    assert raw == pytest.approx((0.0181, 0.111, 0.407, 30.7, 3067), rel=0.2)
    assert ratio == pytest.approx((12.1, 2.93, 0.065, 100, 1.0e4), rel=0.2)
    assert closed == pytest.approx((4.51, 0.266, 1.30e-4, 13.6, 1357), rel=0.2)
    assert chain == pytest.approx((8.03, 8.03, 102.5), rel=0.2)
    assert chain[0] == pytest.approx(chain[1], rel=1e-9)
    assert fresh[2] < min(fresh[:2])
    assert all(c <= r for c, r in zip(closed, ratio, strict=True))


@pytest.mark.long
def test_q20_rao_blackwell_and_its_surprise(answers):
    """The figures of E37's measurement (Monte Carlo both: within 15%, along one chain 20%)."""
    *_, fresh, chain = zip(*(row[1:] for row in _table(answers("Q20"))), strict=True)
    raw, ratio, closed = (row[1:6] for row in _table(answers("Q20")))
    assert raw == pytest.approx((0.0070, 0.094, 0.298, 171.1, 1.71e5), rel=0.2)
    assert ratio == pytest.approx((7.95, 0.216, 2.96e-4, 113.6, 1.13e5), rel=0.2)
    assert closed == pytest.approx((2.59, 0.00148, 2.7e-9, 8.1, 8.1e3), rel=0.2)
    assert chain == pytest.approx((13.2, 13.2, 147.8), rel=0.2)
    assert chain[0] == pytest.approx(chain[1], rel=1e-9)
    assert fresh[2] < fresh[1] < fresh[0]
    assert all(c <= r for c, r in zip(closed, ratio, strict=True))


def test_q21_the_optimal_variance_is_the_best(answers):
    rates = {(row[0], row[1]): row[3] for row in _table(answers("Q21"))}
    for name in ("as set", "cosine"):
        assert rates[name, "optimal"] < min(rates[name, "beta"], rates[name, "beta-tilde"])
        assert rates[name, "optimal"] > math.log(2) - 0.01


def test_q25_one_nat_is_not_one_distance(answers):
    rows = {row[0]: row for row in _table(answers("Q25"))}
    assert rows[1000][4] / rows[1][4] == pytest.approx(200)
    for t, eps, x_0, mean, _ in rows.values():
        assert (eps, t) == (1, t)
        assert mean < x_0 or t == 1
    assert "200 times" in answers("Q25").text.en


def test_q22_weights(answers):
    """Over t >= 2: t = 1 is L_0, and not Eq. 12."""
    rows = {row[0]: row for row in _table(answers("Q22"))}
    assert 1 not in rows
    assert rows[1000][1] == pytest.approx(0.0102045, abs=5e-8)
    assert "smallest 0.004968 at t = 349" in answers("Q22").text.en
    assert "34.08%" in answers("Q22").text.en
    assert "9.91%" in answers("Q22").text.en
    assert "9.82%" in _asked("Q22", "log-snr", 1000, 1).text.en


def test_q23_what_the_variance_costs(answers):
    rows = [row for row in _table(answers("Q23")) if row[0] == "1"]
    paper, code, small, optimal = rows
    assert paper[4] == pytest.approx(0, abs=1e-9)
    assert code[4] == pytest.approx(0.113703, abs=5e-7)
    assert small[4] == pytest.approx(0.578575, abs=5e-7)
    assert optimal[4] == pytest.approx(0, abs=1e-7)
    assert all(f"{bits} bits/dim" in answers("Q23").text.en for bits in ("0.8347", "0.6707", "0.4864"))


def test_q24_between_the_bounds(answers):
    positions = {(row[0], row[1]): row[5] for row in _table(answers("Q24"))}
    quoted = {20: 0.0, 100: 0.045, 200: 0.705, 300: 0.955, 500: 0.9997}
    for t, position in quoted.items():
        assert positions["two points", t] == pytest.approx(position, abs=5e-4)
        assert positions["N(0, 1)", t] == pytest.approx(1, abs=1e-9)
        assert positions["N(0, 4)", t] > 1


def test_q26_line_by_line(answers):
    """Eq. 8-12, evaluated on the same images."""
    assert all(row[5] < 1e-8 for row in _table(answers("Q26")))


def test_q27_bayes(answers):
    assert all(difference < 1e-9 * size for _, difference, size in _table(answers("Q27")))


def test_q28_the_mixture_is_wider(answers):
    (_, _, one), (_, _, both) = _table(answers("Q28"))
    assert both > one


def test_q29_the_mean_log_ratio_is_the_divergence(answers):
    for *_, exact, mean, error, _ in _table(answers("Q29")):
        assert abs(mean - exact) < 4.5 * error


def test_q29_sums_of_bins_rise_to_the_integral(answers):
    """Coarser bins tell two laws less well apart; by scipy's own normal law."""
    rows = _table(answers("Q29"), 1)
    found = [row[1] for row in rows]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(rows[-1][2], rel=1e-5)
    assert rows[-1][2] == pytest.approx(math.log(2) + 2 / 8 - 0.5)
    for width, total, _ in rows[:3]:
        edges = np.arange(-20, 20 + width, width)
        p, q = (norm.cdf(edges + width / 2, m, s) - norm.cdf(edges - width / 2, m, s) for m, s in ((0, 1), (1, 2)))
        kept = p > 1e-30
        assert total == pytest.approx(float((p[kept] * np.log(p[kept] / q[kept])).sum()), rel=1e-9)


def test_q3_what_is_left_to_the_network(answers):
    """beta_t/sqrt(1 - alpha_bar_t) at t = 300 of the linear schedule, by a loop."""
    alpha_bar = 1.0
    for t in range(1, 301):
        beta = 1e-4 + (t - 1) / 999 * (0.02 - 1e-4)
        alpha_bar *= 1 - beta
    assert f"{beta / math.sqrt(1 - alpha_bar):.4f}" in answers("Q3").text.en


def test_q30_l_t_depends_on_x_0(answers):
    rows = dict(_table(answers("Q30")))
    assert rows[0.0] == pytest.approx(4.07e-10, rel=2e-3)
    assert rows[0.5] == pytest.approx(5.05e-6, rel=2e-3)
    assert rows[1.0] == pytest.approx(2.02e-5, rel=2e-3)


def test_q31_the_constant(answers):
    assert all(row[5] < 1e-9 for row in _table(answers("Q31")))
    assert "0.33716" in answers("Q31").text.en
    assert "0.48642" in answers("Q31").text.en


def test_q32_only_the_right_coefficient_fits(answers):
    for t, right, *wrong in _table(answers("Q32")):
        assert right < 1e-9
        assert min(wrong) > (1e-3 if t <= 500 else 1e-6)  # the missing root goes to 1 with alpha_bar to 0


def test_q33_every_draw_agrees(answers):
    assert _table(answers("Q33"))[0][2] < 1e-12


def test_q34_no_path_through_x_t(answers):
    (_, with_path, _), (_, constant, _), (_, by_schedule, error) = _table(answers("Q34"))
    assert with_path == pytest.approx(constant, rel=1e-12)
    assert abs(by_schedule + 0.75) < 4 * error < 0.05


def test_q35_only_whole_bins_add_up(answers):
    for _, _, whole, half in _table(answers("Q35")):
        assert whole == pytest.approx(1, abs=1e-12)
        assert half < 0.999


@SHORT_AND_LONG
def test_appendix_a_line_by_line(answers, T):
    """Eq. 17-26, each on the same 4000 chains."""
    rows = {row[0]: row for row in _table(answers("derivation", T))}
    exact = rows["Eq. 26"][2]
    for name in ("Eq. 17-18", "Eq. 19-20", "Eq. 21", "Eq. 23-24", "Eq. 25"):
        assert rows[name][4] < 1e-9
    for name in ("Eq. 17-18", "Eq. 22"):
        assert abs(rows[name][2] - exact) < 4 * rows[name][3]
    assert rows["Eq. 22"][4] == "-"


def test_a_hundred_steps_come_close_to_the_data(answers):
    """As near as data are to data; in nats the closer the more steps."""
    rows = _table(answers("steps", 100))
    _, distance, floor, spread, nats = rows[-1]
    assert abs(distance - floor) < 3 * spread
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    assert 0 < nats < 0.1 * rows[0][4]


@pytest.mark.long
def test_steps_reach_the_data(answers):
    """Two-sample: at T = 1000 no farther than data are from data; and exactly, on a line, in nats."""
    rows = _table(answers("steps"))
    _, distance, floor, spread, nats = rows[-1]
    assert abs(distance - floor) < 3 * spread
    assert rows[0][1] > floor + 6 * spread
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    assert 0 < nats < 0.02 * rows[0][4]


def test_masking_reaches_the_entropy(answers):
    (*_, (_, exact, uniform)) = _table(answers("masking"))
    assert exact < uniform == pytest.approx(4 * math.log(3))
    assert f"{exact:.12f}" in answers("masking").text.en
