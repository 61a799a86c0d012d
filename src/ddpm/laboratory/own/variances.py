"""The variance of the reverse kernel for a trained network: what each choice costs (Q23), and between which bounds (Q24)."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.analytic.bound import gaussian_spread, terms_from_mse
from ddpm.diffusion.bound import bits_per_dim
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Fixed, FixedLarge, FixedSmall, Learned, Optimal
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.own.subject import Found, Subject, per_image
from ddpm.laboratory.verdict import verdict
from ddpm.seeds import generator
from ddpm.tensors import noise_from


def cost(schedule: Schedule, rule: Fixed, mse_x_0: Tensor) -> float:
    """L_1 + ... + L_{T-1} of a network with these errors at t = 0..T and a fixed variance, bits/dim."""
    return float(bits_per_dim(terms_from_mse(schedule, rule, mse_x_0, 0.0)[2:].sum(), 1))


def costs(subject: Subject, found: Found) -> dict[str, float]:
    """The same with each rule, and as it was measured with its own variance."""
    errors = found.bound.mse_x_0
    rules = {"beta": FixedLarge(), "beta-tilde": FixedSmall(), "optimal": Optimal(errors)}
    return {
        **{name: cost(subject.schedule, rule, errors) for name, rule in rules.items()},
        "its own": float(found.bound.by_t[2:].sum()),
    }


def cheaper(mean: float, error: float) -> Text:
    """Which of the two fixed variances codes better, by the bits of beta less those of beta-tilde over images."""
    return verdict(
        (
            mean > 2 * error,
            f"beta costs this network {mean:.4f} ± {error:.4f} bits/dim more than beta-tilde",
            f"이 신경망에서 beta는 beta-tilde보다 {mean:.4f} ± {error:.4f} bits/dim 더 든다",
        ),
        (
            mean < -2 * error,
            f"beta-tilde costs this network {-mean:.4f} ± {error:.4f} bits/dim more than beta",
            f"이 신경망에서 beta-tilde는 beta보다 {-mean:.4f} ± {error:.4f} bits/dim 더 든다",
        ),
        (
            True,
            f"beta and beta-tilde cost this network as much, as far as can be seen ({mean:+.4f} ± {error:.4f} "
            "bits/dim)",
            f"이 신경망에서 beta와 beta-tilde는 다르다고 할 수 없다({mean:+.4f} ± {error:.4f} bits/dim)",
        ),
    )


def left_to_win(own: float, best: float, fixed: float) -> Text:
    """What the variance that the network has leaves of what the best one would win."""
    return verdict(
        (
            own > best + 0.01 * fixed,
            f"With the best variance for its errors (E45) it would cost {own - best:.4f} less than it does with its "
            "own",
            f"오차에 최적인 분산(E45)을 쓰면 지금의 분산보다 {own - best:.4f} 덜 든다",
        ),
        (
            own < best - 0.01 * fixed,
            f"Its own variance, which differs from pixel to pixel, costs {best - own:.4f} less than the best single "
            "one (E45)",
            f"픽셀마다 다른 신경망 자신의 분산이 최적의 분산 하나(E45)보다 {best - own:.4f} 덜 든다",
        ),
        (
            True,
            "Its own variance is within a hundredth of the best single one (E45)",
            "신경망 자신의 분산이 최적의 분산 하나(E45)와 백분의 일 안에서 같다",
        ),
    )


def beta_or_beta_tilde(subject: Subject) -> Answer:
    """What beta, beta-tilde and the best variance cost a network with these errors; t = 1 is the decoder's."""
    schedule, (exact, network) = subject.schedule, (costs(subject, found) for found in subject.both)
    each = torch.tensor(
        [
            cost(schedule, FixedLarge(), errors) - cost(schedule, FixedSmall(), errors)
            for errors in subject.by_network.mse_x_0
        ],
        dtype=torch.float64,
    )
    which = cheaper(*per_image(each))
    fixed = min(network["beta"], network["beta-tilde"])
    rest = left_to_win(network["its own"], network["optimal"], fixed)
    rows = [(name, exact[name], network[name]) for name in network]
    figure, (left, right) = panels(2)
    ratio = schedule.beta_tilde[2:] / schedule.beta[2:]
    left.plot(range(2, subject.T + 1), ratio, color=PURPLE)
    left.set(title=f"β̃/β, {subject.label}", xlabel="t", ylabel="β̃(t)/β(t)", xscale="log")
    for place, (values, color, name) in enumerate(((exact, ORANGE, "exact model"), (network, BLUE, "this network"))):
        where = [row + 0.4 * place - 0.2 for row in range(len(values))]
        bars = right.barh(where, list(values.values()), height=0.36, color=color, label=name)
        right.bar_label(bars, fmt="%.4f", padding=3, fontsize=8)
    right.set_yticks(range(len(rows)), ["σ² = β", "σ² = β̃", "optimal", "its own"])
    right.set(title="L(1) + … + L(T−1)", xlabel="bits/dim", xlim=(0, 1.7 * max(max(row[1:]) for row in rows)))
    right.grid(axis="y", visible=False)
    right.legend(loc="lower right")
    return Answer(
        Text(
            "Theory: for a fixed variance L_{t-1} depends on a network by its squared errors alone (E47), so what "
            f"another variance would cost is known without evaluating it. Over t >= 2 {which.en} (the exact model: "
            f"{exact['beta'] - exact['beta-tilde']:+.4f}). {rest.en}.",
            "이론: 분산이 고정이면 L_{t-1}은 신경망의 제곱 오차에만 달려 있으므로(E47) 다른 분산의 값은 다시 재지 "
            f"않아도 안다. t >= 2인 항의 합으로 보면 {which.ko}. 정확한 모델에서 둘의 "
            f"차이는 {exact['beta'] - exact['beta-tilde']:+.4f}(이)다. {rest.ko}.",
        ),
        [Table(("sum of L_{t-1}, t >= 2, bits/dim; variance", "exact model", "this network"), rows)],
        figure,
    )


