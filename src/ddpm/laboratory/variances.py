"""The variance of the reverse kernel: what a choice costs, and its bounds (Q23, Q24)."""

import math
from collections.abc import Sequence

from torch import Tensor

from ddpm.analytic.bound import linear_chain
from ddpm.analytic.mixture import Mixture, gaussian, two_points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import expected, kernel_entropy, mmse
from ddpm.diffusion.bound import constants
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Optimal, Variance, beta_1
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.verdict import verdict


def beta_or_beta_tilde(setting: Setting) -> Answer:
    """What the two fixed variances cost N(0, v) in nats, and do to the variance of samples."""
    schedule, rows = setting.schedule, []
    rules: dict[str, Variance] = {
        "beta, sigma_1^2 = beta_1": FixedLarge(beta_1),
        "beta, sigma_1^2 = beta-tilde_2": FixedLarge(),
        "beta-tilde, sigma_1^2 = beta-tilde_2": FixedSmall(),
    }
    for v in (0.25, 1.0, 4.0):
        diffused = Diffused(gaussian(v), schedule)
        optimal = {"optimal": Optimal(mmse(diffused))}
        for name, rule in (rules | optimal).items():
            chain = linear_chain(diffused.process(rule), v)
            rows.append((f"{v:g}", name, chain.bound, chain.nll, chain.gap, chain.displayed_var / v))
    ratio = schedule.beta_tilde[1:] / schedule.beta[1:]
    figure, (left, right) = panels(2)
    left.plot(range(1, setting.T + 1), ratio, color=PURPLE)
    left.set(title=f"β̃/β, {setting.label}", xlabel="t", ylabel="β̃(t)/β(t)", xscale="log")
    names = ["σ² = β, σ₁² = β₁", "σ² = β, σ₁² = β̃₂", "σ² = β̃, σ₁² = β̃₂", "optimal"]
    bars = right.barh(names, [max(row[4], 0.0) for row in rows[4:8]], color=[BLUE, BLUE, ORANGE, GREEN], height=0.6)
    right.bar_label(bars, fmt="%.4f", padding=3, fontsize=8)
    right.set(title="N(0, 1): gap of the bound", xlabel="nats/dim", xlim=(0, 1.2 * max(row[4] for row in rows[4:8])))
    right.grid(axis="y", visible=False)
    unit, near = rows[4:8], (ratio > 0.9).nonzero()
    from_here = int(near[0]) + 1 if len(near) else setting.T
    first, rest = (unit[2][2] - unit[i][2] for i in (0, 1))
    wasted = constants(schedule, FixedLarge())
    C = float(wasted.sum()) / math.log(2)
    near_1 = _how_near_1(ratio, float(wasted[:from_here].sum() / wasted.sum()), from_here)
    samples, likeness = _whether_samples_care(unit[1][5], unit[2][5])
    return Answer(
        Text(
            f"{near_1.en}. {samples.en} (for N(0, 1) their variance is "
            f"{unit[1][5]:.4f} of the right one with beta, {unit[2][5]:.4f} with beta-tilde); for likelihoods it does "
            "matter. For N(0, 1) "
            f"beta-tilde with its sigma_1^2 = beta-tilde_2 costs {first:.4f} nats/dim = {first / math.log(2):.4f} "
            f"bits/dim more than beta with sigma_1^2 = beta_1, and {rest:.4f} nats/dim = {rest / math.log(2):.4f} "
            "bits/dim more than beta with the published sigma_1^2. For nearly deterministic data, such as images, it "
            f"is the other way round: beta wastes C, here {C:.4f} bits/dim (Q31). {likeness.en}.",
            f"{near_1.ko}. {samples.ko}. N(0, 1)에서 샘플의 분산은 beta로 옳은 값의 {unit[1][5]:.4f}배, beta-tilde로 "
            f"{unit[2][5]:.4f}배다. 우도에는 영향이 있다. N(0, 1)에서 "
            f"beta-tilde(sigma_1^2 = beta-tilde_2)는 sigma_1^2 = beta_1인 beta보다 {first:.4f} nats/dim = "
            f"{first / math.log(2):.4f} bits/dim, 발표된 sigma_1^2을 쓰는 beta보다 {rest:.4f} nats/dim = "
            f"{rest / math.log(2):.4f} bits/dim 더 든다. 이미지처럼 거의 결정론적인 데이터에서는 반대로 beta가 C, "
            f"여기서 {C:.4f} bits/dim을 버린다(Q31). {likeness.ko}.",
        ),
        [Table(("v", "variance", "L, nats", "NLL, nats", "gap, nats", "variance of samples / v"), rows)],
        figure,
    )


