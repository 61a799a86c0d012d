"""Which betas: linear beside cosine, the invariance of the bound, and learning the schedule (Q11, Q18)."""

import math

import torch
from torch import Tensor

from ddpm.diffusion.bound import bits_per_dim, prior_table
from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.diffusion.variance import FixedLarge, beta_1
from ddpm.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text

F64 = torch.float64
FIRST, LAST = 9999.0, 4.035993886e-5
"""SNR(1) and SNR(1000) of the published linear schedule."""


def first_noisy(schedule: Schedule) -> int:
    """The first t with more noise than signal; 0 if there is none."""
    below = (schedule.snr < 1).nonzero()
    return int(below[0]) if len(below) else 0


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
        bits = float(bits_per_dim(torch.tensor(prior_table(q, 0.5), dtype=F64), 1))
        last = float(w[-1] / w.sum())
        rows.append((name, first_noisy(q), float(q.alpha_bar[-1]), bits, float(q.alpha_bar[-1] ** -0.5), last))
    axes[0].set(title="Signal left", xlabel="t", ylabel="ᾱ(t)")
    axes[1].axhline(0, color=GREY, lw=0.8)
    axes[1].set(title="Signal over noise", xlabel="t", ylabel="log SNR, nats")
    axes[2].set(title="Weight in the bound, σ² = β", xlabel="t", ylabel="w(t)", yscale="log")
    axes[0].legend()
    by_name = {row[0]: row for row in rows}
    linear_, cosine_ = by_name["linear"], by_name["cosine"]
    return Answer(
        Text(
            "alpha and beta are no signal-to-noise ratios; that is alpha_bar/(1 - alpha_bar). Linear has more noise "
            f"than signal from t = {linear_[1]} of {setting.T}, cosine from {cosine_[1]}: linear spends most of its "
            f"steps where little is left to see. Cosine destroys the image more completely (L_T = {cosine_[3]:.2g} "
            f"bits/dim against {linear_[3]:.2g}), but its estimate of x_0 at T multiplies an error of eps by "
            f"{cosine_[4]:.0f} (linear: {linear_[4]:.0f}), and its last, clipped step carries {cosine_[5]:.1%} of "
            "the bound's weight: limit the estimate, and expect noisy training by the bound.",
            "alpha와 beta는 신호 대 잡음비가 아니다. 그것은 alpha_bar/(1 - alpha_bar)다. 선형 스케줄은 "
            f"{setting.T}스텝 가운데 t = {linear_[1]}부터, 코사인은 {cosine_[1]}부터 잡음이 신호보다 크다. 선형은 볼 "
            "것이 거의 남지 않은 곳에 대부분의 스텝을 쓴다. 코사인은 이미지를 더 완전히 없애지만(L_T가 "
            f"{cosine_[3]:.2g} 대 {linear_[3]:.2g} bits/dim), T에서 x_0를 추정할 때 eps의 오차가 "
            f"{cosine_[4]:.0f}배로 커지고(선형은 {linear_[4]:.0f}배), 잘린 마지막 스텝 하나가 경계 가중치의 "
            f"{cosine_[5]:.1%}를 차지한다. 추정값을 제한해야 하고, 경계로 학습하면 매우 시끄럽다.",
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


def rate(snr: Tensor, v: float) -> float:
    """L_1 + ... + L_{T-1} for N(0, v) and sigma^2 = beta-tilde: half the sum of SNR steps times mmse (E53)."""
    mmse = v / (1 + v * snr[1:])
    return 0.5 * float(((snr[:-1] - snr[1:]) * mmse).sum())


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
    linear_ = rate(SCHEDULES["linear"](1000).snr[1:], v)
    figure, (axis,) = panels(1)
    axis.plot(lengths, [r[1] - limit for r in rows], color=BLUE, marker="o", label="log SNR uniform")
    axis.plot(lengths, [r[2] - limit for r in rows], color=ORANGE, marker="o", label="angle uniform (cosine)")
    axis.plot([1000], [linear_ - limit], "s", color=PURPLE, label="linear")
    axis.set(
        title=f"N(0, 1/4): above the limit of {limit:.5f}", xlabel="T", ylabel="nats/dim", xscale="log", yscale="log"
    )
    axis.legend()
    return Answer(
        Text(
            "Yes: write x_t by Eq. 4, and gradients reach the betas through x_t and the weights; then L_T is no "
            "constant any more. But there is little to gain: with sigma^2 = beta-tilde the sum of L_{t-1} becomes "
            "half the integral of the best squared error over SNR as T grows, so that only the two ends matter "
            f"({limit:.5f} nats here). At T = 1000 log-uniform SNR gives {rows[1][1]:.4f}, angle-uniform "
            f"{rows[1][2]:.4f}, the linear schedule {linear_:.4f}; at 100,000 both are within "
            f"{max(rows[-1][1], rows[-1][2]) - limit:.4f}. A learned schedule lowers the discretisation error and "
            "the noise of the estimate.",
            "그렇다. x_t를 식 4로 쓰면 기울기가 x_t와 가중치를 거쳐 beta에 닿고, L_T는 더 이상 상수가 아니다. 하지만 "
            "얻을 것은 적다. sigma^2 = beta-tilde라면 T가 커질 때 L_{t-1}의 합은 최소 제곱 오차를 SNR로 적분한 것의 "
            f"절반이 되어, 양 끝의 SNR만 중요하다(여기서 {limit:.5f} nats). T = 1000에서 로그 SNR이 균일하면 "
            f"{rows[1][1]:.4f}, 각도가 균일하면 {rows[1][2]:.4f}, 선형 스케줄은 {linear_:.4f}이고, 100,000에서는 둘 "
            f"다 {max(rows[-1][1], rows[-1][2]) - limit:.4f} 안이다. 학습한 스케줄은 이산화 오차와 추정의 잡음을 "
            "줄인다.",
        ),
        [Table(("T", "log SNR uniform, nats/dim", "angle uniform", "limit"), rows)],
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