def position(schedule: Schedule, variance: Tensor) -> Tensor:
    """Where a variance at t = 0..T lies between beta-tilde (0) and beta (1), in nats; at t = 0 and 1 it has no meaning."""
    low, high = schedule.beta_tilde.log(), schedule.beta.log()
    return (variance.log() - low) / (high - low)


def of_exact(subject: Subject) -> Tensor:
    """Where H(x_{t-1}|x_t) of the Gaussian lies: the mean over its axes (E46)."""
    schedule = subject.schedule
    along = schedule.beta_tilde[:, None] + schedule.posterior_x_0[:, None] ** 2 * gaussian_spread(subject.diffused)
    return position(schedule, along.log().mean(1).exp())


def of_network(subject: Subject, steps: Sequence[int]) -> list[float]:
    """Where the network's own variance lies at these t, on average over images and pixels."""
    p, found = subject.of_network(), []
    draw = noise_from(generator(subject.seed, "own variance"))
    for t in steps:
        reverse, _ = p(p.q.sample(subject.x_0, t, draw(subject.x_0)), t)
        found.append(
            float(
                position(
                    subject.schedule,
                    torch.full((subject.T + 1,), float(reverse.log_var.mean().exp()), dtype=torch.float64),
                )[t]
            )
        )
    return found


def within(above: int, T: int, highest: float) -> Text:
    """Whether the best variance for the network's errors stays below beta."""
    return verdict(
        (
            above == 0,
            "The best variance for this network's errors lies between the two at every t >= 2, as the theory says of "
            "a network that guesses no worse than for N(0, I)",
            "이 신경망의 오차에 최적인 분산은 모든 t >= 2에서 둘 사이에 있다. N(0, I)일 때보다 못하지 않게 "
            "추측하는 신경망이라면 이론이 말하는 대로다",
        ),
        (
            True,
            f"The best variance for this network's errors is above beta at {above} of {T - 1} steps (up to position "
            f"{highest:.2f}): there it guesses worse than one can for N(0, I), and the upper bound does not hold for "
            "it",
            f"이 신경망의 오차에 최적인 분산은 {T - 1}스텝 가운데 {above}스텝에서 beta보다 크다(위치 "
            f"{highest:.2f}까지). 그곳에서는 N(0, I)일 때보다도 못 맞히고, 상한은 이 신경망에 성립하지 않는다",
        ),
    )