def entropy_bounds(setting: Setting) -> Answer:
    """Where the reverse entropy lies between those of beta-tilde and beta, and where the optimal variance lies."""
    schedule, rows = setting.schedule, []
    data: dict[str, Mixture] = {"two points": two_points(), "N(0, 1)": gaussian(1.0), "N(0, 4)": gaussian(4.0)}
    steps = [t for t in (20, 50, 100, 200, 300, 500, 900) if t <= setting.T]
    steps = steps if len(steps) > 2 else some_steps(schedule, first=2)
    for name, law in data.items():
        diffused = Diffused(law, schedule)
        optimal = Optimal(mmse(diffused)).table(schedule)
        for t in steps:
            low, high = (
                0.5 * math.log(2 * math.pi * math.e * float(table[t])) for table in (schedule.beta_tilde, schedule.beta)
            )
            h = kernel_entropy(diffused, t)
            rows.append((name, t, low, h, high, (h - low) / (high - low), float(optimal[t] / schedule.beta[t])))
    figure, (left, right) = panels(2)
    for name, color in zip(data, (BLUE, GREY, ORANGE), strict=True):
        mine = [row for row in rows if row[0] == name]
        left.plot([r[1] for r in mine], [r[5] for r in mine], color=color, marker="o", label=name)
        right.plot([r[1] for r in mine], [r[6] for r in mine], color=color, marker="o", label=name)
    left.set(title="Entropy: 0 is β̃'s, 1 is β's", xlabel="t", ylabel="position of H(x(t−1)|x(t))")
    left.legend()
    right.plot(range(2, setting.T + 1), schedule.beta_tilde[2:] / schedule.beta[2:], color=PURPLE, lw=1, label="β̃/β")
    right.set(title="Optimal variance", xlabel="t", ylabel="σ*²/β", ylim=(0.9, None))
    right.legend()
    above = max((row[3] - row[4] for row in rows if row[0] == "N(0, 4)"), default=0.0)
    two = _from_end_to_end([row for row in rows if row[0] == "two points"])
    return Answer(
        Text(
            "The best variance is beta-tilde + c^2 E Var(x_0|x_t), c the weight of x_0 in Eq. 7: beta-tilde for a "
            "single point, where nothing is left to guess, and exactly beta for N(0, I). In between lies the "
            "entropy. Conditioning reduces it, so H(x_{t-1}|x_t) is at least H(x_{t-1}|x_t, x_0), that of a Gaussian "
            "with variance beta-tilde. And H(x_{t-1}|x_t) = H(x_t|x_{t-1}) + H(x_{t-1}) - H(x_t), where H(x_{t-1}) "
            "<= H(x_t) if every coordinate has variance 1 (that is what 'coordinatewise unit variance' means, not "
            "that the covariance is I), because then H(x_t) is a constant less D_KL(q(x_t)||N(0, I)), which only "
            "falls: at most that of beta. For N(0, 4) the premise fails, and H exceeds the 'upper bound' by up to "
            f"{above:.1e} nats. {two.en}.",
            "최적의 분산은 beta-tilde + c^2 E Var(x_0|x_t)다(c는 식 7에서 x_0의 계수). 데이터가 한 점이면 추측할 "
            "것이 없어 beta-tilde이고, N(0, I)이면 정확히 beta다. 엔트로피는 그 사이에 있다. 조건을 더하면 "
            "엔트로피가 줄어드므로 H(x_{t-1}|x_t)는 분산 beta-tilde인 가우시안의 엔트로피 H(x_{t-1}|x_t, x_0)보다 "
            "작지 않다. 또 H(x_{t-1}|x_t) = H(x_t|x_{t-1}) + H(x_{t-1}) - H(x_t)인데, 모든 좌표의 분산이 1이면 "
            "H(x_t)는 상수에서 D_KL(q(x_t)||N(0, I))를 뺀 것이고 이 KL은 줄기만 하므로 H(x_{t-1}) <= H(x_t)이고, "
            "따라서 beta의 것보다 크지 않다('좌표별 단위 분산'은 각 좌표의 분산이 1이라는 뜻이지 공분산이 I라는 뜻이 "
            f"아니다). N(0, 4)는 이 전제를 깨서 H가 '상한'을 최대 {above:.1e} nats 넘는다. {two.ko}.",
        ),
        [
            Table(
                ("data", "t", "beta-tilde, nats", "H(x_{t-1}|x_t), nats", "beta, nats", "position", "optimal/beta"),
                rows,
            )
        ],
        figure,
    )


