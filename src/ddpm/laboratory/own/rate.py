"""Rate and distortion of a trained network (Q5), and the bound as an order in which pixels become known (masking)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ddpm.analytic.ordering import Ordered, in_order
from ddpm.diffusion.bound import bits_per_dim
from ddpm.diffusion.gaussian import Gaussian
from ddpm.evaluation.paired import Difference, difference
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Table, Text
from ddpm.laboratory.own.files import in_files
from ddpm.laboratory.own.subject import Subject
from ddpm.laboratory.verdict import verdict
from ddpm.sampling.images import evenly
from ddpm.seeds import generator


def learned(than_exact: Difference) -> Text:
    """What a network is worth beside the best that knows mean and covariance alone, by its bound less that one's."""
    mean, error = than_exact.mean, than_exact.stderr
    return verdict(
        (
            mean < -2 * error,
            f"codes these images in {-mean:.4f} ± {error:.4f} bits/dim less than the exact model: it has learned more "
            "of them than their mean and covariance",
            f"정확한 모델보다 {-mean:.4f} ± {error:.4f} bits/dim 적게 쓴다. 평균과 공분산보다 많은 것을 배웠다",
        ),
        (
            mean > 2 * error,
            f"needs {mean:.4f} ± {error:.4f} bits/dim more than the exact model: it has not yet learned what mean and "
            "covariance tell",
            f"정확한 모델보다 {mean:.4f} ± {error:.4f} bits/dim 더 쓴다. 평균과 공분산이 말해 주는 것도 아직 배우지 "
            "못했다",
        ),
        (
            True,
            f"and the exact model differ by {mean:+.4f} ± {error:.4f} bits/dim: no difference is seen",
            f"정확한 모델과 {mean:+.4f} ± {error:.4f} bits/dim 차이로, 다르다고 할 수 없다",
        ),
    )


Curve = Sequence[tuple[int, float, float]]
"""(t, bits/dim received, RMSE on 0..255), t = T..1."""


def bits_until(curve: Curve, rmse: float) -> float | None:
    """Bits/dim after which the error is at most this; None if it never is."""
    return next((bits for _, bits, error in curve if error <= rmse), None)


def sooner(goal: float, exact: float | None, network: float | None) -> Text:
    """Who comes down to the error `goal` with fewer bits."""
    if network is None:
        return Text(
            f"Its error never comes down to half of what the mean image leaves, {goal:.1f} of 255",
            f"오차가 평균 이미지만 알 때의 절반, 곧 255 기준 {goal:.1f}까지 한 번도 내려오지 않는다",
        )
    if exact is None:
        return Text(
            f"Its error is down to half of what the mean image leaves, {goal:.1f} of 255, after {network:.4f} "
            "bits/dim; that of the exact model never is",
            f"{network:.4f} bits/dim 뒤에 오차가 평균 이미지만 알 때의 절반, 곧 255 기준 {goal:.1f}까지 내려온다. "
            "정확한 모델은 한 번도 그러지 못한다",
        )
    en = (
        f"{network:.4f} bits/dim, the exact model {exact:.4f}, until the error is half of what the mean image leaves, "
        f"{goal:.1f} of 255"
    )
    ko = (
        f"오차가 평균 이미지만 알 때의 절반, 곧 255 기준 {goal:.1f}까지 내려오는 데 {network:.4f} bits/dim, 정확한 "
        f"모델은 {exact:.4f}이(가) 든다"
    )
    return verdict(
        (network < exact, f"It shows the image sooner: it takes {en}", f"이미지를 더 일찍 보여 준다. {ko}"),
        (network > exact, f"It shows the image later: it takes {en}", f"이미지를 더 늦게 보여 준다. {ko}"),
        (True, f"It shows the image as soon: it takes {en}", f"이미지를 같은 때에 보여 준다. {ko}"),
    )


