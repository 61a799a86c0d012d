"""Chains as they are defined: kernels and matrices, joint laws and their marginals, where a chain starts (kernel, joint, start)."""

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ddpm.analytic.bound import linear_chain
from ddpm.diffusion.gaussian import Gaussian, kl
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.basics.quarter import V, exact, few, variances
from ddpm.laboratory.bound import joint_covariances
from ddpm.laboratory.verdict import verdict

F64 = torch.float64
REACH = 7.0
"""Grids go from -7 to 7: six standard deviations around every x_0 in [-1, 1]."""
PER_UNIT = (1, 2, 4, 8, 16, 32, 64)
ROUNDING = 1e-10
LEVELS, MOVE = 5, 0.2


def transition_matrix(to: Tensor, start: Tensor, scale: Tensor, variance: Tensor) -> Tensor:
    """N(x; scale x', variance) on the grid `to` for each x' of `start`: (to, start), columns that add up to 1."""
    return (-((to[:, None] - scale * start) ** 2) / (2 * variance)).softmax(0)


def by_matrices(schedule: Schedule, per_unit: int) -> tuple[int, float]:
    """How many points the grid has, and how far the product of all matrices is from q(x_T|x_0), in total variation, at worst."""
    points = round(2 * REACH * per_unit) + 1
    grid = torch.linspace(-REACH, REACH, points, dtype=F64)
    inside = grid.abs() <= 1
    product = torch.eye(points, dtype=F64)[:, inside]
    for t in range(1, schedule.T + 1):
        product = transition_matrix(grid, grid, schedule.alpha[t].sqrt(), schedule.beta[t]) @ product
    at_once = transition_matrix(grid, grid[inside], schedule.alpha_bar[-1].sqrt(), schedule.one_minus_alpha_bar[-1])
    return points, float(0.5 * (product - at_once).abs().sum(0).max())


def finer_and_finer(schedule: Schedule) -> list[tuple[float, int, int, float]]:
    """Spacing, points, entries of a matrix, and what its product is off by: until that is rounding, or the finest grid."""
    rows: list[tuple[float, int, int, float]] = []
    for per_unit in PER_UNIT:
        points, off = by_matrices(schedule, per_unit)
        rows.append((1 / per_unit, points, points**2, off))
        if off < ROUNDING:
            break
    return rows


def neighbours() -> Tensor:
    """Five grey levels: one level up or down with probability 0.2 each, and at the ends only inwards; columns add up to 1."""
    move = torch.diag(torch.full((LEVELS - 1,), MOVE, dtype=F64), 1)
    move = move + move.T
    return move + torch.diag(1 - move.sum(0))


