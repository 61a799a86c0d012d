"""The two ends of the bound: why L_T may leave the loss and not the bound, why L_0 is of a probability (prior, mass)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm.analytic.bound import terms_from_mse
from ddpm.diffusion.bound import prior_table
from ddpm.diffusion.decoder import log_density, log_likelihood
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.learned import LearnedSchedule
from ddpm.diffusion.schedule import SCHEDULES, Schedule, from_log_snr
from ddpm.diffusion.variance import FixedLarge, Optimal, beta_1
from ddpm.figures.style import BLUE, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.basics.quarter import ENTROPY, V, least_errors
from ddpm.laboratory.verdict import verdict

F64 = torch.float64
SCALE = 0.9
SHIFTS = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)


def terms_at_scale(schedule: Schedule, c: Tensor) -> Tensor:
    """L_T, L_0, L_1, ... of N(0, 1/4), nats/dim, sigma^2 = beta, for a network that returns c times the best estimate."""
    known = V - least_errors(schedule)  # E[(best estimate)^2]
    return terms_from_mse(schedule, FixedLarge(), V - (2 * c - c**2) * known, V)


def slopes(schedule: Schedule) -> list[tuple[str, float, float, float]]:
    """Value, derivative by the network's c and by the schedule's first number: of L_T, of the middle and of L_0."""
    c, learned = torch.tensor(SCALE, dtype=F64, requires_grad=True), LearnedSchedule(schedule)
    terms = terms_at_scale(learned(), c)
    rows = []
    for name, nats in (("L_T", terms[0]), ("L_1 + ... + L_{T-1}", terms[2:].sum()), ("L_0", terms[1])):
        by_network, by_schedule = torch.autograd.grad(nats, (c, learned.first), retain_graph=True)
        rows.append((name, float(nats.detach()), float(by_network), float(by_schedule)))
    return rows


def shifted(schedule: Schedule, nats: float) -> tuple[float, float]:
    """L_T and L of the best chain for N(0, 1/4) when log SNR is larger by so many nats at every t."""
    cleaner = from_log_snr(schedule.log_snr[1:] + nats)
    terms = terms_from_mse(cleaner, Optimal(least_errors(cleaner)), least_errors(cleaner), V)
    return float(terms[0]), float(terms.sum())


def why_l_t_drops(setting: Setting) -> Answer:
    """Derivatives of the three parts by the network and by the schedule; L_T of all schedules; a schedule learned without L_T."""
    rows, by_name = slopes(setting.schedule), []
    for name in SCHEDULES:
        if name != "jsd":  # alpha_bar_T = 0: L_T is 0
            schedule = SCHEDULES[name](setting.T)
            by_name.append((name, float(schedule.alpha_bar[-1]), prior_table(schedule, math.sqrt(V)) / math.log(2)))
    without = [(nats, *shifted(setting.schedule, nats)) for nats in SHIFTS]
    without = [(nats, L_T, L, L - L_T, ENTROPY) for nats, L_T, L in without]
    figure, (left, right) = panels(2)
    bars = left.barh([row[0] for row in by_name], [max(row[2], 1e-12) for row in by_name], color=PURPLE, height=0.6)
    left.bar_label(bars, fmt="%.1e", padding=3, fontsize=8)
    top = max(row[2] for row in by_name)
    left.set(
        title=f"L(T), E x(0)² = 1/4, T = {setting.T}",
        xlabel="bits/dim",
        xscale="log",
        xlim=(1e-12, 1e3 * max(top, 1e-3)),
    )
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    right.plot(SHIFTS, [row[2] for row in without], color=BLUE, marker="o", label="L")
    right.plot(SHIFTS, [row[3] for row in without], color=ORANGE, marker="o", label="L without L(T)")
    right.axhline(ENTROPY, color=GREY, ls="--", label="H(x(0))")
    right.set(title=f"A schedule with less noise, {setting.label}", xlabel="log SNR raised by, nats", ylabel="nats/dim")
    right.legend()
    first = next((row for row in without if row[3] < ENTROPY - 0.01), without[-1])
    price, learned = _what_it_costs(rows[0][1]), _without_it(first)
    return Answer(
        Text(
            "Not because the diffusion satisfies it by itself. With fixed betas L_T holds no parameter of the network, "
            f"so its gradient is exactly {rows[0][2]:.1f} (automatic differentiation; for the same network the middle "
            f"terms have {rows[1][2]:.4g} and L_0 {rows[2][2]:.4g} nats/dim per unit of its scale): it may leave the "
            f"loss. It may not leave the bound, which is a sum with it. {price.en}. Once the betas are learned, L_T "
            f"holds a parameter (its derivative by the schedule's first number, log SNR(1), is {rows[0][3]:.3e}) and "
            f"must stay in the loss: it is what makes the schedule end in noise. {learned.en}.",
            "확산 과정이 저절로 만족시켜서가 아니다. beta가 고정이면 L_T에는 신경망의 파라미터가 없어 기울기가 정확히 "
            f"{rows[0][2]:.1f}(이)다(자동 미분. 같은 신경망에서 출력의 배율에 대한 기울기는 가운데 항들이 "
            f"{rows[1][2]:.4g}, L_0가 {rows[2][2]:.4g} nats/dim). 그래서 손실에서는 빼도 된다. 변분 경계에서는 뺄 수 "
            f"없다. 변분 경계는 L_T까지 더한 합이다. {price.ko}. beta를 학습하면 L_T에도 파라미터가 있으므로(스케줄의 첫 "
            f"숫자 log SNR(1)에 대한 미분 {rows[0][3]:.3e}) 손실에 남아야 한다. 스케줄이 잡음으로 끝나게 하는 것이 "
            f"바로 L_T다. {learned.ko}.",
        ),
        [
            Table(("term, c = 0.9", "nats/dim", "d/dc (network)", "d/d log SNR(1) (schedule)"), rows),
            Table(("schedule", "alpha_bar_T", "L_T, bits/dim"), by_name),
            Table(("log SNR raised by, nats", "L_T, nats/dim", "L", "L - L_T", "H(x_0)"), without),
        ],
        figure,
    )


def _what_it_costs(L_T: float) -> Text:
    """Whether L_T is small with this schedule, nats/dim."""
    bits = L_T / math.log(2)
    return verdict(
        (
            bits < 0.001,
            f"With this schedule it is small, {bits:.2e} bits/dim, because alpha_bar_T is",
            f"이 스케줄에서는 {bits:.2e} bits/dim으로 작은데, alpha_bar_T가 작기 때문이다",
        ),
        (
            True,
            f"With this schedule it is {bits:.4f} bits/dim, which no network can win back: x_T still holds signal",
            f"이 스케줄에서는 {bits:.4f} bits/dim이고 어떤 신경망도 되찾지 못한다. x_T에 신호가 남아 있다",
        ),
    )


def _without_it(row: Sequence[float]) -> Text:
    """What a schedule would gain by less noise were L_T forgotten."""
    nats, _, L, rest, floor = row
    return verdict(
        (
            rest < floor,
            f"Raise log SNR by {nats:.0f} nats at every t, and L - L_T = {rest:.4f} is below the entropy {floor:.4f}, "
            f"which no code can be, while L = {L:.4f} is not",
            f"모든 t에서 log SNR을 {nats:.0f} nats 올리면 L - L_T = {rest:.4f}, 곧 엔트로피 {floor:.4f}보다 작아져 "
            f"어떤 부호로도 이룰 수 없는 값이 된다. L_T까지 더한 L = {L:.4f}에서는 그런 일이 없다",
        ),
        (
            True,
            f"Even with log SNR raised by {nats:.0f} nats L - L_T = {rest:.4f} is not below the entropy {floor:.4f}, "
            f"and L = {L:.4f}",
            f"log SNR을 {nats:.0f} nats 올려도 L - L_T = {rest:.4f}, 엔트로피 {floor:.4f}보다 작지 않고, L = {L:.4f}",
        ),
    )


BIN = 2 / 255
WIDTHS = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-6)


def by_density_and_mass(sigma: float) -> tuple[float, float, float, float]:
    """Of a grey level in the middle of its Gaussian, bits: density, density times bin, mass; then the sum of density times bin."""
    levels = torch.arange(256, dtype=F64)[:, None] / 127.5 - 1
    decoder = Gaussian(levels[128].expand_as(levels), torch.full_like(levels, 2 * math.log(sigma)))
    density, mass = log_density(levels, decoder), log_likelihood(levels, decoder)
    bits = -float(density[128]) / math.log(2)
    return bits, bits - math.log2(BIN), -float(mass[128]) / math.log(2), float((density.exp() * BIN).sum())


def density_or_mass(setting: Setting) -> Answer:
    """-log2 of the density and of the probability of a grey level that the network knows, as sigma_1 falls."""
    own = float(FixedLarge(beta_1).table(setting.schedule)[1].sqrt())
    rows = [(sigma, sigma / BIN, *by_density_and_mass(sigma)) for sigma in sorted({*WIDTHS, own}, reverse=True)]
    figure, (left, right) = panels(2)
    sigmas = torch.logspace(-6, 0, 121, dtype=F64).tolist()
    curves = [by_density_and_mass(sigma) for sigma in sigmas]
    for column, color, label, style in (
        (0, ORANGE, "density", "-"),
        (1, PURPLE, "density · bin width", "--"),
        (2, BLUE, "probability of the bin", "-"),
    ):
        left.plot(sigmas, [curve[column] for curve in curves], color=color, ls=style, label=f"−log₂ {label}")
    left.axhline(0, color=GREY, lw=0.8)
    left.axvline(own, color=GREY, ls=":", label=f"σ₁ = √β₁ of {setting.schedule_name}")
    left.set(title="A pixel that the network knows", xlabel="σ₁", ylabel="bits", xscale="log", ylim=(None, 24))
    left.legend(loc="upper left")
    right.plot(sigmas, [curve[3] for curve in curves], color=PURPLE, ls="--", label="density · bin width")
    right.axhline(1, color=BLUE, label="probability")
    right.axvline(own, color=GREY, ls=":")
    right.set(title="Sum over the 256 levels", xlabel="σ₁", ylabel="sum", xscale="log", yscale="log", ylim=(1e-2, None))
    right.legend(loc="lower left")
    mine = next(row for row in rows if row[0] == own)
    narrow, close = rows[-1], _whether_the_product_will_do(mine)
    return Answer(
        Text(
            "A middle term compares two densities, and a ratio of densities has no unit: it may stay a density. L_0 "
            "stands alone, -log p(x_0|x_1), and a pixel is one of 256 values: what is wanted is its probability, the "
            "integral of the density over its bin. A probability is at most 1, so its code has at least 0 bits. A "
            f"density has no such limit. For a pixel that the network knows, -log2 of the density is {rows[0][2]:.2f} "
            f"at sigma_1 = 1, {narrow[2]:.2f} at 1e-6, and falls without end: a bound with it could be made as small "
            f"as one likes. -log2 of the probability falls from {rows[0][4]:.2f} to {narrow[4]:.2f} bits and stops. "
            f"Density times bin width is a good estimate only while sigma_1 is not below the bin: {close.en}.",
            "가운데 항은 두 밀도를 비교하는데, 밀도의 비에는 단위가 없으므로 밀도 그대로 써도 된다. L_0는 -log "
            "p(x_0|x_1) 하나뿐이고 픽셀은 256개 값 가운데 하나다. 필요한 것은 그 값의 확률, 곧 밀도를 구간에서 적분한 "
            "것이다. 확률은 1을 넘지 않으므로 부호 길이는 0비트 아래로 내려가지 않는다. 밀도에는 그런 한계가 없다. "
            f"신경망이 알고 있는 픽셀에서 밀도의 -log2는 sigma_1 = 1일 때 {rows[0][2]:.2f}, 1e-6일 때 "
            f"{narrow[2]:.2f}(이)고 끝없이 내려간다. 이것을 넣은 변분 경계는 얼마든지 작게 만들 수 있다. 확률의 -log2는 "
            f"{rows[0][4]:.2f}비트에서 {narrow[4]:.2f}비트로 내려가 멈춘다. 밀도에 구간의 폭을 곱한 것은 sigma_1이 "
            f"구간보다 작지 않을 때만 좋은 근사다. {close.ko}.",
        ),
        [
            Table(
                (
                    "sigma_1",
                    "sigma_1 in bins",
                    "-log2 density",
                    "-log2 (density * bin)",
                    "-log2 probability",
                    "sum of density * bin, 256 levels",
                ),
                rows,
            )
        ],
        figure,
    )


def _whether_the_product_will_do(row: Sequence[float]) -> Text:
    """Whether density times bin width is near the probability at this schedule's sigma_1."""
    sigma, in_bins, _, product, mass, _ = row
    return verdict(
        (
            abs(product - mass) < 0.1,
            f"at this schedule's sigma_1 = sqrt(beta_1) = {sigma:.4f}, {in_bins:.2f} bins, it gives {product:.4f} bits "
            f"instead of {mass:.4f}",
            f"이 스케줄의 sigma_1 = sqrt(beta_1) = {sigma:.4f}(구간의 {in_bins:.2f}배)에서 {mass:.4f}비트 대신 "
            f"{product:.4f}비트가 나온다",
        ),
        (
            True,
            f"at this schedule's sigma_1 = sqrt(beta_1) = {sigma:.4f}, only {in_bins:.2f} bins, it is already wrong, "
            f"{product:.4f} bits instead of {mass:.4f}",
            f"이 스케줄의 sigma_1 = sqrt(beta_1) = {sigma:.4f}, 곧 구간의 {in_bins:.2f}배에서는 이미 틀려서 "
            f"{mass:.4f}비트 대신 {product:.4f}비트가 나온다",
        ),
    )


QUESTIONS = (
    Question(
        "prior",
        "003 l.46-47",
        Text(
            "Why is L_T left out of the loss, and may it be left out of the bound?",
            "L_T는 왜 손실에서 빠지고, 변분 경계에서도 빼도 되는가?",
        ),
        "section 3.1, Eq. 5; E42, E89",
        r"L_T = D_{KL}(q(x_T|x_0)\,\|\,p(x_T)), \quad \nabla_\theta L_T = 0",
        why_l_t_drops,
    ),
    Question(
        "mass",
        "003 l.48-50",
        Text(
            "Why must the Gaussian be integrated in L_0, and not in the other terms?",
            "왜 L_0에서는 확률밀도를 적분해야 하고, 다른 항에서는 그럴 필요가 없는가?",
        ),
        "section 3.3, Eq. 13; E60, E62, E65, E68",
        r"-\log\int_{\delta_-(x_0)}^{\delta_+(x_0)}\mathcal{N}(x; \mu_\theta, \sigma_1^2)\,dx \geq 0, \quad "
        r"-\log\mathcal{N}(x_0; \mu_\theta, \sigma_1^2) \to -\infty",
        density_or_mass,
    ),
)
