"""Maximum likelihood and variational inference: the same parameter or not, where both are known exactly (mle)."""

import math
from collections.abc import Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from ddpm.analytic.bound import LinearChain, linear_chain
from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.decoder import log_density
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, Optimal, Variance, beta_1
from ddpm.figures.style import BLUE, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.basics.quarter import ENTROPY, V, least_errors
from ddpm.laboratory.verdict import verdict

WIDEST = (0.01, 1.5)
"""Between these c is looked for."""


def scaled(schedule: Schedule, variance: Variance, c: float) -> ReverseProcess:
    """p_theta for N(0, 1/4) whose network returns c times the best estimate of x_0: theta is one number."""
    best = Diffused(gaussian(V), schedule).network(X0())

    def network(x_t: Tensor, timestep: Tensor) -> Tensor:
        return c * best(x_t, timestep)

    return ReverseProcess(network, schedule, X0(), variance, unlimited, log_density)


def at_scale(schedule: Schedule, variance: Variance, c: float) -> LinearChain:
    """Bound, negative log-likelihood and gap at c, exactly."""
    return linear_chain(scaled(schedule, variance, c), V)


def least_bound(schedule: Schedule, variance: Variance) -> float:
    """The c of the least L, which is a parabola in c: three values are enough."""
    left, middle, right = (at_scale(schedule, variance, c).bound for c in (0.5, 1.0, 1.5))
    return 1 + 0.25 * (left - right) / (left - 2 * middle + right)


def least_nll(schedule: Schedule, variance: Variance) -> float:
    """The c of the greatest likelihood, by Brent's method."""
    found = minimize_scalar(
        lambda c: at_scale(schedule, variance, float(c)).nll, bounds=WIDEST, method="bounded", options={"xatol": 1e-6}
    )
    return float(found.x)


def _half_width(schedule: Schedule, variance: Variance) -> float:
    """How far c may go from 1 until L has risen by half a nat."""
    left, middle, right = (at_scale(schedule, variance, c).bound for c in (0.5, 1.0, 1.5))
    return math.sqrt(0.5 * 0.25 / (0.5 * (left + right) - middle))


def two_aims(setting: Setting) -> Answer:
    """The parameter of the least bound and that of the greatest likelihood, for two rules of the variance."""
    schedule = setting.schedule
    rules: dict[str, Variance] = {
        "beta": FixedLarge(beta_1),
        "optimal": Optimal(least_errors(schedule)),
    }
    rows, curves = [], []
    figure, axes = panels(2)
    for axis, (name, rule) in zip(axes, rules.items(), strict=True):
        by_bound, by_nll = least_bound(schedule, rule), least_nll(schedule, rule)
        at_bound, at_nll = (at_scale(schedule, rule, c) for c in (by_bound, by_nll))
        rows.append((name, by_bound, by_nll, at_bound.nll, at_nll.nll, at_bound.gap, at_nll.gap))
        half = _half_width(schedule, rule)
        for c in torch.linspace(max(WIDEST[0], min(1 - half, 2 * by_nll - 1)), 1 + half, 31).tolist():
            chain = at_scale(schedule, rule, c)
            curves.append((name, c, chain.bound, chain.nll, chain.gap))
        mine = [curve for curve in curves if curve[0] == name]
        axis.plot([c[1] for c in mine], [c[2] for c in mine], color=BLUE, label="L")
        axis.plot([c[1] for c in mine], [c[3] for c in mine], color=ORANGE, label="−log p(x(0)), averaged")
        axis.plot(by_bound, at_bound.bound, "o", color=BLUE, label="least L")
        axis.plot(by_nll, at_nll.nll, "o", color=ORANGE, label="greatest likelihood")
        axis.axhline(ENTROPY, color=GREY, lw=0.8, ls="--", label="H(x(0))")
        axis.set(
            title=f"σ² {'= β' if name == 'beta' else 'optimal'}, {setting.label}",
            xlabel="c: the network returns c times the best estimate",
            ylabel="nats/dim",
            ylim=(ENTROPY - 0.05, at_bound.bound + 0.6),
        )
        axis.legend(loc="upper center")
    return Answer(
        _said(rows),
        [
            Table(
                ("sigma^2", "c, least L", "c, least NLL", "NLL there (L)", "NLL there (NLL)", "gap (L)", "gap (NLL)"),
                rows,
            ),
            Table(("sigma^2", "c", "L, nats/dim", "NLL", "gap"), curves[::5]),
        ],
        figure,
    )