def kernels_and_matrices(setting: Setting) -> Answer:
    """The product of ten Gaussian kernels on ever finer grids against Eq. 4; and a chain of grey levels, which needs matrices."""
    schedule = few(setting.schedule, 10)
    narrowest = float(schedule.beta[1:].min().sqrt())
    rows = finer_and_finer(schedule)
    levels, one = [], neighbours()
    for t in (0, 1, 3, 10, 30, 100):
        levels.append((t, *torch.linalg.matrix_power(one, t)[:, 0].tolist()))
    figure, (left, right) = panels(2)
    left.plot([r[0] for r in rows], [max(r[3], 1e-16) for r in rows], color=BLUE, marker="o")
    left.axvline(narrowest, color=ORANGE, ls="--", label=f"narrowest noise: σ = {narrowest:.3g}")
    left.set(
        title=f"{setting.label} in {schedule.T} steps",
        xlabel="spacing of the grid",
        ylabel="product of matrices − Eq. 4",
        yscale="log",
    )
    left.set_xscale("log", base=2)
    left.legend()
    for t, color in zip((1, 10, 30, 100), (BLUE, GREEN, ORANGE, GREY), strict=True):
        right.plot(range(LEVELS), next(r[1:] for r in levels if r[0] == t), color=color, marker="o", label=f"t = {t}")
    right.set(title="Five grey levels, from level 0", xlabel="level", ylabel="probability", xticks=range(LEVELS))
    right.legend()
    fine = _whether_fine_enough(rows[-1][3], rows[-1][0], narrowest)
    after_ten = levels[3][1]
    return Answer(
        Text(
            "A transition kernel q(x_t|x_{t-1}) gives, for each x_{t-1}, a law of x_t. If the states are finitely "
            "many, it is a matrix, and T steps are a product of T matrices: that is the method the note remembers. For "
            "real numbers the sum over states becomes an integral, and for Gaussians this integral has a formula: the "
            "factors of x are multiplied and the variances added (Eq. 4), two numbers instead of a matrix. Proof by "
            f"doing it: this process in {schedule.T} steps as matrices on a grid. {fine.en}; with the spacing "
            f"{rows[0][0]:.1f} the difference is {rows[0][3]:.2e}. Chains of levels do need matrices: of five grey "
            f"levels, where a step goes to a neighbour with probability {MOVE} each, level 0 is where {after_ten:.2%} "
            "of all chains that began there are after ten steps.",
            "전이 커널 q(x_t|x_{t-1})은 x_{t-1}마다 x_t의 분포를 정해 준다. 상태가 유한 개라면 커널은 행렬이고 T스텝은 "
            "행렬 T개의 곱이다. 노트가 떠올린 방법이 이것이다. 실수라면 상태에 대한 합이 적분이 되고, 가우시안에서는 "
            "그 적분에 공식이 있다. x의 계수는 곱하고 분산은 더하면 된다(식 4). 행렬 대신 숫자 두 개다. 직접 해 보면, "
            f"이 과정을 {schedule.T}스텝으로 나누어 격자 위의 행렬로 곱할 때 {fine.ko}. 격자 폭이 {rows[0][0]:.1f}이면 "
            f"차이는 {rows[0][3]:.2e}(이)다. 레벨이 유한한 체인에는 행렬이 필요하다. 회색 레벨이 다섯이고 한 스텝에 "
            f"이웃으로 갈 확률이 각각 {MOVE}(이)라면, 레벨 0에서 출발한 체인 가운데 {after_ten:.2%}가 열 스텝 뒤에도 레벨 "
            "0에 있다.",
        ),
        [
            Table(("spacing", "points", "numbers in a matrix", "product - Eq. 4, total variation"), rows),
            Table(("t", *(f"P(level {k})" for k in range(LEVELS))), levels),
        ],
        figure,
    )


def _whether_fine_enough(off: float, spacing: float, narrowest: float) -> Text:
    """What the finest grid says of Eq. 4."""
    return verdict(
        (
            off < ROUNDING,
            f"On the finest grid their product is the matrix of Eq. 4 within {off:.0e} (total variation)",
            f"가장 촘촘한 격자에서 곱은 식 4의 행렬과 {off:.0e} 안에서 같다(전변동 거리)",
        ),
        (
            True,
            f"The narrowest noise ({narrowest:.4f}) is finer than the finest grid ({spacing:.4f}), and there the "
            f"product still differs from Eq. 4 by {off:.2e} (total variation)",
            f"가장 좁은 잡음({narrowest:.4f})이 가장 촘촘한 격자({spacing:.4f})보다 좁아, 곱이 식 4와 아직 "
            f"{off:.2e}만큼 다르다(전변동 거리)",
        ),
    )


START, FIRST, SECOND = (0.5, 0.5), ((0.8, 0.2), (0.3, 0.7)), ((0.9, 0.1), (0.1, 0.9))
"""A binary reverse chain: p(x_2), p(x_1|x_2) by x_2, p(x_0|x_1) by x_1."""