def _how_near_1(ratio: Tensor, before: float, first: int) -> Text:
    """beta-tilde/beta for t = 1..T: in how many steps it is near 1; `before` is the share of C in those before t = `first`."""
    T, above = len(ratio), float((ratio > 0.9).double().mean())
    return verdict(
        (
            above == 0,
            f"No: with this schedule it never exceeds 0.9 (at most {float(ratio.max()):.4f})",
            f"아니다. 이 스케줄에서는 한 번도 0.9를 넘지 않는다(최대 {float(ratio.max()):.4f})",
        ),
        (
            above > 0.8,
            f"Near 1 for most t (above 0.9 in {above:.0%} of the steps, from t = {first} of {T}), but not in "
            f"the first ones, and there lie {before:.0%} of what the choice costs (C)",
            f"대부분의 t에서 1에 가깝다(스텝의 {above:.0%}, 곧 {T}스텝 가운데 t = {first}부터 0.9를 넘는다). "
            f"그러나 처음 몇 스텝에서는 그렇지 않은데, 선택의 대가(C) 가운데 {before:.0%}가 거기에 있다",
        ),
        (
            True,
            f"Not for most t: with this schedule it is above 0.9 in {above:.0%} of the steps only (from t = {first} "
            f"of {T}), and the others hold {before:.0%} of what the choice costs (C)",
            f"대부분의 t에서 그렇지는 않다. 이 스케줄에서 0.9를 넘는 것은 스텝의 {above:.0%}뿐이고({T}스텝 가운데 t "
            f"= {first}부터), 선택의 대가(C) 가운데 {before:.0%}가 나머지에 있다",
        ),
    )


def _whether_samples_care(with_beta: float, with_beta_tilde: float) -> tuple[Text, Text]:
    """What the choice does to samples, by their variance relative to the right one; and what the paper's words are about."""
    alike = min(with_beta, with_beta_tilde) > 0.95
    samples = verdict(
        (
            alike,
            "For samples the choice hardly matters",
            "샘플에는 거의 영향이 없다",
        ),
        (
            True,
            "With this schedule the choice matters for samples too",
            "이 스케줄에서는 샘플에도 영향이 있다",
        ),
    )
    likeness = verdict(
        (
            alike,
            "So 'similar results' in section 3.2 is about samples (P-4)",
            "3.2절의 '비슷한 결과'는 샘플에 대한 말이다(P-4)",
        ),
        (
            True,
            "So 'similar results' in section 3.2 is about samples, and about the paper's thousand small steps (P-4)",
            "3.2절의 '비슷한 결과'는 샘플에 대한 말이고, 논문의 작은 스텝 천 개에 대한 말이다(P-4)",
        ),
    )
    return samples, likeness


def _from_end_to_end(rows: Sequence[Sequence[str | float]]) -> Text:
    """Where the entropy of two-point data stands between its bounds at the first and at the last t of the table."""
    (_, start, *_, low_end, _), (_, end, *_, high_end, _) = rows[0], rows[-1]
    low_end, high_end = max(0.0, float(low_end)), float(high_end)
    return verdict(
        (
            low_end < 0.1 and high_end > 0.9,
            f"Two-point data move from the lower end (position {low_end:.2f} at t = {start}) to the upper end "
            f"({high_end:.2f} at t = {end})",
            f"두 점 데이터는 t = {start}에서는 하한에({low_end:.2f}), t = {end}에서는 상한에({high_end:.2f}) 붙는다",
        ),
        (
            True,
            f"Two-point data stand at {low_end:.2f} of the way from the lower to the upper end at t = {start} and at "
            f"{high_end:.2f} at t = {end}",
            f"하한을 0, 상한을 1이라 하면 두 점 데이터는 t = {start}에서 {low_end:.2f}, t = {end}에서 {high_end:.2f}에 있다",
        ),
    )


