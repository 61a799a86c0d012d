"""What an answer concludes is what its own numbers say, on every schedule and of every length.

Each case reads the figures of the answer's table, decides by itself, and says which words must be there and which must not.
"""

import pytest

from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.diffusion.variance import FixedLarge
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.questions import ask, find
from ddpm.laboratory.verdict import verdict

NAMES = [name for name in SCHEDULES if name != "jsd"]  # alpha_bar_T = 0: no questions
LENGTHS = [10, 50, pytest.param(250, marks=pytest.mark.long), pytest.param(1000, marks=pytest.mark.long)]
EVERYWHERE = pytest.mark.parametrize("T", LENGTHS)
SCHEDULE = pytest.mark.parametrize("name", NAMES)


def _ask(question, name, T):
    setting = Setting(name, SCHEDULES[name](T))
    answer = ask(find(question), setting)
    return setting.schedule, answer.text, answer.tables[0].rows


def _says(text, condition, if_so, if_not):
    """Of two pairs of words (English, Korean) the first where `condition` holds, and not the other."""
    said, other = (if_so, if_not) if condition else (if_not, if_so)
    for words, language in zip(said, (text.en, text.ko), strict=True):
        assert words in language
    for words, language in zip(other, (text.en, text.ko), strict=True):
        assert words not in language