def binary() -> Tensor:
    """p(x_0, x_1, x_2) for bits, axes in this order."""
    p_2, p_1, p_0 = (torch.tensor(table, dtype=F64) for table in (START, FIRST, SECOND))
    return torch.einsum("c,cb,ba->abc", p_2, p_1, p_0)


def log_joint(p: ReverseProcess, x: float) -> float:
    """Log p(x_{0:T}) at x_0 = ... = x_T = x, nats: the factors of Eq. 1 added up."""
    here = torch.full((1, 1), x, dtype=F64)
    total = Gaussian(torch.zeros_like(here), torch.zeros_like(here)).log_prob(here)
    return float(total + sum(p(here, t)[0].log_prob(here) for t in p.schedule.steps))


def integrated(p: ReverseProcess, x_0: float, spacing: float) -> float:
    """p(x_0) by the trapezoidal rule: x_T is integrated out, then x_{T-1}, ..., then x_1."""
    grid = torch.arange(-8, 8 + spacing, spacing, dtype=F64)[:, None]
    law = Gaussian(torch.zeros_like(grid), torch.zeros_like(grid)).log_prob(grid).exp()
    for t in p.schedule.steps:
        gaussian_, _ = p(grid, t)
        to = torch.full((1, 1), x_0, dtype=F64) if t == 1 else grid
        law = (
            Gaussian(gaussian_.mean.T, gaussian_.log_var.expand_as(gaussian_.mean).T).log_prob(to).exp() @ law * spacing
        )
    return float(law)


def joint_laws(setting: Setting) -> Answer:
    """A binary chain with all its outcomes, and a Gaussian chain of three steps: product, marginal, density and probability."""
    table = binary()
    rows = [
        (a, b, c, START[c], FIRST[c][b], SECOND[b][a], float(table[a, b, c]))
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ]
    schedule = few(setting.schedule, 3)
    p = exact(schedule)
    covariance = joint_covariances(p, V)[1]
    normal = torch.distributions.MultivariateNormal(torch.zeros(len(covariance), dtype=F64), covariance)
    log_density = float(normal.log_prob(torch.full((len(covariance),), 0.5, dtype=F64)))
    product, chain = log_joint(p, 0.5), linear_chain(p, V)
    narrowest = math.sqrt(min(added for _, added in kernels(p)))
    found = integrated(p, 0.5, min(0.02, narrowest / 2))
    closed = math.exp(-0.5 * 0.25 / chain.model_var) / math.sqrt(2 * math.pi * chain.model_var)
    peak = math.exp(log_joint(p, 0.0))
    figure, axes = panels(2)
    _draw_bits(axes[0], table)
    _draw_pairs(axes[1], covariance)
    axes[1].set_title(f"Gaussians: p(x(0), x({schedule.T})), {setting.label} in {schedule.T} steps")
    pair, marginal, other = float(table[1, 1].sum()), float(table[:, 1].sum()), float(table[1].sum())
    height = _whether_above_1(peak, schedule.T + 1)
    return Answer(
        Text(
            "A joint law says how probable it is that several things hold at once. Discrete: a table. Eq. 1 for three "
            "bits, p(x_0, x_1, x_2) = p(x_2) p(x_1|x_2) p(x_0|x_1), has eight entries, and they add up to "
            f"{float(table.sum()):.1f}. A marginal is a sum over what is left out: p(x_0 = 1) = {other:.4f}. Either "
            f"factor may come first: P(x_0 = 1 and x_1 = 1) = {pair:.4f} = {pair / marginal:.4f} * {marginal:.4f} = "
            f"{pair / other:.4f} * {other:.4f}. Continuous: the same with densities, and sums become integrals. For "
            f"{schedule.T + 1} Gaussians x_0, ..., x_{schedule.T} the product of Eq. 1 is their joint density (its "
            f"logarithm at x = 0.5: {product:.6f}, by their covariance matrix {log_density:.6f}), and integrating out "
            f"all but x_0 gives p(x_0 = 0.5) = {found:.6f}, in closed form {closed:.6f}. {height.en}.",
            "결합분포는 여러 가지가 함께 성립할 확률을 말한다. 이산이면 표다. 비트 세 개에 대한 식 1, p(x_0, x_1, x_2) "
            f"= p(x_2) p(x_1|x_2) p(x_0|x_1)에는 칸이 여덟 개 있고 모두 더하면 {float(table.sum()):.1f}(이)다. "
            f"주변분포는 나머지에 대한 합이다. p(x_0 = 1) = {other:.4f}. 어느 쪽을 먼저 두어도 된다. P(x_0 = 1 그리고 "
            f"x_1 = 1) = {pair:.4f} = {pair / marginal:.4f} * {marginal:.4f} = {pair / other:.4f} * {other:.4f}. "
            f"연속이면 확률 대신 밀도이고 합은 적분이 된다. 가우시안 {schedule.T + 1}개 x_0, ..., x_{schedule.T}에서는 "
            f"식 1의 곱이 결합밀도이고(x = 0.5에서 그 로그는 {product:.6f}, 공분산 행렬로 구하면 {log_density:.6f}), "
            f"x_0만 남기고 적분하면 p(x_0 = 0.5) = {found:.6f}(닫힌 식으로는 {closed:.6f}). {height.ko}.",
        ),
        [
            Table(("x_0", "x_1", "x_2", "p(x_2)", "p(x_1|x_2)", "p(x_0|x_1)", "p(x_0, x_1, x_2)"), rows),
            Table(
                ("Gaussian chain", "by kernels", "by another way"),
                [
                    ("log p(x_{0:T}), all x = 0.5, by the covariance matrix", product, log_density),
                    ("p(x_0 = 0.5), integrated; in closed form", found, closed),
                    ("p(x_{0:T}), all x = 0; times a cell of edge 0.01", peak, peak * 0.01 ** (schedule.T + 1)),
                ],
            ),
        ],
        figure,
    )


