"""The forward process: Markov, its scale, and one jump instead of many steps (Q2, Q8, Q9, Q13)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm.diffusion.bound import prior_table
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.seeds import generator

F64 = torch.float64
MANY, CHAINS = 200_000, 50_000


def some_steps(schedule: Schedule, first: int = 1) -> list[int]:
    """A few steps spread over the chain, for tables."""
    T = schedule.T
    wanted = {first, *(round(part * T) for part in (0.01, 0.1, 0.3, 0.5, 0.9)), T}
    return sorted(t for t in wanted if first <= t <= T)


def first_noisy(snr: Tensor) -> int | str:
    """The first t of a table with more noise than signal."""
    below = (snr < 1).nonzero()
    return int(below[0]) if len(below) else "never"


def markov(setting: Setting) -> Answer:
    """Partial correlation of x_t and x_{t-2} given x_{t-1}, and the correlation of x_t and x_0, simulated."""
    q, rows = ForwardProcess(setting.schedule), []
    random = generator(setting.seed, "markov")
    for t in some_steps(setting.schedule, first=2):
        x_0, *eps = torch.randn(4, MANY, 1, generator=random, dtype=F64)
        before = q.sample(x_0, t - 2, eps[0])
        middle = q.step(before, t - 1, eps[1])
        after = q.step(middle, t, eps[2])
        r = torch.corrcoef(torch.cat([after, middle, before, x_0], dim=1).T)
        partial = (r[0, 2] - r[0, 1] * r[1, 2]) / ((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2)).sqrt()
        rows.append((t, float(partial), float(r[0, 3]), float(setting.schedule.alpha_bar[t].sqrt())))
    error = 1 / math.sqrt(MANY)
    worst = max(abs(row[1]) for row in rows) / error
    figure, (axis,) = panels(1)
    t = [row[0] for row in rows]
    axis.axhspan(-2 * error, 2 * error, color=GREY, alpha=0.3, lw=0, label="0 ± 2 standard errors")
    axis.plot(t, [row[1] for row in rows], color=BLUE, marker="o", label="corr(x(t), x(t−2) | x(t−1))")
    axis.plot(t, [row[2] for row in rows], color=ORANGE, marker="o", lw=0, label="corr(x(t), x(0))")
    axis.plot(range(setting.T + 1), setting.schedule.alpha_bar.sqrt(), color=ORANGE, lw=1, label="√ᾱ(t)")
    axis.set(title=setting.label, xlabel="t", ylabel="correlation")
    axis.legend()
    return Answer(
        Text(
            "Each step adds noise that is independent of all that came before, so once x_{t-1} is known the past "
            f"says nothing more: the partial correlation of x_t and x_{{t-2}} is 0 (simulated, at most {worst:.1f} "
            f"standard errors of {error:.4f} off at {len(rows)} places). It is independence that makes the chain "
            "Markov, not that the noise is Gaussian. Nor is x_t independent of x_0: their correlation is "
            "sqrt(alpha_bar_t).",
            "매 스텝에 더하는 잡음이 그 이전의 모든 것과 독립이므로 x_{t-1}을 알고 나면 과거는 더 알려 주는 것이 "
            f"없다. x_t와 x_{{t-2}}의 편상관은 0이다(시뮬레이션 {len(rows)}곳에서 표준오차 {error:.4f}의 최대 "
            f"{worst:.1f}배). 마르코프 성질은 잡음이 가우시안이어서가 아니라 독립이어서 성립한다. x_t가 x_0와 "
            "독립이라는 뜻도 아니다. 둘의 상관계수는 sqrt(alpha_bar_t)다.",
        ),
        [Table(("t", "corr(x_t, x_{t-2} | x_{t-1})", "corr(x_t, x_0)", "sqrt(alpha_bar_t)"), rows)],
        figure,
    )


def scaling(setting: Setting) -> Answer:
    """L_T and where noise overtakes the signal, for grey levels on several scales."""
    schedule = setting.schedule
    k = torch.arange(256, dtype=F64)
    scales = {
        "0..255": k,
        "0..1": k / 255,
        "[-1, 1]": k / 127.5 - 1,
        "mean 0, variance 1": (k - k.mean()) / k.std(correction=0),
    }
    rows: list[Sequence[float | str]] = []
    figure, (axis,) = panels(1)
    t = range(1, setting.T + 1)
    for (name, values), color in zip(scales.items(), (PURPLE, GREEN, BLUE, ORANGE), strict=True):
        moment = float((values**2).mean())
        snr = moment * schedule.snr[1:]
        bits = prior_table(schedule, math.sqrt(moment)) / math.log(2)
        rows.append((name, moment, bits, first_noisy(moment * schedule.snr)))
        axis.plot(
            t,
            snr.log10() * 10,
            color=color,
            label=name,
            ls=":" if name == "0..1" else "-",
            zorder=3 if name == "0..1" else 2,
        )
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set(title=f"Signal over noise, {setting.label}", xlabel="t", ylabel="E[x_0²]·SNR(t), dB")
    axis.legend()
    raw, scaled = rows[0][2], rows[2][2]
    return Answer(
        Text(
            "No. The map to [-1, 1] is linear and fixed; it makes the scale of the data match the prior's and the "
            f"betas small beside the data: L_T is {scaled:.3g} bits/dim, but {raw:.3g} for raw 0..255. Standardising "
            "would change mean and variance, not the shape of the law. If q(x_0) were N(0, I) there would be nothing "
            "to learn: the best eps_theta is then sqrt(1 - alpha_bar_t) x_t and the gap of the bound is 0. Scaling "
            "data by c only multiplies the signal-to-noise ratio by c^2.",
            "아니다. [-1, 1]로 옮기는 것은 고정된 선형 변환일 뿐이다. 데이터의 크기를 사전분포와 맞추고, beta가 "
            f"데이터에 비해 작아지게 하는 것이 목적이다. L_T는 {scaled:.3g} bits/dim이지만 0..255를 그대로 쓰면 "
            f"{raw:.3g}이(가) 된다. 표준화는 평균과 분산만 바꿀 뿐 분포의 모양을 바꾸지 못한다. 만약 q(x_0)가 정말 N(0, "
            "I)라면 배울 것이 없다. 그때 최적의 eps_theta는 sqrt(1 - alpha_bar_t) x_t이고 변분 경계의 간격(gap)은 "
            "0이다. 데이터를 c배 하면 신호 대 잡음비가 c^2배가 될 뿐이다.",
        ),
        [Table(("scale", "E[x_0^2]", "L_T, bits/dim", "first t with noise > signal"), rows)],
        figure,
    )


def variance_preserving(setting: Setting) -> Answer:
    """Var(x_t) for data of variance 1/4, 1 and 4: in closed form and by walking the chain."""
    schedule, q = setting.schedule, ForwardProcess(setting.schedule)
    variances = (0.25, 1.0, 4.0)
    figure, (axis,) = panels(1)
    for v, color in zip(variances, (BLUE, GREY, ORANGE), strict=True):
        axis.plot(range(setting.T + 1), 1 + schedule.alpha_bar * (v - 1), color=color, label=f"Var(x(0)) = {v:g}")
    random = generator(setting.seed, "variance")
    x = torch.tensor(variances, dtype=F64).sqrt() * torch.randn(CHAINS, 3, generator=random, dtype=F64)
    rows = []
    shown = some_steps(schedule)
    for t in range(1, setting.T + 1):
        x = q.step(x, t, torch.randn(x.shape, generator=random, dtype=F64))
        if t in shown:
            exact = [float(1 + schedule.alpha_bar[t] * (v - 1)) for v in variances]
            rows.append((t, *(value for pair in zip(exact, x.var(0).tolist(), strict=True) for value in pair)))
    axis.plot([r[0] for r in rows], [r[2] for r in rows], "o", color=BLUE)
    axis.plot([r[0] for r in rows], [r[6] for r in rows], "o", color=ORANGE, label="simulated")
    axis.set(title=setting.label, xlabel="t", ylabel="Var(x(t))", ylim=(0, None))
    axis.legend()
    columns = ["t"] + [f"v={v:g}: {what}" for v in variances for what in ("exact", "simulated")]
    error = math.sqrt(2 / CHAINS)
    worst = max(abs(row[i + 1] / row[i] - 1) for row in rows for i in (1, 3, 5)) / error
    return Answer(
        Text(
            "Only data of unit variance keep it. Otherwise Var(x_t) = 1 + alpha_bar_t (Var(x_0) - 1) moves "
            f"monotonically towards 1 (a simulation of {CHAINS:,} chains is at most {worst:.1f} of its relative "
            f"standard errors of {error:.2%} off at {3 * len(rows)} places). And x_t is exactly normal only if x_0 "
            "is: 'variance preserving' is a statement about two moments, not about the law.",
            "분산이 1인 데이터만 분산을 보존한다. 그렇지 않으면 Var(x_t) = 1 + alpha_bar_t (Var(x_0) - 1)이 단조롭게 "
            f"1로 다가간다(체인 {CHAINS:,}개의 시뮬레이션이 {3 * len(rows)}곳에서 상대 표준오차 {error:.2%}의 최대 "
            f"{worst:.1f}배 안에 있다). x_t가 정확히 정규분포인 것은 x_0가 정규분포일 때뿐이다. '분산 보존'은 평균과 "
            "분산에 대한 말이지 분포 전체에 대한 말이 아니다.",
        ),
        [Table(columns, rows)],
        figure,
    )


def one_jump(setting: Setting) -> Answer:
    """x_t by t single steps and by one jump: mean coefficient and variance of both, and the note's missing root."""
    schedule = setting.schedule
    scale, variance, rows = torch.ones((), dtype=F64), torch.zeros((), dtype=F64), []
    worst = 0.0
    shown = some_steps(schedule)
    for t in range(1, setting.T + 1):
        scale = schedule.alpha[t].sqrt() * scale
        variance = schedule.alpha[t] * variance + schedule.beta[t]
        jump = schedule.alpha_bar[t].sqrt(), schedule.one_minus_alpha_bar[t]
        worst = max(worst, float((scale - jump[0]).abs()), float((variance - jump[1]).abs()))
        if t in shown:
            rows.append((t, float(scale), float(jump[0]), float(variance), float(jump[1]), float(jump[1].sqrt())))
    figure, (axis,) = panels(1)
    t = range(setting.T + 1)
    axis.plot(t, schedule.one_minus_alpha_bar.sqrt(), color=BLUE, label="standard deviation √(1−ᾱ): right")
    axis.plot(
        t, schedule.one_minus_alpha_bar, color=ORANGE, ls="--", label="1−ᾱ as a factor of ε: the notes' missing root"
    )
    axis.set(title=setting.label, xlabel="t", ylabel="factor of ε in x(t)")
    axis.legend()
    return Answer(
        Text(
            "Independent Gaussians add up: their variances add, so alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - "
            f"alpha_bar_t, and Eq. 4 follows by induction. Single steps and the jump agree to {worst:.0e} in both "
            "moments over all t. The one eps of the jump is none of the steps' own. Variances add, hence eps is "
            "multiplied by the square root of their sum: without the root (ERR-53) the noise is too small everywhere.",
            "독립인 가우시안의 합은 가우시안이고 분산이 더해진다. alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - "
            "alpha_bar_t이므로 귀납법으로 식 4가 나온다. 한 스텝씩 간 것과 한 번에 건너뛴 것은 모든 t에서 두 "
            f"모멘트가 {worst:.0e} 안에서 같다. 건너뛸 때의 eps 하나는 각 스텝의 eps 가운데 어느 것도 아니다. "
            "더해지는 것은 분산이므로 eps에 곱하는 것은 그 합의 제곱근이다. 노트처럼 제곱근을 빠뜨리면(ERR-53) 모든 "
            "t에서 잡음이 너무 작다.",
        ),
        [Table(("t", "scale: steps", "scale: jump", "variance: steps", "variance: jump", "factor of eps"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q2",
        "000 l.16",
        Text("Why is the diffusion a Markov process?", "확산 과정은 왜 마르코프 과정인가?"),
        "Eq. 2; E5, E6",
        r"q(x_t|x_{t-1}, \ldots, x_0) = q(x_t|x_{t-1})",
        markov,
    ),
    Question(
        "Q8",
        "000 l.92",
        Text(
            "Must the images be standardised so that q(x_0) is the standard normal distribution?",
            "초기 이미지를 정규화해서 q(x_0)를 다변량 표준정규분포로 두고 시작해야 하는가?",
        ),
        "section 3.3; E1, E14, E42, E86",
        r"L_T = \frac{1}{2}\left[\bar\alpha_T(x_0^2 - 1) - \log(1-\bar\alpha_T)\right]",
        scaling,
    ),
    Question(
        "Q9",
        "000 l.95",
        Text("Does the forward process keep the variance at 1?", "정방향 과정은 분산을 1로 유지하는가?"),
        "E12",
        r"\mathrm{Var}(x_t) = 1 + \bar\alpha_t\,(\mathrm{Var}(x_0) - 1)",
        variance_preserving,
    ),
    Question(
        "Q13",
        "000 l.120, 003 l.15",
        Text(
            "What is the principle behind the jump from x_0 to x_t?", "x_0에서 x_t로 건너뛰는 식 4의 원리는 무엇인가?"
        ),
        "Eq. 4; E8, E11",
        r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon",
        one_jump,
    ),
)