@SCHEDULE
@EVERYWHERE
def test_q22_which_way_the_weight_goes(name, T):
    schedule, text, _ = _ask("Q22", name, T)
    w = weights(schedule, FixedLarge())[2:].tolist()
    early = max(2, T // 10) - 1  # how many steps t = 2, 3, ... are counted as nearly clean
    in_the_bound, in_l_simple = sum(w[:early]) / sum(w), early / len(w)
    assert f"{in_the_bound:.2%}" in text.en
    assert f"{in_l_simple:.2%}" in text.ko
    _says(
        text,
        in_the_bound > in_l_simple,
        ("takes weight from the nearly clean", "비중을 줄이고"),
        ("gives weight to the nearly clean", "비중을 오히려 키운다"),
    )


def test_q22_two_steps_have_nothing_to_weigh():
    assert "nothing to weigh" in _ask("Q22", "linear", 2)[1].en


@SCHEDULE
@EVERYWHERE
def test_q25_equal_betas_leave_no_question(name, T):
    schedule, text, _ = _ask("Q25", name, T)
    beta = schedule.beta[1:]
    _says(
        text,
        float(beta.max() / beta.min()) > 1.01,
        ("times less where beta is smallest", "배 가볍게"),
        ("no difference to explain", "설명할 차이가 없다"),
    )


@SCHEDULE
@EVERYWHERE
def test_q16_what_a_large_step_keeps(name, T):
    _, text, rows = _ask("Q16", name, T)
    least = min(plugged / truth for _, _, truth, _, plugged in rows)
    _says(text, least < 0.95, ("keeps only", "만 남는 스텝"), ("the worst keeps", "가장 나쁜 것도"))
    assert f"{least:.1%}" in text.en


@SCHEDULE
@EVERYWHERE
def test_q16_an_estimate_that_is_called_impossible_is_none_of_the_data(name, T):
    _, text, _ = _ask("Q16", name, T)
    estimate = float(text.en.split("x_t = 0.5")[1].split("is ")[1].split()[0].rstrip("."))
    _says(text, estimate < 0.99, ("need not be possible", "있을 수 없는 값"), ("hardly differ", "차이가 거의 없다"))


@SCHEDULE
@EVERYWHERE
def test_q18_where_noise_exceeds_the_signal(name, T):
    schedule, text, rows = _ask("Q18", name, T)
    by_name = {row[0]: row for row in rows}
    noisy = (SCHEDULES["linear"](T).snr[1:] < 1).double().mean()
    words = text.en.split("rescaled with T) ")[1].split(", cosine")[0]
    assert words == (
        "has no step with more noise than signal"
        if noisy == 0
        else f"has more noise than signal in {noisy:.0%} of its steps (from t = {by_name['linear'][1]})"
    )
    _says(text, by_name["linear"][3] < 1e-3, ("next to nothing", "마찬가지다"), ("win back", "되찾지 못한다"))
    assert ("must be limited" in text.en, "제한해야" in text.ko) == (by_name["cosine"][5] > 0.5,) * 2
    assert "never" not in text.en
    own = float((schedule.snr[1:] < 1).double().mean())
    if name not in ("linear", "cosine") and own:
        assert f"{name} has more noise than signal in {own:.0%}" in text.en


@SCHEDULE
@EVERYWHERE
def test_q23_how_near_to_1_and_whether_samples_care(name, T):
    schedule, text, rows = _ask("Q23", name, T)
    ratio = schedule.beta_tilde[1:] / schedule.beta[1:]
    above = float((ratio > 0.9).double().mean())
    said = [words for words in ("Near 1 for most t", "Not for most t", "never exceeds 0.9") if words in text.en]
    assert said == ["never exceeds 0.9" if above == 0 else "Near 1 for most t" if above > 0.8 else "Not for most t"]
    spread = [row[5] for row in rows if row[0] == "1"][1:3]
    _says(
        text,
        min(spread) > 0.95,
        ("the choice hardly matters", "거의 영향이 없다"),
        ("matters for samples too", "샘플에도 영향이 있다"),
    )
    costs = {row[1]: row[2] for row in rows if row[0] == "1"}
    assert costs["beta-tilde, sigma_1^2 = beta-tilde_2"] > costs["beta, sigma_1^2 = beta_1"]  # "it costs more"


@SCHEDULE
@EVERYWHERE
def test_q24_from_one_end_to_the_other(name, T):
    _, text, rows = _ask("Q24", name, T)
    mine = [row for row in rows if row[0] == "two points"]
    _says(
        text,
        mine[0][5] < 0.1 and mine[-1][5] > 0.9,
        ("move from the lower end", "상한에("),
        ("stand at", "하한을 0, 상한을 1이라 하면"),
    )
    assert max(row[3] - row[4] for row in rows if row[0] == "N(0, 4)") > 0  # "H exceeds the upper bound"


@SCHEDULE
@pytest.mark.parametrize("T", [10, *(pytest.param(T, marks=pytest.mark.long) for T in (50, 250))])
def test_steps_reach_the_data_or_not(name, T):
    _, text, rows = _ask("steps", name, T)
    (_, few, floor, spread, few_nats), (_, whole, _, _, nats) = rows[0], rows[-1]
    _says(text, whole < floor + 2 * spread, ("Algorithm 2 reaches", "도달한다"), ("does not reach", "도달하지 못한다"))
    _says(
        text,
        few > whole + 2 * spread,
        ("what is missing then is not the network", "모자란 것은 신경망이 아니라"),
        ("no farther than with all", "스텝의 수가 아니다"),
    )
    assert nats <= few_nats


def test_a_verdict_without_a_case_is_an_error():
    assert verdict((False, "no", "아니다"), (True, "yes", "그렇다")).en == "yes"
    with pytest.raises(ValueError, match="the last case"):
        verdict((False, "no", "아니다"))


@SCHEDULE
@EVERYWHERE
def test_q20_rao_blackwell_is_about_eq_21_and_eq_3_is_compared_by_its_numbers(name, T):
    _, text, rows = _ask("Q20", name, T)
    raw, ratio, closed = ([float(cell) for cell in row[1:]] for row in rows)
    assert f"{ratio[-4]:.3g} nats^2 by Eq. 21 and {closed[-4]:.3g} in closed form" in text.en
    assert ("times less" in text.en, "분의 1이다" in text.ko) == (closed[-4] < ratio[-4],) * 2
    if raw[0] < closed[0]:  # t = 2
        assert f"at t = 2 it varies less ({raw[0]:.3g} against {closed[0]:.3g})" in text.en
        _says(
            text, raw[-4] > closed[-4], ("over t >= 2 more", "합은 더 크다"), ("no more either (", "합도 더 크지 않다")
        )
    _says(
        text, closed[-1] > raw[-1], ("other way round", "반대가 된다"), ("varies no more either:", "더 크지 않다. L_0")
    )