def _draw_bits(axis: Axes, table: Tensor) -> None:
    names = [f"{a}{b}{c}" for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    bars = axis.bar(names, table.flatten().tolist(), color=[BLUE] * 4 + [ORANGE] * 4, width=0.6)
    axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
    axis.set(title="Bits: blue adds up to p(x(0) = 0)", xlabel="x(0) x(1) x(2)", ylabel="probability", ylim=(0, 0.45))


def _draw_pairs(axis: Axes, covariance: Tensor) -> None:
    pair = covariance[[0, -1]][:, [0, -1]]
    x, y = torch.linspace(-1.8, 1.8, 91, dtype=F64), torch.linspace(-2.6, 2.6, 91, dtype=F64)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    density = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=F64), pair).log_prob(places).exp()
    axis.contour(x, y, density, levels=8, cmap="viridis", linewidths=1.2)
    axis.set(xlabel="x(0)", ylabel="x(T)")


def _whether_above_1(peak: float, count: int) -> Text:
    """A density is no probability."""
    return verdict(
        (
            peak > 1,
            f"A density is no probability: at x = 0 it is {peak:.3g}, more than one; only times the size of a cell is "
            f"it one ({peak * 0.01**count:.1e} for edges of a hundredth)",
            f"밀도는 확률이 아니다. x = 0의 밀도({peak:.3g})는 1보다 크다. 칸의 크기를 곱해야 확률이 된다(한 변이 "
            f"100분의 1인 칸에서 {peak * 0.01**count:.1e})",
        ),
        (
            True,
            f"A density is no probability: at x = 0 it is {peak:.3g}, and only times the size of a cell is it one "
            f"({peak * 0.01**count:.1e} for edges of a hundredth)",
            f"밀도는 확률이 아니다. x = 0에서 밀도는 {peak:.3g}인데, 칸의 크기를 곱해야 확률이 된다(한 변이 100분의 "
            f"1인 칸에서 {peak * 0.01**count:.1e})",
        ),
    )