Row = tuple[str, float, float, float, float, float, float]


def _said(rows: Sequence[Row]) -> Text:
    (_, by_bound, by_nll, reached, best, gap, other), optimal = rows
    apart, closed = _whether_the_same(by_bound, by_nll), _whether_closed(optimal)
    return Text(
        "No, it is not derived from it; it is what one does instead. Maximum likelihood looks for the parameters of "
        "the least -log p(x_0), but p(x_0) is an integral over all x_1, ..., x_T. Variational inference adds a gap and "
        "minimises the sum, L = -log p(x_0) + D_KL(q(x_{1:T}|x_0) || p(x_{1:T}|x_0)), which can be computed; to "
        "maximise the ELBO is the same, because the ELBO is -L. For N(0, 1/4) and a network that returns c times the "
        f"best estimate of x_0, both are known exactly. With sigma^2 = beta L is least at c = {by_bound:.4f} and the "
        f"likelihood greatest at c = {by_nll:.4f}, since the gap changes with c too ({gap:.5f} nats at the first, "
        f"{other:.5f} at the second): {apart.en}; the likelihood lost by minimising L is {reached - best:.2e} nats. "
        f"{closed.en}.",
        "파생된 것이 아니라 대신 쓰는 방법이다. 최대 우도는 -log p(x_0)가 가장 작은 파라미터를 찾는 것인데, p(x_0)는 "
        "모든 x_1, ..., x_T에 대한 적분이라 계산할 수 없다. 변분 추론은 거기에 간격(gap)을 더한 합 L = -log p(x_0) + "
        "D_KL(q(x_{1:T}|x_0) || p(x_{1:T}|x_0))를 최소화하고, 이것은 계산할 수 있다. ELBO는 -L이므로 ELBO를 최대화하는 "
        "것도 같은 일이다. 데이터가 N(0, 1/4)이고 신경망이 최선의 x_0 추정값의 c배를 낸다면 둘 다 정확히 알 수 있다. "
        f"sigma^2 = beta일 때 L이 최소인 곳은 c = {by_bound:.4f}, 우도가 최대인 곳은 c = {by_nll:.4f}(이)다. 간격도 c에 "
        f"따라 달라지기 때문이다(앞의 c에서 {gap:.5f} nats, 뒤의 c에서 {other:.5f} nats). {apart.ko}. L을 최소화해서 "
        f"잃는 우도는 {reached - best:.2e} nats다. {closed.ko}.",
    )


def _whether_the_same(by_bound: float, by_nll: float) -> Text:
    """Whether the two c are one."""
    return verdict(
        (
            abs(by_bound - by_nll) < 0.01,
            "with this schedule the two aims all but agree",
            "이 스케줄에서는 두 목표가 거의 일치한다",
        ),
        (True, "with this schedule they are two aims", "이 스케줄에서는 두 목표가 서로 다르다"),
    )


def _whether_closed(row: Row) -> Text:
    """What the best variance does to the gap."""
    _, by_bound, by_nll, _, _, gap, _ = row
    return verdict(
        (
            gap < 1e-4,
            f"With the best variance the gap closes (below 1e-4 nats) and both are the same: c = {by_bound:.4f} and c "
            f"= {by_nll:.4f}",
            f"최선의 분산을 쓰면 간격이 닫히고(1e-4 nats 미만) 두 목표가 같아진다. c = {by_bound:.4f}, c = {by_nll:.4f}",
        ),
        (
            True,
            f"Even the best variance leaves a gap of {gap:.4f} nats (c = {by_bound:.4f} and c = {by_nll:.4f}), because "
            "x_T still holds signal and p(x_T) does not know it",
            f"최선의 분산을 써도 간격 {gap:.4f} nats가 남는다(c = {by_bound:.4f}, c = {by_nll:.4f}). x_T에 신호가 남아 "
            "있는데 p(x_T)는 그것을 모르기 때문이다",
        ),
    )


QUESTIONS = (
    Question(
        "mle",
        "000 l.11-12, l.150",
        Text(
            "Is variational inference derived from maximum likelihood, and do both find the same parameters?",
            "변분 추론은 최대 우도 추정(MLE)에서 파생된 방식인가? 둘은 같은 파라미터를 찾는가?",
        ),
        "Eq. 3; E18, E19, E85",
        r"L(\theta) = E[-\log p_\theta(x_0)] + E\,D_{KL}(q(x_{1:T}|x_0)\,\|\,p_\theta(x_{1:T}|x_0))",
        two_aims,
    ),
)