def last_step(setting: Setting) -> Answer:
    """What adding sigma_1 z at t = 1 does to two-level images: their distance from the nearest level, in grey levels."""
    schedule = setting.schedule
    diffused = Diffused(two_points(), schedule)
    off = float(expected(diffused.marginal(1), lambda x: ((1 - diffused.x_0(x, 1).abs()) ** 2).flatten()))
    choices = {"beta_1": schedule.beta[1], "beta-tilde_2": schedule.beta_tilde[2]}
    rows = [
        (name, float(var.sqrt()), 127.5 * math.sqrt(off), 127.5 * math.sqrt(off + float(var)))
        for name, var in choices.items()
    ]
    figure, (axis,) = panels(1)
    names = ["z = 0", *(f"σ₁² = {name}" for name in ("β₁", "β̃₂"))]
    bars = axis.barh(names, [rows[0][2], *(row[3] for row in rows)], color=[BLUE, ORANGE, ORANGE], height=0.6)
    axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
    axis.set(title=f"Two-level images, {setting.label}", xlabel="distance from the nearest level, of 255")
    axis.set_xlim(0, 1.2 * max(row[3] for row in rows))
    axis.grid(axis="y", visible=False)
    return Answer(
        Text(
            "The last kernel p(x_0|x_1) is the decoder, a law on the levels of the pixels; Algorithm 2 shows its mean, "
            "mu_theta(x_1, 1), and so takes z = 0. Noise would bring nothing but grain. For images of two levels and the "
            f"exact network the result is {rows[0][2]:.2g} grey levels (of 255) from a level with z = 0, and with noise "
            f"{rows[0][3]:.2g} (sigma_1^2 = beta_1) or {rows[1][3]:.2g} (beta-tilde_2).",
            "마지막 커널 p(x_0|x_1)은 디코더, 곧 픽셀의 레벨에 대한 분포다. 알고리즘 2는 그 평균 mu_theta(x_1, 1)을 보여 "
            "주므로 z = 0이다. 잡음을 더하면 거친 알갱이만 생긴다. 레벨이 둘인 이미지와 정확한 신경망에서, 결과가 가장 "
            f"가까운 레벨에서 떨어진 거리는 z = 0일 때 255 기준으로 {rows[0][2]:.2g}, 잡음을 더하면 {rows[0][3]:.2g}"
            f"(sigma_1^2 = beta_1)이나 {rows[1][3]:.2g}(beta-tilde_2)이다.",
        ),
        [Table(("sigma_1^2", "sigma_1", "distance, z = 0", "distance, with noise"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q23",
        "000 l.191, 003 l.77",
        Text(
            "Is beta-tilde/beta close to 1, so that the choice of the variance does not matter?",
            "beta-tilde/beta는 1에 가까워서 분산을 무엇으로 두든 상관없는가?",
        ),
        "section 3.2; E31, E43, E47, E88; P-4",
        r"\sigma_t^2 = \beta_t \quad \mathrm{or} \quad \sigma_t^2 = \tilde\beta_t",
        beta_or_beta_tilde,
    ),
    Question(
        "Q24",
        "000 l.194-195",
        Text(
            "Why are the two variances the upper and lower bounds of the reverse entropy?",
            "두 분산이 왜 역방향 과정 엔트로피의 상한과 하한인가?",
        ),
        "section 3.2; E45, E46",
        r"H(x_{t-1}|x_t,x_0) \leq H(x_{t-1}|x_t) \leq H(x_t|x_{t-1})",
        entropy_bounds,
    ),
    Question(
        "last-step",
        "003 l.89",
        Text("Is noise added in the last step, too?", "마지막 스텝에서도 잡음을 더하는가?"),
        "Algorithm 2; E50, E60; ERR-69",
        r"x_0 = \mu_\theta(x_1, 1), \quad z = 0",
        last_step,
        frozenset({"schedule"}),
    ),
)