def kernels(p: ReverseProcess) -> list[tuple[float, float]]:
    """Factor of x_t in the mean, and variance, of p(x_{t-1}|x_t) for t = T, ..., 1, where means are linear."""
    kernel, _ = p(torch.ones(p.schedule.T, 1, dtype=F64), torch.arange(1, p.schedule.T + 1))
    slopes, added = kernel.mean.flatten(), kernel.var.expand_as(kernel.mean).flatten()
    return list(zip(slopes.flip(0).tolist(), added.flip(0).tolist(), strict=True))


def ends(p: ReverseProcess, mean: float, variance: float) -> list[tuple[float, float]]:
    """Mean and variance of x_T, x_{T-1}, ..., x_0 of a `p` with linear means that starts at N(mean, variance)."""
    found = [(mean, variance)]
    for slope, added in kernels(p):
        mean, variance = slope * mean, slope**2 * variance + added
        found.append((mean, variance))
    return found


def _nats(v: float, mean: float, variance: float) -> float:
    """D_KL(N(0, v) || N(mean, variance))."""
    q, p = (
        Gaussian(torch.tensor(m, dtype=F64), torch.tensor(s, dtype=F64).log()) for m, s in ((0.0, v), (mean, variance))
    )
    return float(kl(q, p))


def where_it_starts(setting: Setting) -> Answer:
    """Where exact kernels end that are started with another law than q(x_T), on N(0, 1/4)."""
    p, in_x_T = exact(setting.schedule), float(variances(setting.schedule)[-1])
    starts = {
        "q(x_T)": (0.0, in_x_T),
        "N(0, 1)": (0.0, 1.0),
        "N(0, 1/4)": (0.0, 0.25),
        "N(0, 4)": (0.0, 4.0),
        "N(0, 16)": (0.0, 16.0),
        "N(2, 1)": (2.0, 1.0),
    }
    ways = {name: ends(p, *start) for name, start in starts.items()}
    rows = [
        (name, _nats(in_x_T, *way[0]), way[-1][0], way[-1][1] / V, _nats(V, *way[-1])) for name, way in ways.items()
    ]
    figure, axes = panels(2)
    _draw_ways(axes[0], ways)
    axes[0].set_title(f"Variance on the way, {setting.label}")
    _draw_ends(axes[1], rows[1:])
    standard, worst = rows[1], max(rows[2:], key=lambda row: row[4])
    factor = float(setting.schedule.alpha_bar[-1].sqrt()) * V / in_x_T
    forgotten = _whether_forgotten(worst)
    return Answer(
        Text(
            "The chain starts at p(x_T) = N(0, I), which is no transition: nothing comes before x_T. The transitions "
            f"are the kernels p_theta(x_{{t-1}}|x_t): {setting.T} kernels and one start (ERR-64). What does a wrong "
            f"start do? On N(0, 1/4) with exact kernels, whatever x_T is off by is multiplied by {factor:.3g} on the "
            f"way to x_0. Started at N(0, 1), {standard[1]:.2e} nats from q(x_T), the samples end {standard[4]:.2e} "
            f"nats from the data. {forgotten.en}.",
            "체인은 p(x_T) = N(0, I)에서 시작한다. p(x_T)는 전이가 아니다. x_T 앞에는 아무것도 없기 때문이다. 전이는 "
            f"커널 p_theta(x_{{t-1}}|x_t)이고, 커널 {setting.T}개와 출발점 하나가 있다(ERR-64). 출발점이 틀리면 어떻게 "
            f"되는가? N(0, 1/4)과 정확한 커널에서는 x_T의 어긋남이 x_0에 이르면 {factor:.3g}배가 된다. q(x_T)와 "
            f"{standard[1]:.2e} nats 다른 N(0, 1)에서 출발하면 샘플은 데이터와 {standard[4]:.2e} nats 다르다. "
            f"{forgotten.ko}.",
        ),
        [
            Table(
                (
                    "start",
                    "KL(q(x_T) || start), nats",
                    "mean of x_0",
                    "variance of x_0 / v",
                    "KL(data || samples), nats",
                ),
                rows,
            )
        ],
        figure,
    )