def progressive(subject: Subject) -> Answer:
    """The rate-distortion curves of Eq. 5 for the same images."""
    exact, network = (found.bound for found in subject.both)
    curves = [bound.rate_distortion() for bound in (exact, network)]
    shown = sorted(set(evenly(subject.T, 10)))
    rows = [(curves[0][i][0], *curves[0][i][1:], *curves[1][i][1:]) for i in shown]
    goal = curves[0][0][2] / 2
    found, half = learned(difference(exact, network)), sooner(goal, *(bits_until(curve, goal) for curve in curves))
    coded = in_files(subject, goal)
    figure, (left, right) = panels(2)
    for curve, color, name in zip(curves, (ORANGE, BLUE), ("exact model", "this network"), strict=True):
        left.plot([t for t, _, _ in curve], [rmse for _, _, rmse in curve], color=color, label=name)
        right.plot([bits for _, bits, _ in curve], [rmse for _, _, rmse in curve], color=color, label=name)
    if coded.curve:
        right.plot(*zip(*coded.curve, strict=True), color=GREEN, label="its real files")
    left.set(title=f"Distortion, {subject.label}", xlabel="t", ylabel="RMSE on 0…255", ylim=(0, None))
    left.invert_xaxis()
    right.set(title=f"{len(subject.images)} images", xlabel="bits/dim received", ylabel="RMSE on 0…255", ylim=(0, None))
    for axis in (left, right):
        axis.legend()
    return Answer(
        Text(
            "Theory: read as a code, L_T and the terms L_{t-1} are what has been sent when x_t is known, and the "
            f"estimate of x_0 is what can be shown then (Algorithms 3 and 4). This network, {network.total:.4f} "
            f"bits/dim, {found.en}. {half.en}. {coded.text.en}",
            "이론: 부호로 읽으면 L_T와 L_{t-1}은 x_t를 알 때까지 보낸 비트이고, 그때 보여 줄 수 있는 것이 x_0의 "
            f"추정값이다(알고리즘 3, 4). 이 신경망({network.total:.4f} bits/dim)은 {found.ko}. {half.ko}. {coded.text.ko}",
        ),
        [
            Table(
                (
                    "t",
                    "rate, bits/dim, exact model",
                    "RMSE on 0..255, exact model",
                    "rate, bits/dim, this network",
                    "RMSE on 0..255, this network",
                ),
                rows,
            ),
            *coded.tables,
        ],
        figure,
    )


def _raster(places: Tensor, _seed: int) -> Tensor:
    return places.permute(1, 2, 0).flatten()


def _columns(places: Tensor, _seed: int) -> Tensor:
    return places.permute(2, 1, 0).flatten()


def _coarse_to_fine(places: Tensor, _seed: int) -> Tensor:
    """Every eighth pixel both ways, then every fourth, second, and all."""
    known: list[int] = []
    for stride in (8, 4, 2, 1):
        known += places[:, ::stride, ::stride].permute(1, 2, 0).flatten().tolist()
    return torch.tensor(list(dict.fromkeys(known)))


def _shuffled(places: Tensor, seed: int) -> Tensor:
    return places.flatten()[torch.randperm(places.numel(), generator=generator(seed, "order of pixels"))]


ORDERS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "row by row": _raster,
    "column by column": _columns,
    "coarse to fine": _coarse_to_fine,
    "at random": _shuffled,
}


OWN = "this network: noise"


def by_order(subject: Subject, name: str) -> tuple[Tensor, Tensor]:
    """Bits/dim of each image, and (bits/dim received, RMSE on 0..255) after 0..D pixels, (D + 1, 2), in one of `ORDERS`."""
    rows = subject.x_0.cpu().double().flatten(1)
    order = ORDERS[name](torch.arange(subject.dims).reshape(subject.images.shape), subject.seed)
    found: Ordered = in_order(subject.law, rows, order)
    nats = -subject.network.decoder(rows[:, order], Gaussian(found.mean, found.log_var.expand_as(found.mean)))
    bits = bits_per_dim(nats, subject.dims)
    received = torch.cat([bits.new_zeros(1), bits.mean(0).cumsum(0)])
    return bits.sum(1), torch.stack([received, found.mse_left.sqrt() * 127.5], dim=1)


def at_part(curve: Tensor, part: float) -> float:
    """The error when this part of all bits is received, at the last point that has come by then."""
    return float(curve[curve[:, 0] <= part * curve[-1, 0]][-1, 1])


