"""From the bound to L_simple: Eq. 8 to 12, and the weights (Q22, Q25, Q26, Q32)."""

import torch

from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.objective import weights
from ddpm.diffusion.variance import FixedLarge, FixedSmall, beta_1
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.parameters import imperfect
from ddpm.laboratory.verdict import verdict
from ddpm.seeds import generator

F64 = torch.float64


def loss_weights(setting: Setting) -> Answer:
    """w_t of Eq. 12 for t = 2..T and its share by t: what L_simple replaces by 1. At t = 1 the term is L_0."""
    schedule, T = setting.schedule, setting.T
    large, small = (weights(schedule, rule)[2:] for rule in (FixedLarge(), FixedSmall()))
    rows = [
        (t, float(large[t - 2]), float(small[t - 2]), float(large[t - 2] / large.mean()))
        for t in some_steps(schedule, first=2)
    ]
    figure, (left, right) = panels(2)
    t = range(2, T + 1)
    left.plot(t, large, color=BLUE, label="σ² = β")
    left.plot(t, small, color=ORANGE, label="σ² = β̃")
    left.axhline(1, color=GREY, label="L_simple")
    left.set(title=f"w(t), {setting.label}", xlabel="t", ylabel="weight of ‖ε − ε_θ‖²", yscale="log")
    left.legend()
    right.plot(t, (large / large.sum()).cumsum(0), color=BLUE, label="bound, σ² = β")
    right.plot(t, torch.linspace(1 / (T - 1), 1, T - 1), color=GREY, label="L_simple")
    right.set(title="Share of the weight", xlabel="t", ylabel="cumulative")
    right.legend()
    last = max(2, T // 10)
    first, simple = float(large[: last - 1].sum() / large.sum()), (last - 1) / (T - 1)
    found = verdict(
        (T == 2, "has nothing to weigh: there is one such step", "따질 것이 없다. 그런 스텝이 하나뿐이다"),
        (
            first > 1.001 * simple,
            f"takes weight from the nearly clean images (a factor of {first / simple:.3g}) and gives it to the harder "
            "ones, as the paper says",
            f"논문의 말대로 거의 깨끗한 이미지의 비중을 줄이고({first / simple:.3g}분의 1) 더 어려운 것의 비중을 키운다",
        ),
        (
            first < 0.999 * simple,
            f"gives weight to the nearly clean images (a factor of {simple / first:.3g}): the paper speaks of its own "
            "schedule",
            f"거의 깨끗한 이미지의 비중을 오히려 키운다({simple / first:.3g}배). 논문의 말은 논문의 스케줄에 대한 것이다",
        ),
        (
            True,
            "weighs the nearly clean images as the bound does",
            "거의 깨끗한 이미지를 변분 경계와 같은 비중으로 본다",
        ),
    )
    smallest, early = int(large.argmin()) + 2, "t = 2" if last == 2 else f"t = 2..{last}"
    return Answer(
        Text(
            "The weights divide nothing. The bound is L_T + L_0 + C + the sum over t = 2..T of w_t E||eps - "
            "eps_theta||^2 (C collects what a fixed variance costs whatever the network does; t = 1 is L_0, the "
            "decoder's term, and not Eq. 12). L_simple has only the squared errors, t = 1 among them, each with the "
            f"weight 1. Of the weights in that sum {early} hold {first:.2%} in the bound (w_2 = "
            f"{float(large[0]):.4g}, smallest {float(large.min()):.4g} at t = {smallest}) and {simple:.2%} with equal "
            f"weights: with this schedule L_simple {found.en}.",
            "가중치가 경계를 나누는 것이 아니다. 변분 경계는 L_T + L_0 + C에, t = 2..T에 대한 w_t E||eps - "
            "eps_theta||^2의 합을 더한 것이다(C는 고정된 분산 때문에 신경망과 상관없이 드는 값을 모은 것이고, t = 1은 "
            "식 12가 아니라 디코더의 항 L_0다). L_simple에는 t = 1까지 포함해 제곱 오차만 있고 가중치는 모두 1이다. 그 "
            f"합의 가중치 가운데 {early}의 몫은 경계에서 {first:.2%}(w_2 = {float(large[0]):.4g}, 최소는 "
            f"t = {smallest}에서 {float(large.min()):.4g}), 가중치가 같을 때 {simple:.2%}다. 이 스케줄에서 L_simple은 "
            f"{found.ko}.",
        ),
        [Table(("t", "w_t, sigma^2 = beta", "w_t, sigma^2 = beta-tilde", "w_t / mean, beta"), rows)],
        figure,
    )


def predicting_the_mean(setting: Setting) -> Answer:
    """How large the same error is in eps, in x_0 and in the mean, over t."""
    schedule = setting.schedule
    t = torch.arange(1, setting.T + 1)
    eps = torch.ones(setting.T, dtype=F64)
    x_0 = 1 / schedule.snr[1:]
    mean = schedule.posterior_x_0[1:] ** 2 * x_0
    figure, (axis,) = panels(1)
    for values, color, name in ((eps, BLUE, "‖Δε‖²"), (x_0, GREEN, "‖Δx(0)‖²"), (mean, ORANGE, "‖Δμ‖²")):
        axis.plot(t, values, color=color, label=name)
    axis.set(title=f"The same error, {setting.label}", xlabel="t", ylabel="squared error", yscale="log")
    axis.legend()
    per_nat = 2 * FixedLarge(beta_1).table(schedule)[1:]
    spread = float(per_nat.max() / per_nat.min())
    rows = [(s, 1.0, float(x_0[s - 1]), float(mean[s - 1]), float(per_nat[s - 1])) for s in some_steps(schedule)]
    found = verdict(
        (
            spread > 1.001,
            f"without the factor 1/(2 sigma_t^2) the same number of nats weighs {spread:.3g} times less where beta is "
            "smallest than where it is largest, and that is probably why",
            f"1/(2 sigma_t^2)을 없애면 같은 nats가 beta가 가장 작은 곳에서 가장 큰 곳보다 {spread:.3g}배 가볍게 취급되는데, "
            "아마 그 때문일 것이다",
        ),
        (
            True,
            "with this schedule all betas are equal, so the plain squared distance is the bound's times one constant, and "
            "there is no difference to explain; the paper's betas differ",
            "이 스케줄은 모든 beta가 같아서 단순한 제곱 거리는 변분 경계의 상수배이고, 설명할 차이가 없다. 논문의 beta는 서로 "
            "다르다",
        ),
    )
    return Answer(
        Text(
            "Its output is mu_theta itself, and the target is mu-tilde_t(x_t, x_0), which is known in training "
            "because x_0 is. With the true bound this works (FID 13.22 in Table 2); with the plain squared distance "
            f"it does not. ||Delta mu||^2 = 2 sigma_t^2 (L_{{t-1}} - C): {found.en}.",
            "신경망의 출력이 mu_theta 자체이고, 목표는 mu-tilde_t(x_t, x_0)다. 학습할 때는 x_0를 아니까 목표도 안다. "
            "진짜 변분 경계로는 잘 되지만(표 2의 FID 13.22) 단순한 제곱 거리로는 되지 않는다. ||Delta mu||^2 = 2 "
            f"sigma_t^2 (L_{{t-1}} - C)이다. {found.ko}.",
        ),
        [Table(("t", "in eps", "in x_0", "in the mean", "in the mean, for each nat of L_{t-1} - C"), rows)],
        figure,
    )


def from_8_to_12(setting: Setting) -> Answer:
    """Eq. 8-12, each line evaluated on the same images, times and noise."""
    schedule, q = setting.schedule, ForwardProcess(setting.schedule)
    variance = FixedLarge()
    rows = []
    for t in some_steps(schedule, first=2):
        x_0, eps = torch.randn(2, 1000, 1, generator=generator(setting.seed, "8 to 12", t), dtype=F64)
        x_t = q.sample(x_0, t, eps)
        guess = imperfect(x_t, t)
        eps_theta, mean_theta = q.noise(x_t, guess, t), q.posterior(x_t, guess, t).mean
        beta, alpha, noise = schedule.beta[t], schedule.alpha[t], schedule.one_minus_alpha_bar[t]
        two_sigma_2 = 2 * variance.table(schedule)[t]
        solved = (x_t - noise.sqrt() * eps) / schedule.alpha_bar[t].sqrt()
        lines = (
            (q.posterior(x_t, x_0, t).mean - mean_theta) ** 2 / two_sigma_2,
            (q.posterior(x_t, solved, t).mean - mean_theta) ** 2 / two_sigma_2,
            ((x_t - beta / noise.sqrt() * eps) / alpha.sqrt() - mean_theta) ** 2 / two_sigma_2,
            beta**2 / (two_sigma_2 * alpha * noise) * (eps - eps_theta) ** 2,
        )
        worst = max(float((line - lines[0]).abs().max() / lines[0].abs().max()) for line in lines)
        rows.append((t, *(float(line.mean()) for line in lines), worst))
    figure, (axis,) = panels(1)
    axis.plot([r[0] for r in rows], [r[1] for r in rows], color=BLUE, marker="o", label="Eq. 8")
    axis.plot([r[0] for r in rows], [r[4] for r in rows], "x", color=ORANGE, label="Eq. 12")
    axis.set(title=f"An imperfect network, {setting.label}", xlabel="t", ylabel="L(t−1) − C, nats", yscale="log")
    axis.set_ylim(min(r[1] for r in rows) / 2, max(r[1] for r in rows) * 2)  # a single row has no range of its own
    axis.legend()
    return Answer(
        Text(
            "Solve Eq. 4 for x_0 = (x_t - sqrt(1 - alpha_bar_t) eps)/sqrt(alpha_bar_t) and put it into Eq. 7. The "
            "coefficient of x_t becomes 1/sqrt(alpha_t), because beta_t + alpha_t (1 - alpha_bar_{t-1}) = 1 - "
            "alpha_bar_t, and that of eps becomes -beta_t/(sqrt(alpha_t) sqrt(1 - alpha_bar_t)): Eq. 10. With "
            "mu_theta of the same form (Eq. 11) x_t cancels: Eq. 12. Line by line, image by image, the four "
            f"expressions agree to {max(r[5] for r in rows):.0e}.",
            "식 4를 x_0에 대해 풀면 x_0 = (x_t - sqrt(1 - alpha_bar_t) eps)/sqrt(alpha_bar_t)이고, 이를 식 7에 "
            "넣는다. beta_t + alpha_t (1 - alpha_bar_{t-1}) = 1 - alpha_bar_t이므로 x_t의 계수는 1/sqrt(alpha_t)가 "
            "되고, eps의 계수는 -beta_t/(sqrt(alpha_t) sqrt(1 - alpha_bar_t))가 된다. 이것이 식 10이다. mu_theta를 "
            "같은 꼴로 두면(식 11) x_t가 상쇄되어 식 12가 된다. 줄마다, 이미지마다 네 식이 "
            f"{max(r[5] for r in rows):.0e} 안에서 같다.",
        ),
        [Table(("t", "Eq. 8", "Eq. 9", "Eq. 10", "Eq. 12", "largest relative difference"), rows)],
        figure,
    )


def the_coefficient_of_eps(setting: Setting) -> Answer:
    """The right coefficient of eps in Eq. 10 beside those that the notes arrive at."""
    q = setting.schedule
    right = q.beta / (q.alpha.sqrt() * q.one_minus_alpha_bar.sqrt())
    forms = {
        "right": -right,
        "ERR-49: sign": right,
        "ERR-50, 51: root lost": -q.beta / (q.alpha.sqrt() * q.one_minus_alpha_bar),
    }
    x_0, eps = torch.randn(2, 1000, 1, generator=generator(setting.seed, "coefficient"), dtype=F64)
    process, rows = ForwardProcess(q), []
    for t in some_steps(q, first=2):
        x_t = process.sample(x_0, t, eps)
        mean = process.posterior(x_t, x_0, t).mean
        off = [float((x_t / q.alpha[t].sqrt() + table[t] * eps - mean).abs().max()) for table in forms.values()]
        rows.append((t, *off))
    figure, (axis,) = panels(1)
    t = range(2, setting.T + 1)
    for (name, table), color in zip(forms.items(), (BLUE, GREEN, ORANGE), strict=True):
        axis.plot(t, table[2:], color=color, label=name, lw=2.5 if name == "right" else 1.2)
    axis.set(title=setting.label, xlabel="t", ylabel="coefficient of ε", xscale="log")
    axis.set_yscale("symlog", linthresh=1e-2)
    axis.legend(ncols=2)
    return Answer(
        Text(
            "-beta_t/(sqrt(alpha_t) sqrt(1 - alpha_bar_t)). The sign comes from solving Eq. 4 for x_0; the root from "
            "sqrt(1 - alpha_bar_t)/(1 - alpha_bar_t) = 1/sqrt(1 - alpha_bar_t). Put beside mu-tilde itself on a "
            f"thousand images, the right form is off by {max(r[1] for r in rows):.0e}, the notes' by up to "
            f"{max(max(r[2:]) for r in rows):.2g}.",
            "-beta_t/(sqrt(alpha_t) sqrt(1 - alpha_bar_t))이다. 부호는 식 4를 x_0에 대해 풀 때 나오고, 제곱근은 "
            "sqrt(1 - alpha_bar_t)/(1 - alpha_bar_t) = 1/sqrt(1 - alpha_bar_t)에서 나온다. 이미지 천 개에서 "
            f"mu-tilde와 비교하면 옳은 식의 오차는 {max(r[1] for r in rows):.0e}, 노트의 식들은 최대 "
            f"{max(max(r[2:]) for r in rows):.2g}(이)다.",
        ),
        [Table(("t", *(f"off: {name}" for name in forms)), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q22",
        "000 l.173",
        Text("Is it an objective with weights that divide the bound?", "경계를 가를 가중치의 목적함수라는 말인가?"),
        "Eq. 12, 14; E51, E52, E67, E68",
        r"w_t = \frac{\beta_t^2}{2\sigma_t^2\alpha_t(1-\bar\alpha_t)}",
        loss_weights,
    ),
    Question(
        "Q25",
        "000 l.203",
        Text(
            "A model that predicts the posterior mean: what is that?", "정방향 사후 평균을 예측하는 모델이란 무엇인가?"
        ),
        "Eq. 8; Table 2; E47, E53",
        r"L_{t-1} = E_q\left[\frac{1}{2\sigma_t^2}\|\tilde\mu_t(x_t,x_0) - \mu_\theta(x_t,t)\|^2\right] + C",
        predicting_the_mean,
    ),
    Question(
        "Q26",
        "000 l.213-231",
        Text("How does one come from Eq. 8 to Eq. 10 (and 12)?", "식 8에서 식 10(그리고 12)까지 어떻게 가는가?"),
        "Eq. 8-12; E47-E51",
        r"\tilde\mu_t = \frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\epsilon\right)",
        from_8_to_12,
    ),
    Question(
        "Q32",
        "000 l.271-277",
        Text("What is the coefficient of eps in Eq. 10?", "식 10에서 eps의 계수는 무엇인가?"),
        "Eq. 10; E48; ERR-49, 50, 51",
        r"-\frac{\beta_t}{\sqrt{\alpha_t}\sqrt{1-\bar\alpha_t}}",
        the_coefficient_of_eps,
    ),
)
