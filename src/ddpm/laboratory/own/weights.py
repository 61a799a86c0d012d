"""What the bound and L_simple weigh for a trained network: Eq. 12 with its own errors (Q22), and those of the mean (Q25)."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.diffusion.objective import weights
from ddpm.diffusion.variance import FixedLarge
from ddpm.figures.style import BLUE, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.own.subject import Subject, early
from ddpm.laboratory.verdict import verdict


def share(values: Tensor, last: int) -> float:
    """Of a table's sum over t >= 2 what t = 2..`last` hold; index t."""
    return float(values[2 : last + 1].sum() / values[2:].sum())


def which_way(plain: float, bound: float) -> Text:
    """What a loss does to the nearly clean images, by their share of it and of the bound."""
    return verdict(
        (
            bound > 1.001 * plain,
            f"takes weight from the nearly clean images ({plain:.2%} instead of {bound:.2%})",
            f"거의 깨끗한 이미지의 비중을 줄인다({bound:.2%} 대신 {plain:.2%})",
        ),
        (
            plain > 1.001 * bound,
            f"gives weight to the nearly clean images ({plain:.2%} instead of {bound:.2%})",
            f"거의 깨끗한 이미지의 비중을 오히려 키운다({bound:.2%} 대신 {plain:.2%})",
        ),
        (
            True,
            f"weighs the nearly clean images as the bound does ({plain:.2%} and {bound:.2%})",
            f"거의 깨끗한 이미지를 변분 경계와 같은 비중으로 본다({bound:.2%}, {plain:.2%})",
        ),
    )


def agreement(exact: Text, network: Text) -> Text:
    """Whether two such verdicts begin alike."""
    same = exact.en.split(" (")[0] == network.en.split(" (")[0]
    return verdict(
        (same, f"The exact model says the same: it {exact.en}", f"정확한 모델도 같은 말을 한다. {exact.ko}"),
        (True, f"The exact model says otherwise: there it {exact.en}", f"정확한 모델에서는 다르다. {exact.ko}"),
    )


def loss_weights(subject: Subject) -> Answer:
    """The terms of the bound and the squared errors of eps, and how much of each lies near the data."""
    last = early(subject.T)
    w = weights(subject.schedule, FixedLarge())
    exact, network = (found.bound for found in subject.both)
    rows = [
        (
            t,
            float(w[t]),
            *(float(b.mse_eps[t]) for b in (exact, network)),
            *(float(b.by_t[t]) for b in (exact, network)),
        )
        for t in some_steps(subject.schedule, first=2)
    ]
    bits, errors = (
        [share(table, last) for table in tables]
        for tables in ((exact.by_t, network.by_t), (exact.mse_eps, network.mse_eps))
    )
    parts = [
        ("L_T, bits/dim", exact.L_T, network.L_T),
        ("sum of L_{t-1}, t >= 2", float(exact.by_t[2:].sum()), float(network.by_t[2:].sum())),
        ("L_0", exact.L_0, network.L_0),
        ("L", exact.total, network.total),
        (f"share of t = 2..{last}: of w_t", share(w, last), share(w, last)),
        (f"share of t = 2..{last}: of the sum of L_{{t-1}}", *bits),
        (f"share of t = 2..{last}: of the errors of eps", *errors),
    ]
    found = [which_way(*pair) for pair in zip(errors, bits, strict=True)]
    alike, words = agreement(*found), found[1]
    figure = _draw(subject)
    return Answer(
        Text(
            "Theory: Eq. 12 weighs the squared error of eps at t by w_t, L_simple by 1; which images a loss is about "
            "is the weight times the error that is left there. For this network the sum of L_{t-1} over t >= 2 is "
            f"{parts[1][2]:.4f} of {network.total:.4f} bits/dim, and L_simple {words.en}. {alike.en}.",
            "이론: 식 12는 t에서 eps의 제곱 오차에 w_t를, L_simple은 1을 곱한다. 손실이 어떤 이미지를 보는지는 "
            "가중치에 그곳에 남은 오차를 곱해야 알 수 있다. 이 신경망에서 t >= 2인 L_{t-1}의 합은 "
            f"{network.total:.4f} bits/dim 가운데 {parts[1][2]:.4f}(이)고, L_simple은 {words.ko}. {alike.ko}.",
        ),
        [
            Table(("of the bound", "exact model", "this network"), parts),
            Table(
                (
                    "t",
                    "w_t, sigma^2 = beta",
                    "error of eps, exact model",
                    "error of eps, this network",
                    "L_{t-1}, bits/dim, exact model",
                    "L_{t-1}, bits/dim, this network",
                ),
                rows,
            ),
        ],
        figure,
    )


