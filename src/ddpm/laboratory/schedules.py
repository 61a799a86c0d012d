"""Which betas: linear beside cosine, the invariance of the bound, and learning the schedule (Q11, Q18)."""

import math

import torch
from torch import Tensor

from ddpm.analytic.bound import terms_from_mse
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import entropy, mmse
from ddpm.diffusion.bound import prior_table
from ddpm.diffusion.learned import LearnedSchedule
from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import SCHEDULES, Schedule, cosine, linear, log_snr
from ddpm.diffusion.variance import FixedLarge, Optimal, beta_1
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import NOTHING, Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import first_noisy
from ddpm.laboratory.score import on_a_line
from ddpm.laboratory.verdict import verdict

F64 = torch.float64
FIRST, LAST = (float(linear(1000).snr[t]) for t in (1, 1000))
"""The ends of the published schedule."""


def linear_or_cosine(setting: Setting) -> Answer:
    """SNR, weights and ends of the schedules at the same T."""
    others = {name: SCHEDULES[name](setting.T) for name in ("linear", "cosine")}
    schedules = {setting.schedule_name: setting.schedule, **others, setting.schedule_name: setting.schedule}
    rows = []
    figure, axes = panels(3)
    t = range(1, setting.T + 1)
    for (name, q), color in zip(schedules.items(), (BLUE, ORANGE, GREEN), strict=False):
        w = weights(q, FixedLarge(beta_1))[1:]
        axes[0].plot(t, q.alpha_bar[1:], color=color, label=name)
        axes[1].plot(t, q.snr[1:].log(), color=color, label=name)
        axes[2].plot(t, w, color=color, label=name)
        bits = prior_table(q, 0.5) / math.log(2)
        last = float(w[-1] / w.sum())
        rows.append((name, first_noisy(q.snr), float(q.alpha_bar[-1]), bits, float(q.alpha_bar[-1] ** -0.5), last))
    axes[0].set(title="Signal left", xlabel="t", ylabel="ᾱ(t)")
    axes[1].axhline(0, color=GREY, lw=0.8)
    axes[1].set(title="Signal over noise", xlabel="t", ylabel="log SNR, nats")
    axes[2].set(title="Weight in the bound, σ² = β", xlabel="t", ylabel="w(t)", yscale="log")
    axes[0].legend()
    by_name = {row[0]: row for row in rows}
    linear_, cosine_ = by_name["linear"], by_name["cosine"]
    noisy = {name: _noisy_steps(schedule) for name, schedule in schedules.items()}
    own = setting.schedule_name
    yours = verdict(
        (own in ("linear", "cosine"), "", ""),
        (True, f", {own} {noisy[own].en}", f", {own}은(는) {noisy[own].ko}"),
    )
    left, clipped = _what_is_left(linear_[3]), _the_last_step(cosine_[5])
    return Answer(
        Text(
            f"alpha and beta are no signal-to-noise ratios; that is alpha_bar/(1 - alpha_bar). At T = {setting.T} "
            f"linear (its betas as published, not rescaled with T) {noisy['linear'].en}, cosine {noisy['cosine'].en}"
            f"{yours.en}. {left.en} (L_T = {linear_[3]:.2g} bits/dim with linear, {cosine_[3]:.2g} with cosine). The "
            f"estimate of x_0 at T multiplies an error of eps by {linear_[4]:.3g} with linear and by {cosine_[4]:.5g} "
            f"with cosine, {clipped.en}.",
            f"alpha와 beta는 신호 대 잡음비가 아니다. 그것은 alpha_bar/(1 - alpha_bar)다. T = {setting.T}에서 "
            f"linear(논문의 beta 그대로, T에 맞춰 늘리지 않음)는 {noisy['linear'].ko}, cosine은 {noisy['cosine'].ko}"
            f"{yours.ko}. {left.ko}(L_T는 linear에서 {linear_[3]:.2g}, cosine에서 {cosine_[3]:.2g} bits/dim). T에서 x_0를 "
            f"추정할 때 eps의 오차는 linear에서 {linear_[4]:.3g}배, cosine에서 {cosine_[4]:.5g}배가 된다. {clipped.ko}.",
        ),
        [
            Table(
                (
                    "schedule",
                    "first t with noise > signal",
                    "alpha_bar_T",
                    "L_T, bits/dim, x_0 = 1/2",
                    "1/sqrt(alpha_bar_T)",
                    "weight share of t = T",
                ),
                rows,
            )
        ],
        figure,
    )


