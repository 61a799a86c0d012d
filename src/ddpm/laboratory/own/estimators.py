"""The three ways to estimate the bound, on a trained network: how far each scatters (Q20)."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from torch import Tensor

from ddpm.diffusion.estimators import COUPLINGS
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.figures.style import BLUE, GREEN, ORANGE, panels
from ddpm.laboratory.answer import Answer, Table, Text
from ddpm.laboratory.estimators import EQUATIONS, drawn
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.own.subject import Subject
from ddpm.laboratory.verdict import verdict
from ddpm.seeds import generator
from ddpm.tensors import noise_from

ROWS = 32
"""At least so many chains: each image has several, so that what differs between images is not counted."""
COUPLED = {"independent": "fresh x_t for each t", "trajectory": "one chain"}


@dataclass(frozen=True, eq=False)
class Scatter:
    """Of one estimator, over the noise alone: variances of the terms t = 2..T (index t - 2) and of the whole sum, nats^2.

    `mean` is the mean of the terms t = 1..T + 1 (index t - 1), nats.
    """

    terms: Tensor
    whole: float
    mean: Tensor


Scatters = Mapping[str, Mapping[str, Scatter]]
"""By coupling, then by estimator."""


def scatters(subject: Subject, p: ReverseProcess, repeats: int, what: str) -> Scatters:
    """Every estimator on the same pairs (x_{t-1}, x_t), each image with `repeats` draws of the noise."""
    x_0 = subject.x_0.repeat(repeats, *[1] * (subject.x_0.ndim - 1))
    found = {}
    for coupling, words in COUPLED.items():
        pairs = COUPLINGS[coupling](p, x_0, noise_from(generator(subject.seed, "estimators", coupling)))
        tables = drawn(p, x_0, subject.followed(pairs, subject.T + 1, f"{what}, {words}"))
        found[coupling] = {name: _scatter(table.cpu().double(), repeats) for name, table in tables.items()}
    return found


def _scatter(table: Tensor, repeats: int) -> Scatter:
    """From nats (T + 1, repeats * images), t = T+1..1: variances over the repeats, averaged over the images."""
    by_image = table.unflatten(1, (repeats, -1))
    return Scatter(by_image[1:-1].var(1).mean(1).flip(0), float(by_image.sum(0).var(0).mean()), table.mean(1).flip(0))


def less(exact: float, network: float) -> Text:
    """By which factor the closed form scatters less, on fresh x_t."""
    return verdict(
        (
            network > 1,
            f"With fresh x_t the closed form scatters less, as it must: {network:.3g} times less for this network "
            f"({exact:.3g} for the exact model)",
            f"x_t를 새로 뽑으면 이론대로 닫힌 식이 덜 흩어진다. 분산이 이 신경망에서 {network:.3g}분의 1(정확한 모델에서 "
            f"{exact:.3g}분의 1)이다",
        ),
        (
            True,
            f"With fresh x_t the closed form does not scatter less in these few draws (a factor of {network:.3g} for "
            f"this network, {exact:.3g} for the exact model): take more images",
            f"x_t를 새로 뽑아도 이만한 샘플에서는 닫힌 식이 덜 흩어지지 않는다(분산의 비가 이 신경망에서 {network:.3g}, 정확한 "
            f"모델에서 {exact:.3g}). 이미지를 늘려 보라",
        ),
    )


def along_one_chain(raw: float, closed: float) -> Text:
    """Which sum scatters less along one chain, by the variances of both."""
    return verdict(
        (
            closed > 1.1 * raw,
            f"Along one chain it is the other way round for this network too: {closed:.3g} nats^2 in closed form, "
            f"{raw:.3g} by Eq. 3, whose fluctuations cancel: never add closed forms along one chain",
            f"체인 하나를 따라 더하면 이 신경망에서도 반대가 된다. 닫힌 식이 {closed:.3g} nats^2, 요동이 서로 상쇄되는 "
            f"식 3이 {raw:.3g}(이)다. 닫힌 식을 체인 하나를 따라 더해서는 안 된다",
        ),
        (
            raw > 1.1 * closed,
            f"Along one chain the closed form is better for this network: {closed:.3g} nats^2, {raw:.3g} by Eq. 3: the "
            "fluctuations of the raw sum cancel only as long as a network is nearly perfect, and this one is not",
            f"체인 하나를 따라 더해도 이 신경망에서는 닫힌 식이 낫다. {closed:.3g} nats^2이고 식 3은 {raw:.3g}(이)다. 식 "
            "3의 요동은 신경망이 거의 완벽할 때에만 상쇄되는데 이 신경망은 그렇지 않다",
        ),
        (
            True,
            f"Along one chain both scatter alike for this network ({closed:.3g} nats^2 in closed form, {raw:.3g} by "
            "Eq. 3)",
            f"체인 하나를 따라 더하면 이 신경망에서는 둘이 비슷하다(닫힌 식 {closed:.3g} nats^2, 식 3 {raw:.3g})",
        ),
    )


def _draw(subject: Subject, exact: Scatters, network: Scatters) -> Figure:
    figure, axes = panels(2)
    for axis, found, title in zip(axes, (exact, network), ("exact model", "this network"), strict=True):
        for (name, equation), color in zip(EQUATIONS.items(), (GREEN, ORANGE, BLUE), strict=True):
            axis.plot(range(2, subject.T + 1), found["independent"][name].terms, color=color, label=equation)
        axis.set(title=f"{title}, {subject.label}", xlabel="t", ylabel="variance of one term, nats²", yscale="log")
        axis.legend()
    return figure


def rao_blackwell(subject: Subject) -> Answer:
    """Variances of each estimator over the noise, for the exact model and the network, on the same images and noise."""
    repeats = max(2, -(-ROWS // len(subject.images)))
    exact = scatters(subject, subject.exact, repeats, "the exact model")
    network = scatters(subject, subject.of_network(repeats), repeats, "the network")
    rows = []
    for name, equation in EQUATIONS.items():
        pair = [
            (
                float(found["independent"][name].terms.sum()),
                found["independent"][name].whole,
                found["trajectory"][name].whole,
            )
            for found in (exact, network)
        ]
        rows.append((f"{name} ({equation})", *pair[0], *pair[1]))
    raw, ratio, closed = rows
    gains = [ratio[i] / closed[i] for i in (1, 4)]
    shown = [t for t in some_steps(subject.schedule) if t <= subject.T]
    means = [(t, *(float(network["independent"][name].mean[t - 1]) for name in EQUATIONS)) for t in shown]
    sums = [float(network["independent"][name].mean.sum()) for name in EQUATIONS]
    errors = [(network["independent"][name].whole / repeats / len(subject.images)) ** 0.5 for name in EQUATIONS]
    means += [("the whole sum", *sums), ("its standard error", *errors)]
    figure = _draw(subject, exact, network)
    fresh, chain = less(*gains), along_one_chain(raw[6], closed[6])
    degrees = (repeats - 1) * len(subject.images)
    return Answer(
        Text(
            "Theory: the divergence of two Gaussians is a formula, and replacing a draw of x_{t-1} by its average "
            f"(Rao-Blackwell) never raises the variance of a term: that of Eq. 5 against that of Eq. 21 (Eq. 3 cuts the sum "
            f"into other terms). {fresh.en}, summed over t >= 2. "
            f"{chain.en}. (Variances over the noise alone: {repeats} draws for each of {len(subject.images)} images; "
            f"each whole sum's is known to {(2 / degrees) ** 0.5:.0%}.)",
            "이론: 두 가우시안의 KL 발산에는 공식이 있고, x_{t-1}의 샘플을 그 평균으로 바꾸면(라오-블랙웰) 항의 분산은 절대 "
            f"늘지 않는다. 식 21의 항과 식 5의 항이 그런 짝이다(식 3은 같은 합을 다른 항으로 나눈다). "
            f"{fresh.ko}(t >= 2인 항의 분산을 더한 값). {chain.ko}. (잡음에 대한 분산만 센다. 이미지 "
            f"{len(subject.images)}장 각각에서 {repeats}번씩 뽑았고, 전체 합의 분산에는 {(2 / degrees) ** 0.5:.0%}쯤의 오차가 있다.)",
        ),
        [
            Table(
                (
                    "variance, nats^2",
                    "t >= 2, exact model",
                    "whole, fresh x_t, exact model",
                    "whole, one chain, exact model",
                    "t >= 2, this network",
                    "whole, fresh x_t, this network",
                    "whole, one chain, this network",
                ),
                rows,
            ),
            Table(("mean of a term, this network, nats: t", *EQUATIONS.values()), means),
        ],
        figure,
    )