def of_the_order(lowest: float, highest: float) -> Text:
    """Whether the order of pixels changes what they cost together."""
    return verdict(
        (
            highest - lowest < 0.02 * highest,
            "By the chain rule the order of the pixels hardly matters to the sum",
            "연쇄 법칙대로 픽셀의 순서는 합을 거의 바꾸지 않는다",
        ),
        (
            True,
            "The sum depends on the order here, because a bin of a pixel is not narrow beside what is left to guess",
            "여기서는 합이 순서에 따라 다르다. 픽셀의 구간이 남은 불확실성에 비해 좁지 않기 때문이다",
        ),
    )


def midway(network: float, best: float) -> Text:
    """Whether half of the bits show more of an image by the network than in any order of pixels, by their errors."""
    return verdict(
        (
            network < best,
            f"After half of its bits this network is nearer to the images ({network:.2f} of 255) than any of these "
            f"orders ({best:.2f} at best): noise hides what is fine first, which no order of pixels does",
            f"비트를 절반 받았을 때 이 신경망의 오차는 255 기준 {network:.2f}(으)로 어떤 픽셀 순서(가장 나은 것이 "
            f"{best:.2f})보다도 작다. 잡음은 세밀한 것부터 가리는데, 픽셀의 순서로는 그럴 수 없다",
        ),
        (
            True,
            f"After half of its bits this network is no nearer to the images ({network:.2f} of 255) than the best of "
            f"these orders ({best:.2f})",
            f"비트를 절반 받았을 때 이 신경망의 오차는 255 기준 {network:.2f}(으)로 가장 나은 픽셀 "
            f"순서({best:.2f})보다 작지 않다",
        ),
    )


def pixel_by_pixel(subject: Subject) -> Answer:
    """Hiding a pixel a step, with the exact conditionals of the Gaussian, beside the network's own chain."""
    bound = subject.by_network.bound
    chain = torch.tensor([(bits, rmse) for _, bits, rmse in bound.rate_distortion()], dtype=torch.float64)
    end = torch.tensor([[bound.total, 0.0]], dtype=torch.float64)
    curves = {name: by_order(subject, name)[1] for name in ORDERS} | {OWN: torch.cat([chain, end])}
    parts = (0.25, 0.5, 0.75)
    rows = [(name, float(curve[-1, 0]), *(at_part(curve, part) for part in parts)) for name, curve in curves.items()]
    totals = [float(curves[name][-1, 0]) for name in ORDERS]
    chain_rule = of_the_order(min(totals), max(totals))
    half = midway(at_part(curves[OWN], 0.5), min(at_part(curves[name], 0.5) for name in ORDERS))
    figure, (axis,) = panels(1)
    for (name, curve), color in zip(curves.items(), (ORANGE, GREEN, PURPLE, GREY, BLUE), strict=True):
        axis.plot(curve[:, 0], curve[:, 1], color=color, label=name)
    axis.set(title=subject.label, xlabel="bits/dim received", ylabel="RMSE on 0…255", ylim=(0, None))
    axis.legend()
    return Answer(
        Text(
            "Theory: if q hides one pixel a step, L_T = 0 and the bound is the sum of -log p(pixel | pixels known). "
            f"With the exact conditionals of the Gaussian these images cost {min(totals):.4f} to {max(totals):.4f} "
            f"bits/dim. {chain_rule.en}; what can be shown on the way does depend on it. This network costs "
            f"{bound.total:.4f}. {half.en}.",
            "이론: q가 스텝마다 픽셀 하나를 가리면 L_T = 0이고 변분 경계는 -log p(픽셀 | 아는 픽셀)의 합이다. "
            f"가우시안의 정확한 조건부 확률로 이 이미지들은 {min(totals):.4f}에서 {max(totals):.4f} bits/dim이 든다. "
            f"{chain_rule.ko}. 그러나 도중에 보여 줄 수 있는 것은 순서에 달렸다. 이 신경망은 {bound.total:.4f}이(가) 든다. "
            f"{half.ko}.",
        ),
        [
            Table(
                (
                    "order",
                    "L, bits/dim",
                    "RMSE on 0..255 after 25% of the bits",
                    "after 50%",
                    "after 75%",
                ),
                rows,
            )
        ],
        figure,
    )