def tighter(network: float, exact: float) -> Text:
    """Whose bound on the entropy is lower, by mean positions over t."""
    return verdict(
        (
            network < exact - 0.01,
            f"On average over t it is lower ({network:.2f}) than the entropy of the Gaussian ({exact:.2f}): images "
            "have less left to guess than their covariance tells",
            f"t에 대한 평균은 {network:.2f}(으)로, 가우시안의 엔트로피({exact:.2f})보다 낮다. 이미지에는 공분산이 말하는 "
            "것보다 추측할 것이 적다",
        ),
        (
            network > exact + 0.01,
            f"On average over t it is higher ({network:.2f}) than the entropy of the Gaussian ({exact:.2f})",
            f"t에 대한 평균은 {network:.2f}(으)로, 가우시안의 엔트로피({exact:.2f})보다 높다",
        ),
        (
            True,
            f"On average over t it is where the entropy of the Gaussian is ({network:.2f} and {exact:.2f})",
            f"t에 대한 평균은 가우시안의 엔트로피와 같은 곳에 있다({network:.2f}, {exact:.2f})",
        ),
    )


def _draw(subject: Subject, curves: Mapping[str, Tensor], steps: Sequence[int], own: Sequence[float]) -> Figure:
    """Positions between beta-tilde and beta, index t."""
    figure, (axis,) = panels(1)
    axis.axhspan(0, 1, color=GREY, alpha=0.15, lw=0)
    for (name, values), color in zip(curves.items(), (ORANGE, GREEN, BLUE), strict=True):
        width = 4 if color == ORANGE else 1.8  # the first two hardly differ where steps are small
        axis.plot(range(2, subject.T + 1), values[2:], color=color, label=name, lw=width)
    axis.plot(steps, own, "o", color=PURPLE, label="its own variance")
    axis.set(title=f"{subject.label}: 0 is β̃, 1 is β", xlabel="t", ylabel="position")
    axis.legend()
    return figure


def entropy_bounds(subject: Subject) -> Answer:
    """Entropy of the exact model's kernel and the best variance for the network's errors, between beta-tilde and beta."""
    schedule, steps = subject.schedule, some_steps(subject.schedule, first=2)
    entropy = of_exact(subject)
    best = position(schedule, Optimal(subject.mmse).table(schedule))
    # without the fence of `Optimal`: whether the network keeps below it is the question
    errors = subject.by_network.bound.mse_x_0
    free = position(schedule, schedule.beta_tilde + schedule.posterior_x_0**2 * errors)
    own = of_network(subject, steps)
    rows = [(t, float(entropy[t]), float(best[t]), float(free[t]), own[i]) for i, t in enumerate(steps)]
    curves = {
        "H(x(t−1)|x(t)), exact model": entropy,
        "best variance, exact model": best,
        "best variance, this network": free,
    }
    figure = _draw(subject, curves, steps, own)
    above = int((free[2:] > 1 + 1e-9).sum())
    kept = within(above, subject.T, float(free[2:].max()))
    lower = tighter(float(free[2:].mean()), float(entropy[2:].mean()))
    learned = isinstance(subject.network.variance, Learned)
    mine = verdict(
        (
            learned,
            f" The variance that it learned moves from {own[0]:.2f} at t = {steps[0]} to {own[-1]:.2f} at t = "
            f"{steps[-1]}.",
            f" 학습한 분산의 위치는 t = {steps[0]}의 {own[0]:.2f}에서 t = {steps[-1]}의 {own[-1]:.2f}(으)로 움직인다.",
        ),
        (True, "", ""),
    )
    return Answer(
        Text(
            "Theory: H(x_{t-1}|x_t) lies between the entropies of beta-tilde (position 0) and beta (1) where "
            "coordinates have variance 1 or, as pixels in [-1, 1], less. Of real images nobody knows it, but "
            "beta-tilde + c^2 E|x_0 - x_0-hat|^2, the best variance for a network's errors, is an upper bound, since "
            f"no law of that variance has more entropy than a Gaussian. {kept.en}. {lower.en}.{mine.en}",
            "이론: 좌표의 분산이 1이거나 [-1, 1]의 픽셀처럼 그보다 작으면 H(x_{t-1}|x_t)는 beta-tilde의 "
            "엔트로피(위치 0)와 beta의 엔트로피(1) 사이에 있다. 실제 이미지의 값은 아무도 모르지만, 신경망의 오차에 "
            "최적인 분산 beta-tilde + c^2 E|x_0 - x_0-hat|^2이 상한이 된다. 분산이 같으면 가우시안의 엔트로피가 "
            f"가장 크기 때문이다. {kept.ko}. {lower.ko}.{mine.ko}",
        ),
        [
            Table(
                (
                    "t",
                    "H(x_{t-1}|x_t), exact model",
                    "best variance, exact model",
                    "best variance, this network",
                    "its own variance",
                ),
                rows,
            )
        ],
        figure,
    )
