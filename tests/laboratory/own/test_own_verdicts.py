"""What an answer on a trained network concludes is what its numbers say: each verdict turns with them."""

import pytest
import torch

from ddpm.evaluation.paired import Difference
from ddpm.laboratory.answer import Text
from ddpm.laboratory.own import ablation, estimators, rate, score, variances, weights

A, B = Text("a", "가"), Text("b", "나")


def _difference(mean, error):
    return Difference(mean, error, torch.tensor([mean]))


CASES = {
    "Q22, from": (weights.which_way, (0.2, 0.3), "takes weight from", "비중을 줄인다"),
    "Q22, to": (weights.which_way, (0.3, 0.2), "gives weight to", "오히려 키운다"),
    "Q22, alike": (weights.which_way, (0.2, 0.2), "weighs the nearly clean images as", "같은 비중으로"),
    "Q5, less": (rate.learned, (_difference(-0.3, 0.1),), "has learned more", "많은 것을 배웠다"),
    "Q5, more": (rate.learned, (_difference(0.3, 0.1),), "has not yet learned", "아직 배우지 못했다"),
    "Q5, alike": (rate.learned, (_difference(0.1, 0.1),), "no difference is seen", "다르다고 할 수 없다"),
    "Q5, sooner": (rate.sooner, (30.0, 0.4, 0.2), "sooner", "더 일찍"),
    "Q5, later": (rate.sooner, (30.0, 0.2, 0.4), "later", "더 늦게"),
    "Q5, as soon": (rate.sooner, (30.0, 0.2, 0.2), "as soon", "같은 때에"),
    "Q5, never": (rate.sooner, (30.0, 0.2, None), "never comes down", "한 번도 내려오지"),
    "Q5, exact never": (rate.sooner, (30.0, None, 0.2), "exact model never is", "그러지 못한다"),
    "masking, order": (rate.of_the_order, (2.0, 2.01), "hardly matters", "거의 바꾸지 않는다"),
    "masking, no order": (rate.of_the_order, (2.0, 2.5), "depends on the order", "순서에 따라 다르다"),
    "masking, nearer": (rate.midway, (10.0, 20.0), "nearer to the images (10.00", "보다도 작다"),
    "masking, farther": (rate.midway, (20.0, 10.0), "no nearer", "작지 않다"),
    "Q20, less": (estimators.less, (200.0, 100.0), "scatters less, as it must", "이론대로"),
    "Q20, not less": (estimators.less, (200.0, 0.5), "does not scatter less", "흩어지지 않는다"),
    "Q20, reversed": (estimators.along_one_chain, (10.0, 200.0), "the other way round", "반대가 된다"),
    "Q20, not reversed": (estimators.along_one_chain, (200.0, 10.0), "closed form is better", "닫힌 식이 낫다"),
    "Q20, alike": (estimators.along_one_chain, (10.0, 10.5), "scatter alike", "둘이 비슷하다"),
    "Q23, beta": (variances.cheaper, (0.5, 0.1), "beta costs this network 0.5", "beta는 beta-tilde보다 0.5"),
    "Q23, beta-tilde": (variances.cheaper, (-0.5, 0.1), "beta-tilde costs this network 0.5", "beta-tilde는 beta보다"),
    "Q23, alike": (variances.cheaper, (0.1, 0.1), "cost this network as much", "다르다고 할 수 없다"),
    "Q23, left": (variances.left_to_win, (2.0, 1.8, 1.9), "would cost 0.2000 less", "0.2000 덜 든다"),
    "Q23, won": (variances.left_to_win, (1.8, 2.0, 1.9), "from pixel to pixel", "픽셀마다"),
    "Q23, best": (variances.left_to_win, (1.9, 1.9, 1.9), "within a hundredth", "백분의 일"),
    "Q24, within": (variances.within, (0, 12, 0.9), "between the two at every t", "모든 t >= 2에서 둘 사이"),
    "Q24, above": (variances.within, (3, 12, 1.4), "above beta at 3 of 11 steps", "3스텝에서 beta보다 크다"),
    "Q24, lower": (variances.tighter, (0.3, 0.5), "is lower (0.30)", "보다 낮다"),
    "Q24, higher": (variances.tighter, (0.5, 0.3), "is higher (0.50)", "보다 높다"),
    "Q24, alike": (variances.tighter, (0.5, 0.5), "where the entropy of the Gaussian is", "같은 곳에"),
    "Q4, nearer": (
        score.nearer,
        (99, 100),
        "nearer to that of real images than",
        "가우시안의 점수보다 실제 이미지의 점수에 가깝다",
    ),
    "Q4, farther": (score.nearer, (5, 100), "farther from", "점수에서 멀다"),
    "Q4, some": (score.nearer, (50, 100), "at the others", "나머지에서는"),
    "Q4, Algorithm 2": (score.which_sampler, (0.1, 0.3, 0.05), "Algorithm 2 comes nearer", "알고리즘 2가"),
    "Q4, Langevin": (score.which_sampler, (0.3, 0.1, 0.05), "Langevin dynamics comes nearer", "랑주뱅이"),
    "Q4, chance": (score.which_sampler, (0.1, 0.15, 0.05), "neither sampler", "우연을 넘어설"),
    "table-2, a": (ablation.compared, (_difference(0.5, 0.1), A, B), "a needs 0.5000", "가 쪽이 나 쪽보다"),
    "table-2, b": (ablation.compared, (_difference(-0.5, 0.1), A, B), "b needs 0.5000", "나 쪽이 가 쪽보다"),
    "table-2, alike": (
        ablation.compared,
        (_difference(0.1, 0.1), A, B),
        "no difference is seen",
        "다르다고 할 수 없다",
    ),
    "table-2, few steps": (ablation.how_far, (100,), "how fast they learn", "얼마나 빨리"),
    "table-2, many steps": (ablation.how_far, (1000,), "may still turn", "바뀔 수도 있다"),
    "table-2, diverged": (ablation.compared, (None, A, B), "diverged", "발산"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_turns_with_its_numbers(name):
    """The words of this case and of none of its brothers."""
    verdict, numbers, en, ko = CASES[name]
    said = verdict(*numbers)
    assert en in said.en
    assert ko in said.ko
    for other, (asked, _, other_en, _) in CASES.items():
        if asked is verdict and other != name:
            assert other_en not in said.en, other


def test_both_models_are_said_to_agree_only_if_they_do():
    same, other = weights.which_way(0.2, 0.3), weights.which_way(0.3, 0.2)
    assert "says the same" in weights.agreement(weights.which_way(0.1, 0.4), same).en
    assert "says otherwise" in weights.agreement(other, same).en


def test_q22_which_way_the_weight_goes(own_subject, own_answers):
    """Decided from the table's numbers, by hand."""
    bound = own_subject.by_network.bound
    in_bound = float(bound.by_t[2] / bound.by_t[2:].sum())
    in_l_simple = float(bound.mse_eps[2] / bound.mse_eps[2:].sum())
    text = own_answers["Q22"].text
    assert f"({in_l_simple:.2%} instead of {in_bound:.2%})" in text.en
    assert ("L_simple takes weight from" in text.en) == (in_bound > in_l_simple)


def test_q4_the_verdict_counts_the_steps(own_subject, own_answers):
    exact, network = (found.bound.mse_eps for found in own_subject.both)
    better = int((network[1:] < exact[1:]).sum())
    assert f"the smaller one at {better} of 12 steps" in own_answers["Q4"].text.en


def test_q24_the_verdict_counts_the_steps(own_subject, own_answers):
    """The best variance is above beta where the squared error is above 1 - alpha_bar_t."""
    errors = own_subject.by_network.bound.mse_x_0
    above = int((errors[2:] > own_subject.schedule.one_minus_alpha_bar[2:]).sum())
    said = own_answers["Q24"].text.en
    assert (f"above beta at {above} of 11 steps" in said) if above else ("between the two at every t" in said)


def test_q20_the_verdict_is_of_the_tables_columns(own_answers):
    (_, *raw), (_, *log_ratio), (_, *closed) = own_answers["Q20"].tables[0].rows
    text = own_answers["Q20"].text.en
    assert f"{log_ratio[3] / closed[3]:.3g} times less for this network ({log_ratio[0] / closed[0]:.3g}" in text
    ratio = closed[5] / raw[5]
    assert ("the other way round" in text) == (ratio > 1.1)
    assert ("closed form is better" in text) == (ratio < 1 / 1.1)