def _what_is_left(L_T: float) -> Text:
    """Whether the linear schedule reaches noise, by what is left in x_T, bits/dim."""
    return verdict(
        (
            L_T < 0.001,
            "What they leave in x_T costs next to nothing",
            "x_T에 남은 신호의 대가은 없는 것이나 마찬가지다",
        ),
        (
            True,
            f"In so few steps linear does not reach noise: what it leaves in x_T costs {L_T:.2g} bits/dim that no "
            "network can win back",
            f"스텝이 이렇게 적으면 linear는 잡음에 이르지 못한다. x_T에 남은 신호의 대가 {L_T:.2g} bits/dim은 어떤 "
            "신경망도 되찾지 못한다",
        ),
    )


def _the_last_step(share: float) -> Text:
    """What the cosine schedule's last step does, by its share of the bound's weight."""
    return verdict(
        (
            share > 0.5,
            f"whose last, clipped step carries {share:.1%} of the bound's weight: there the estimate must be "
            "limited, and training by the bound is very noisy",
            f"cosine의 잘린 마지막 스텝 하나가 경계 가중치의 {share:.1%}를 차지한다. 그곳에서는 추정값을 제한해야 "
            "하고, 변분 경계로 학습하면 손실이 크게 요동친다",
        ),
        (
            True,
            f"whose last, clipped step carries {share:.1%} of the bound's weight",
            f"cosine의 잘린 마지막 스텝은 경계 가중치의 {share:.1%}를 차지한다",
        ),
    )


def _noisy_steps(schedule: Schedule) -> Text:
    """In how many steps there is more noise than signal, and from which on."""
    share, first = float((schedule.snr[1:] < 1).double().mean()), first_noisy(schedule.snr)
    return verdict(
        (share == 0, "has no step with more noise than signal", "잡음이 신호보다 큰 스텝이 없다"),
        (
            True,
            f"has more noise than signal in {share:.0%} of its steps (from t = {first})",
            f"스텝의 {share:.0%}에서(t = {first}부터) 잡음이 신호보다 크다",
        ),
    )


def rate(snr: Tensor, v: float) -> float:
    """L_1 + ... + L_{T-1} for N(0, v) and sigma^2 = beta-tilde: half the sum of SNR steps times mmse (E53)."""
    best = v / (1 + v * snr[1:])
    return 0.5 * float(((snr[:-1] - snr[1:]) * best).sum())


def above_entropy(schedule: Schedule) -> Tensor:
    """L - H(x_0) for three components on a line, best network and variance, nats, with gradients to the schedule."""
    data = on_a_line()
    errors = mmse(Diffused(data, schedule))
    return terms_from_mse(schedule, Optimal(errors), errors, float(data.second_moment)).sum() - entropy(data)


def learn(start: Schedule, iterations: int = 150, lr: float = 0.05) -> Schedule:
    """The schedule that Adam makes of `start` by lowering the bound."""
    learned = LearnedSchedule(start)
    optimizer = torch.optim.Adam(learned.parameters(), lr=lr)
    for _ in range(iterations):
        optimizer.zero_grad()
        above_entropy(learned()).backward()
        optimizer.step()
    with torch.no_grad():
        return learned()