def _draw(subject: Subject) -> Figure:
    """The terms, and how their sum comes together."""
    exact, network = (found.bound for found in subject.both)
    figure, (left, right) = panels(2)
    t = range(2, subject.T + 1)
    for bound, color, name in ((exact, ORANGE, "exact model"), (network, BLUE, "this network")):
        left.plot(t, bound.by_t[2:], color=color, label=name)
        right.plot(t, (bound.by_t[2:] / bound.by_t[2:].sum()).cumsum(0), color=color, label=f"bound, {name}")
    right.plot(
        t,
        (network.mse_eps[2:] / network.mse_eps[2:].sum()).cumsum(0),
        color=GREY,
        ls="--",
        label="L_simple, this network",
    )
    left.set(title=f"L(t−1), {subject.label}", xlabel="t", ylabel="bits/dim", yscale="log")
    right.set(title="Share of the sum over t ≥ 2", xlabel="t", ylabel="cumulative")
    for axis in (left, right):
        axis.legend()
    return figure


def predicting_the_mean(subject: Subject) -> Answer:
    """The errors of the mean of p_theta, plainly squared, and in nats by Eq. 8."""
    schedule, last = subject.schedule, early(subject.T)
    squared = [schedule.posterior_x_0**2 * found.bound.mse_x_0 for found in subject.both]
    sigma_2 = FixedLarge().table(schedule)
    nats = [error / (2 * sigma_2).where(sigma_2 > 0, torch.ones_like(sigma_2)) for error in squared]
    rows = [
        (t, *(float(table[t]) for table in (squared[0], nats[0], squared[1], nats[1])))
        for t in some_steps(schedule, first=2)
    ]
    plain, bound = ([share(table, last) for table in tables] for tables in (squared, nats))
    found = [which_way(*pair) for pair in zip(plain, bound, strict=True)]
    alike, words = agreement(*found), found[1]
    spread = float((nats[1][2:] / squared[1][2:]).max() / (nats[1][2:] / squared[1][2:]).min())
    figure, (left, right) = panels(2)
    t = range(2, subject.T + 1)
    for error, cost, color, name in zip(squared, nats, (ORANGE, BLUE), ("exact model", "this network"), strict=True):
        left.plot(t, error[2:], color=color, label=name)
        right.plot(t, cost[2:], color=color, label=name)
    left.set(title=f"‖μ̃ − μ_θ‖², {subject.label}", xlabel="t", ylabel="squared error", yscale="log")
    right.set(title="The same, divided by 2β(t)", xlabel="t", ylabel="nats/dim", yscale="log")
    for axis in (left, right):
        axis.legend()
    return Answer(
        Text(
            "Theory: the same error of the mean counts 1/(2 sigma_t^2) times in L_{t-1} (Eq. 8), so that with "
            f"sigma_t^2 = beta_t a squared distance counts up to {spread:.3g} times more at one t than at another. "
            "Trained by the plain distance of Table 2, with the errors that it has now, this network would have a "
            f"loss that {words.en}. {alike.en}.",
            "이론: 평균의 오차는 L_{t-1}에 1/(2 sigma_t^2)배로 들어간다(식 8). sigma_t^2 = beta_t이면 같은 제곱 "
            f"거리가 어떤 t에서는 다른 t보다 최대 {spread:.3g}배 무겁다. 지금의 오차로 표 2의 단순한 제곱 거리를 "
            f"손실로 쓴다면, 이 신경망의 손실은 {words.ko}. {alike.ko}.",
        ),
        [
            Table(
                (
                    "t",
                    "error of the mean, exact model",
                    "nats/dim, exact model",
                    "error of the mean, this network",
                    "nats/dim, this network",
                ),
                rows,
            )
        ],
        figure,
    )
