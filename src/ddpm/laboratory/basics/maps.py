"""What the decoder learns: conditional laws, and with the same network a differential equation (implicit)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm.analytic.bound import linear_chain
from ddpm.analytic.mixture import Mixture, gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.schedule import Schedule
from ddpm.figures.style import BLUE, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.basics.quarter import V, exact, few
from ddpm.laboratory.score import on_a_line
from ddpm.laboratory.verdict import verdict
from ddpm.sampling.chain import chain
from ddpm.sampling.ddim import DDIM

F64 = torch.float64
PLACES = 99


def distribution(law: Mixture, x: Tensor) -> Tensor:
    """P(X <= x) of a mixture on a line, for each row of x (batch, 1)."""
    z = (x - law.mean[:, 0]) / law.spread[:, 0].sqrt()
    return (law.log_weight.exp() * torch.special.ndtr(z)).sum(-1)


def quantiles(law: Mixture, shares: Tensor) -> Tensor:
    """The x below which each share lies, (batch, 1), by bisection."""
    low, high = (torch.full((len(shares), 1), end, dtype=F64) for end in (-20.0, 20.0))
    for _ in range(80):
        middle = (low + high) / 2
        below = distribution(law, middle)[:, None] < shares[:, None]
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def carried(diffused: Diffused, x_T: Tensor) -> Tensor:
    """Where DDIM ends, with the best network: no noise is drawn."""
    *_, last = chain(diffused.process(), x_T, DDIM())
    return last.x


def flow_map(diffused: Diffused) -> tuple[Tensor, Tensor]:
    """x_T and x_0 that the probability flow joins, at even shares of probability: on a line it keeps the order of points."""
    shares = torch.arange(1, PLACES + 1, dtype=F64) / (PLACES + 1)
    return quantiles(diffused.marginal(diffused.schedule.T), shares), quantiles(diffused.data, shares)


def spread_given_x_T(schedule: Schedule) -> float:
    """Var(x_0|x_T) of Algorithm 2 on N(0, 1/4), exact kernels, no noise at t = 1."""
    chain_ = linear_chain(exact(schedule), V)
    slope = float(schedule.alpha_bar[-1].sqrt()) * V / float(1 + schedule.alpha_bar[-1] * (V - 1))
    return chain_.displayed_var - slope**2


def maps_and_laws(setting: Setting) -> Answer:
    """DDIM and Algorithm 2 with one network: the variance that both end with, what x_T says of x_0, and the exact flow."""
    rows: list[tuple[int, float, float, float, float]] = []
    joined = flow_map(Diffused(on_a_line(), setting.schedule))
    found: dict[int, Tensor] = {}
    for count in sorted({n for n in (2, 5, 10, 30, 100) if n < setting.T} | {setting.T}):
        schedule = few(setting.schedule, count)
        found[count] = carried(Diffused(on_a_line(), schedule), joined[0])
        off = float((found[count] - joined[1]).square().mean().sqrt())
        slope = float(carried(Diffused(gaussian(V), schedule), torch.ones(1, 1, dtype=F64)))
        ancestral = linear_chain(exact(schedule), V)
        rows.append((count, off, slope**2 / V, ancestral.displayed_var / V, spread_given_x_T(schedule) / V))
    figure, (left, right) = panels(2)
    left.plot(joined[0], joined[1], color=GREY, lw=4, alpha=0.6, label="probability flow, exactly")
    for count, color in ((rows[0][0], ORANGE), (rows[-1][0], BLUE)):
        left.plot(joined[0], found[count], color=color, label=f"DDIM, {count} steps")
    left.set(title=f"Three components on a line, {setting.label}", xlabel="x(T)", ylabel="x(0)")
    left.legend()
    steps = [row[0] for row in rows]
    right.plot(steps, [row[1] for row in rows], color=BLUE, marker="o", label="DDIM − flow, root mean square")
    right.plot(steps, [rows[-1][1] * rows[-1][0] / n for n in steps], color=GREY, ls="--", label="∝ 1/steps")
    right.set(title="Steps of the equation", xlabel="steps", ylabel="x(0)", xscale="log", yscale="log")
    right.legend()
    converges, alike = _whether_it_converges(rows), _whether_alike(rows[-1])
    _, _, _, _, spread = rows[-1]
    return Answer(
        Text(
            "No order of terms decides what is learned (Q33). 'Implicit' is not p_theta(x_0|z) of a VAE: that is an "
            "explicit Gaussian with a density, and so is every p_theta(x_{t-1}|x_t). A model is implicit where only "
            "the way from noise to x_0 is given and no density is written down: such is DDIM, whose map x_T to x_0 "
            "draws no noise. And the differential equation: the network of either is an estimate of x_0, hence the "
            "score, hence the velocity of the probability flow dx/d(log SNR), and DDIM follows it in finite steps. One "
            f"network, read in both ways, exactly: {converges.en}. Algorithm 2 draws noise instead: on N(0, 1/4) x_0 "
            f"given x_T still has {spread:.4f} of the data's variance, DDIM's has none. {alike.en}.",
            "무엇을 배우는지는 항의 순서가 정하지 않는다(Q33). VAE의 p_theta(x_0|z)는 암묵적(implicit)이지 않다. "
            "밀도를 쓸 수 있는 명시적인 가우시안이고, 모든 p_theta(x_{t-1}|x_t)도 그렇다. 잡음에서 x_0로 가는 길만 "
            "있고 밀도를 쓰지 않는 모델이 암묵적이다. 잡음을 뽑지 않고 x_T를 x_0로 보내는 DDIM이 그렇다. 미분 "
            "방정식이란, 어느 쪽이든 신경망은 x_0의 추정값이고 따라서 점수이며 따라서 확률 흐름 dx/d(log SNR)의 "
            "속도라는 뜻이다. DDIM은 이 방정식을 유한한 스텝으로 따라간다. 같은 신경망을 두 가지로 읽어 정확히 "
            f"계산하면, {converges.ko}. 알고리즘 2는 대신 잡음을 뽑는다. N(0, 1/4)에서 x_T가 주어져도 x_0에는 데이터 "
            f"분산의 {spread:.4f}배가 남지만, DDIM에서는 남지 않는다. {alike.ko}.",
        ),
        [
            Table(
                (
                    "steps",
                    "DDIM - flow, rms",
                    "N(0, 1/4): DDIM, variance / v",
                    "Algorithm 2, variance / v",
                    "Algorithm 2, Var(x_0|x_T) / v",
                ),
                rows,
            )
        ],
        figure,
    )


Row = tuple[int, float, float, float, float]


def _whether_it_converges(rows: Sequence[Row]) -> Text:
    """Whether more steps bring DDIM nearer to the flow."""
    (few_steps, far, *_), (all_steps, near, *_) = rows[0], rows[-1]
    return verdict(
        (
            near < 0.5 * far,
            f"DDIM is {far:.4f} off the flow with {few_steps} steps (root mean square, three components on a line) and "
            f"{near:.4f} with {all_steps}",
            f"DDIM은 {few_steps}스텝에서 흐름과 {far:.4f}만큼 다르고(제곱평균제곱근, 직선 위의 세 성분) "
            f"{all_steps}스텝에서 {near:.4f}만큼 다르다",
        ),
        (
            True,
            f"with this schedule more steps hardly help: DDIM is {far:.4f} off the flow with {few_steps} steps (root "
            f"mean square, three components on a line) and {near:.4f} with {all_steps}",
            f"이 스케줄에서는 스텝을 늘려도 별로 나아지지 않는다. DDIM은 {few_steps}스텝에서 흐름과 {far:.4f}만큼 "
            f"다르고(제곱평균제곱근, 직선 위의 세 성분) {all_steps}스텝에서 {near:.4f}만큼 다르다",
        ),
    )


def _whether_alike(row: Row) -> Text:
    """Whether the map and the chain end with the data's variance."""
    steps, _, by_map, by_chain, _ = row
    return verdict(
        (
            max(abs(by_map - 1), abs(by_chain - 1)) < 0.02,
            f"Yet both end with the same variance: after {steps} steps it is {by_map:.4f} and {by_chain:.4f} times "
            "that of the data",
            f"그래도 둘은 같은 분산에 이른다. {steps}스텝 뒤의 분산은 데이터 분산의 {by_map:.4f}배(DDIM), "
            f"{by_chain:.4f}배(알고리즘 2)다",
        ),
        (
            True,
            f"Here neither of them needs to end with the law of the data: after {steps} steps the variances are "
            f"{by_map:.4f} (DDIM) and {by_chain:.4f} (Algorithm 2) times that of the data, as x_T is not yet noise or "
            "the steps are too large",
            f"여기서는 둘 다 데이터의 분포에 이른다는 보장이 없다. {steps}스텝 뒤의 분산은 데이터 분산의 "
            f"{by_map:.4f}배(DDIM), {by_chain:.4f}배(알고리즘 2)다. x_T가 아직 잡음이 아니거나 스텝이 너무 크기 "
            "때문이다",
        ),
    )


QUESTIONS = (
    Question(
        "implicit",
        "003 l.35",
        Text(
            "Does a VAE's decoder learn an implicit conditional probability, and a diffusion's a differential equation?",
            "VAE의 디코더는 암묵적 조건부 확률을, 확산 모델의 디코더는 미분 방정식을 배우는가?",
        ),
        "Eq. 11, Algorithm 2; E39, E57",
        r"\frac{dx}{d\lambda} = \frac{s^2}{2}\left(x + \nabla_x \log q_\lambda(x)\right), \quad \lambda = \log\,\mathrm{SNR}",
        maps_and_laws,
    ),
)