def only_the_ends_matter(_setting: Setting) -> Answer:
    """The sum of all L_{t-1} between the same two SNRs, by several schedules, over T."""
    v = 0.25
    limit = 0.5 * math.log((1 + v * FIRST) / (1 + v * LAST))
    rows, lengths = [], (100, 1000, 10_000, 100_000)
    for T in lengths:
        u = torch.linspace(0, 1, T, dtype=F64)
        log_uniform = torch.exp(math.log(FIRST) + u * (math.log(LAST) - math.log(FIRST)))
        angles = [math.atan(snr**-0.5) for snr in (FIRST, LAST)]
        angle_uniform = torch.tan(angles[0] + u * (angles[1] - angles[0])) ** -2
        rows.append((T, rate(log_uniform, v), rate(angle_uniform, v), limit))
    linear_ = rate(linear(1000).snr[1:], v)
    short = {
        "linear": linear(1000).respace(range(100, 1001, 100)),
        "cosine": cosine(10),
        "log SNR uniform": log_snr(10, noise_1=0.05),
    }
    short["learned"] = learn(short["log SNR uniform"])
    above = [(name, float(above_entropy(schedule))) for name, schedule in short.items()]
    figure, (axis, other) = panels(2)
    axis.plot(lengths, [r[1] - limit for r in rows], color=BLUE, marker="o", label="log SNR uniform")
    axis.plot(lengths, [r[2] - limit for r in rows], color=ORANGE, marker="o", label="angle uniform (cosine)")
    axis.plot([1000], [linear_ - limit], "s", color=PURPLE, label="linear")
    axis.set(
        title=f"N(0, 1/4): above the limit of {limit:.5f}", xlabel="T", ylabel="nats/dim", xscale="log", yscale="log"
    )
    axis.legend()
    for (name, schedule), color in zip(short.items(), (PURPLE, ORANGE, BLUE, GREEN), strict=True):
        other.plot(range(1, 11), schedule.log_snr[1:], color=color, marker="o", ms=3, label=name)
    other.set(title="Ten steps, three components on a line", xlabel="t", ylabel="log SNR, nats")
    other.legend()
    return Answer(
        Text(
            "Yes: write x_t by Eq. 4, and gradients reach the betas through x_t and the weights; then L_T is no "
            "constant any more (ddpm train --schedule learned --objective variational does it). What can be gained? With sigma^2 = "
            "beta-tilde the sum of L_{t-1} becomes half the integral of the best squared error over SNR as T grows, "
            f"so that in the limit only the two ends matter ({limit:.5f} nats here). At T = 1000 log-uniform SNR "
            f"gives {rows[1][1]:.4f}, angle-uniform {rows[1][2]:.4f}, the linear schedule {linear_:.4f}; at 100,000 "
            f"both are within {max(rows[-1][1], rows[-1][2]) - limit:.4f}. In a short chain there is more: for three "
            f"components on a line and 10 steps L exceeds the entropy by {above[0][1]:.4f} nats with linear betas, "
            f"{above[1][1]:.4f} with cosine, {above[2][1]:.4f} with log-uniform SNR, and {above[3][1]:.4f} when the "
            "schedule is learned by that very bound.",
            "그렇다. x_t를 식 4로 쓰면 기울기가 x_t와 가중치를 거쳐 beta에 닿고, L_T는 더 이상 상수가 아니다(ddpm "
            "train --schedule learned --objective variational이 이렇게 한다). 무엇을 얻는가? sigma^2 = beta-tilde라면 T가 커질 "
            "때 L_{t-1}의 합은 최소 제곱 오차를 SNR로 적분한 것의 절반이 되어, 극한에서는 양 끝의 SNR만 중요하다(여기서 "
            f"{limit:.5f} nats). T = 1000에서 로그 SNR이 균일하면 {rows[1][1]:.4f}, 각도가 균일하면 "
            f"{rows[1][2]:.4f}, 선형 스케줄은 {linear_:.4f}(이)고, 100,000에서는 둘 다 "
            f"{max(rows[-1][1], rows[-1][2]) - limit:.4f} 안이다. 체인이 짧으면 얻을 것이 더 있다. 직선 위의 세 "
            f"성분과 10스텝에서 L이 엔트로피를 넘는 만큼은 선형 beta에서 {above[0][1]:.4f} nats, 코사인에서 "
            f"{above[1][1]:.4f}, 균일한 로그 SNR에서 {above[2][1]:.4f}(이)고, 바로 그 경계로 스케줄을 학습하면 "
            f"{above[3][1]:.4f}(이)다.",
        ),
        [
            Table(("T", "log SNR uniform, nats/dim", "angle uniform", "limit"), rows),
            Table(("10 steps", "L - H(x_0), nats, three components on a line"), above),
        ],
        figure,
    )


QUESTIONS = (
    Question(
        "Q11",
        "000 l.111",
        Text("Can the betas be learned?", "beta는 학습할 수 있는가?"),
        "section 2, 3.1; E53, E89",
        r"\sum_{t=2}^{T} L_{t-1} \to \frac{1}{2}\int E\|x_0 - \hat x_0\|^2\,d\,\mathrm{SNR}",
        only_the_ends_matter,
        NOTHING,
    ),
    Question(
        "Q18",
        "000 l.159",
        Text(
            "Are alpha and beta noise-to-signal ratios, and what do linear and cosine change?",
            "alpha와 beta는 잡음/신호 비인가? linear와 cosine은 무엇이 다른가?",
        ),
        "section 4; E14-E16, E52",
        r"\mathrm{SNR}(t) = \frac{\bar\alpha_t}{1-\bar\alpha_t}",
        linear_or_cosine,
    ),
)