def _draw_ways(axis: Axes, ways: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    for (name, way), color in zip(ways.items(), (GREY, BLUE, GREEN, ORANGE, PURPLE, "#ef4444"), strict=True):
        t, style = range(len(way) - 1, -1, -1), ":" if name == "q(x_T)" else "-"
        axis.plot(t, [variance for _, variance in way], color=color, label=name, ls=style)
    axis.invert_xaxis()
    axis.set(xlabel="t", ylabel="Var(x(t))", yscale="log", ylim=(None, 500))
    axis.legend(loc="upper center", ncols=3)


def _draw_ends(axis: Axes, rows: Sequence[tuple[str, float, float, float, float]]) -> None:
    places = torch.arange(len(rows), dtype=F64)
    for shift, column, color, label in ((-0.2, 1, GREY, "at T"), (0.2, 4, BLUE, "at 0")):
        axis.bar(places + shift, [max(float(row[column]), 1e-24) for row in rows], 0.4, color=color, label=label)
    axis.set_xticks(places.tolist(), [row[0] for row in rows])
    axis.set(title="KL from what should be there", ylabel="nats", yscale="log", ylim=(None, 1e4))
    axis.legend()


def _whether_forgotten(worst: tuple[str, float, float, float, float]) -> Text:
    """Whether the chain forgets the start that does most harm."""
    name, before, _, _, after = worst
    return verdict(
        (
            after < 0.01 * before,
            f"The chain forgets where it started: even from {name}, {before:.3g} nats off, it ends within {after:.2e}",
            f"체인은 출발점을 잊는다. {before:.3g} nats 다른 {name}에서 출발해도 마지막 차이는 {after:.2e} nats다",
        ),
        (
            True,
            f"With this schedule the chain does not forget where it started: from {name}, {before:.3g} nats off, it "
            f"ends {after:.3g} off",
            f"이 스케줄에서는 체인이 출발점을 잊지 못한다. {before:.3g} nats 다른 {name}에서 출발하면 마지막에도 "
            f"{after:.3g} nats 다르다",
        ),
    )


QUESTIONS = (
    Question(
        "kernel",
        "000 l.19",
        Text(
            "What is a transition kernel, and why are no transition matrices multiplied here?",
            "전이 커널이란 무엇이고, 왜 여기서는 전이 행렬을 곱하지 않는가?",
        ),
        "Eq. 2, 4; E4, E8, E13",
        r"q(x_T|x_0) = \int q(x_T|x_{T-1}) \cdots q(x_1|x_0)\,dx_{1:T-1}",
        kernels_and_matrices,
    ),
    Question(
        "joint",
        "000 l.57-65",
        Text(
            "What is a joint distribution, and what differs between discrete and continuous ones?",
            "결합분포란 무엇이고, 이산일 때와 연속일 때는 무엇이 다른가?",
        ),
        "Eq. 1; E2, E3, E92",
        r"p_\theta(x_{0:T}) = p(x_T)\prod_{t=1}^{T} p_\theta(x_{t-1}|x_t), \quad p_\theta(x_0) = \int p_\theta(x_{0:T})\,dx_{1:T}",
        joint_laws,
    ),
    Question(
        "start",
        "000 l.68-69",
        Text(
            "Is p(x_T) a Gaussian transition, and what if the chain starts somewhere else?",
            "p(x_T)도 가우시안 전이인가? 체인이 다른 곳에서 출발하면 어떻게 되는가?",
        ),
        "Eq. 1; E3, E85",
        r"p(x_T) = \mathcal{N}(x_T; 0, I)",
        where_it_starts,
    ),
)
