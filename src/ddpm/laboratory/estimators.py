"""Estimating the bound and its gradient by sampling (Q14, Q20, Q34)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.estimators import COUPLINGS, ESTIMATORS, Pair
from ddpm.diffusion.objective import variational
from ddpm.diffusion.reverse import Network, ReverseProcess
from ddpm.diffusion.variance import FirstVariance, FixedLarge, beta_1, beta_tilde_2
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.verdict import verdict
from ddpm.seeds import generator
from ddpm.tensors import ImageBatch

F64 = torch.float64
DIMS, IMAGES = 16, 2000


def scaled_network(setting: Setting, scale: Tensor | float, first: FirstVariance = beta_1) -> ReverseProcess:
    """For N(0, 1/4): the best network, its output multiplied by `scale` (one number, or one for each image)."""
    best = Diffused(gaussian(0.25), setting.schedule).process(FixedLarge(first))

    def network(x_t: Tensor, timestep: Tensor) -> Tensor:
        return scale * best.network(x_t, timestep)

    return ReverseProcess(network, setting.schedule, best.prediction, best.variance, best.limit, best.decoder)


def gradients(setting: Setting, x_0: ImageBatch, t: Tensor, eps: ImageBatch) -> Tensor:
    """Of Algorithm 1's estimate of the bound by the scale of the network's output, for each image alone."""
    scale = torch.full((len(x_0), 1), 1.1, dtype=F64, requires_grad=True)
    variational(scaled_network(setting, scale), x_0, t, eps).sum().backward()
    assert scale.grad is not None
    return scale.grad.flatten()


def random_terms(setting: Setting) -> Answer:
    """The gradient from a random t against the one from all t."""
    random, count = generator(setting.seed, "random terms"), 200_000
    x_0, eps = (scale * torch.randn(count, 1, generator=random, dtype=F64) for scale in (0.5, 1.0))
    t = torch.randint(1, setting.T + 1, (count,), generator=random)
    one_each = gradients(setting, x_0, t, eps)
    every = torch.arange(1, setting.T + 1).repeat(count // setting.T)
    kept = len(every)
    all_t = gradients(setting, x_0[:kept], every, eps[:kept])
    counts = [10**k for k in range(2, 6)] + [count]
    rows = [("random t", n, float(one_each[:n].mean()), float(one_each[:n].std()) / math.sqrt(n)) for n in counts]
    by_t = all_t.reshape(-1, setting.T)
    error = float((by_t.var(0) / len(by_t)).sum().sqrt()) / setting.T if len(by_t) > 1 else float("nan")
    rows.append(("every t equally often", kept, float(all_t.mean()), error))
    figure, (axis,) = panels(1)
    axis.errorbar(
        counts, [r[2] for r in rows[:-1]], yerr=[r[3] for r in rows[:-1]], fmt="o", color=BLUE, label="random t"
    )
    axis.axhline(rows[-1][2], color=ORANGE, label="all t")
    axis.set(title=setting.label, xlabel="draws", ylabel="gradient, nats/dim", xscale="log")
    axis.legend(loc="lower right")
    return Answer(
        Text(
            "It is back-propagation. What is random is which term of the sum is differentiated: with t uniform, T "
            "times the gradient of one term has the gradient of the whole bound as its mean. Here, by the scale of "
            f"the network's output, {rows[-2][2]:.4f} ± {rows[-2][3]:.4f} from random t and {rows[-1][2]:.4f} ± "
            f"{rows[-1][3]:.4f} from all t. 'Random terms of L' is the translation, not 'random conditions'. One "
            "evaluation of the network for each image, and no reverse loop.",
            "오차 역전파가 맞다. 무작위인 것은 합의 어느 항을 미분하는가다. t를 균일하게 뽑으면, 한 항의 기울기에 "
            "T를 곱한 것의 평균이 전체 경계의 기울기다. 여기서 신경망 출력의 배율에 대한 기울기는 무작위 t에서 "
            f"{rows[-2][2]:.4f} ± {rows[-2][3]:.4f}, 모든 t에서 {rows[-1][2]:.4f} ± {rows[-1][3]:.4f}(이)다. '무작위 "
            "조건'이 아니라 '무작위 항'으로 옮겨야 한다. 이미지마다 신경망을 한 번만 계산하고, 역방향 반복은 학습에 "
            "없다.",
        ),
        [Table(("estimate", "draws", "gradient, nats/dim", "standard error"), rows)],
        figure,
    )


@dataclass(frozen=True)
class Spread:
    """Variances over images, nats^2: of the terms t = 2..T each (index t - 2), and of the whole sum."""

    terms: Tensor
    whole: float


def drawn(p: ReverseProcess, x_0: ImageBatch, pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """Every term by every estimator on the same pairs, those of one of `COUPLINGS`: nats, (T + 1, images), for t = T+1..1."""
    by_t: dict[str, list[Tensor]] = {name: [] for name in ESTIMATORS}
    p = replace(p, network=remembering(p.network))
    with torch.no_grad():
        for t, x_prev, x_t in pairs:
            for name, estimator in ESTIMATORS.items():
                by_t[name].append(estimator(p, x_0, x_prev, x_t, t))
    return {name: torch.stack(values) for name, values in by_t.items()}


def remembering(network: Network) -> Network:
    """The network, which is not asked twice in a row about equal x_t, t and labels: every estimator asks it."""
    asked: list[Tensor] = []
    answer: list[Tensor] = []

    def answered(*inputs: Tensor) -> Tensor:
        if len(asked) != len(inputs) or not all(map(torch.equal, asked, inputs)):
            asked[:], answer[:] = [given.clone() for given in inputs], [network(*inputs)]
        return answer[0]

    return answered


def spreads(p: ReverseProcess, x_0: ImageBatch, coupling: str, random: torch.Generator) -> dict[str, Spread]:
    """The variances over images of what is `drawn`."""

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=random, dtype=like.dtype)

    tables = drawn(p, x_0, COUPLINGS[coupling](p, x_0, noise))
    return {name: Spread(table[1:-1].flip(0).var(1), float(table.sum(0).var())) for name, table in tables.items()}


EQUATIONS = {"raw": "Eq. 3", "log-ratio": "Eq. 21", "closed-form": "Eq. 5"}


def _draw(fresh: Mapping[str, Spread], setting: Setting) -> Figure:
    figure, (axis,) = panels(1)
    for (name, equation), color in zip(EQUATIONS.items(), (GREEN, ORANGE, BLUE), strict=True):
        axis.plot(range(2, setting.T + 1), fresh[name].terms, color=color, label=equation)
    axis.set(
        title=f"N(0, 1/4) in {DIMS} dimensions, {setting.label}",
        xlabel="t",
        ylabel="variance of one term, nats²",
        yscale="log",
    )
    axis.legend()
    return figure


def averaged(ratio: float, closed: float) -> Text:
    """What averaging over x_{t-1} does to the variances of the terms, summed over t >= 2: of Eq. 21, then of Eq. 5."""
    return verdict(
        (
            closed < ratio,
            f"the variances of the terms t >= 2 add up to {ratio:.3g} nats^2 by Eq. 21 and {closed:.3g} in closed form "
            f"(Eq. 5), {ratio / closed:.3g} times less",
            f"t >= 2인 항들의 분산의 합은 식 21에서 {ratio:.3g} nats^2, 닫힌 식(식 5)에서 {closed:.3g}(으)로 "
            f"{ratio / closed:.3g}분의 1이다",
        ),
        (
            True,
            f"the variances of the terms t >= 2 add up to {ratio:.3g} nats^2 by Eq. 21 and {closed:.3g} in closed form "
            "(Eq. 5): these draws are too few to see it",
            f"t >= 2인 항들의 분산의 합은 식 21에서 {ratio:.3g} nats^2, 닫힌 식(식 5)에서 {closed:.3g}(이)다. 이만한 "
            "샘플에서는 줄어든 것이 보이지 않는다",
        ),
    )


def not_an_average(raw: Tensor, closed: Tensor) -> Text:
    """Why nothing is promised of Eq. 3, and how its terms compare with those of Eq. 5: variances for t = 2..T of both."""
    why = Text(
        "Eq. 3 cuts the same sum into other terms, log p(x_{t-1}|x_t) / q(x_t|x_{t-1}) without x_0; Eq. 5 is no average "
        "of these, so the theorem promises nothing about them",
        "식 3은 같은 합을 다른 항 log p(x_{t-1}|x_t) / q(x_t|x_{t-1})로 나누고, 여기에는 x_0가 없다. 식 5는 이 항의 평균이 아니므로 "
        "정리는 이 항에 대해 아무것도 보장하지 않는다",
    )
    less, more = (raw < closed).nonzero().flatten().tolist(), float(raw.sum()) > float(closed.sum())
    t = less[0] + 2 if less else 2
    pair, sums = (raw[t - 2], closed[t - 2]), f"{float(raw.sum()):.3g}"
    how = verdict(
        (
            not less,
            f"here each varies more than that of Eq. 5, {sums} nats^2 in all",
            f"여기서는 모든 t에서 식 5의 항보다 분산이 크고, 합은 {sums} nats^2이다",
        ),
        (
            more,
            f"at t = {t} it varies less ({pair[0]:.3g} against {pair[1]:.3g}), summed over t >= 2 more ({sums} nats^2)",
            f"t = {t}에서는 분산이 더 작지만({pair[1]:.3g}에 대해 {pair[0]:.3g}) t >= 2에 대한 합은 더 크다({sums} nats^2)",
        ),
        (
            True,
            f"at t = {t} it varies less ({pair[0]:.3g} against {pair[1]:.3g}), and summed over t >= 2 no more either "
            f"({sums} nats^2)",
            f"t = {t}에서 분산이 더 작고({pair[1]:.3g}에 대해 {pair[0]:.3g}) t >= 2에 대한 합도 더 크지 않다({sums} nats^2)",
        ),
    )
    return Text(f"{why.en}: {how.en}", f"{why.ko}. {how.ko}")


def along_one_chain(raw: float, closed: float) -> Text:
    """Whether closed forms may be added along one chain, by the variances of both whole sums."""
    both = f"{closed:.3g}", f"{raw:.3g}"
    return verdict(
        (
            closed > raw,
            "The surprise: summed along ONE chain it is the other way round. The whole sum, with L_0, has variance "
            f"{both[0]} in closed form and {both[1]} by Eq. 21 or 3, which are the same there, because this sum is the log of "
            "an importance ratio, whose fluctuations cancel as long as the network is nearly perfect. So never add "
            "closed forms along one chain",
            "놀라운 점은 체인 하나를 따라 더하면 반대가 된다는 것이다. L_0까지 더한 전체 합의 분산은 닫힌 식에서 "
            f"{both[0]}, 식 21이나 식 3에서(여기서는 둘이 같다) {both[1]}(이)다. 이 합은 중요도 비율의 로그라서, 신경망이 거의 완벽한 "
            "한 요동이 서로 상쇄되기 때문이다. 그러므로 닫힌 식을 체인 하나를 따라 더해서는 안 된다",
        ),
        (
            True,
            f"Summed along one chain the closed form varies no more either: the whole sum, with L_0, has variance {both[0]} in "
            f"closed form and {both[1]} by Eq. 21 or 3, which are the same there",
            f"체인 하나를 따라 더해도 닫힌 식의 분산이 더 크지 않다. L_0까지 더한 전체 합의 분산은 닫힌 식에서 {both[0]}, 식 21이나 "
            f"식 3에서(여기서는 둘이 같다) {both[1]}(이)다",
        ),
    )


def what_is_left(closed: Spread) -> Text:
    """The whole sum in closed form on fresh pairs, and whether the terms t >= 2 are most of its variance."""
    terms = float(closed.terms.sum())
    return verdict(
        (
            terms < closed.whole / 2,
            f"With fresh x_t for each t closed forms have {closed.whole:.3g}, of which L_0 and the spread of x_0 are most",
            f"t마다 x_t를 새로 뽑으면 닫힌 식에서 {closed.whole:.3g}인데 대부분은 L_0와 x_0의 퍼짐에서 온다",
        ),
        (
            True,
            f"With fresh x_t for each t closed forms have {closed.whole:.3g}, of which the terms t >= 2 are {terms:.3g}",
            f"t마다 x_t를 새로 뽑으면 닫힌 식에서 {closed.whole:.3g}이고 그 가운데 {terms:.3g}은(는) t >= 2인 항에서 온다",
        ),
    )


def rao_blackwell(setting: Setting) -> Answer:
    """Variance over images of each estimator, term by term and summed, on fresh pairs and along one chain."""
    p, random = scaled_network(setting, 0.97, beta_tilde_2), generator(setting.seed, "estimators")
    x_0 = 0.5 * torch.randn(IMAGES, DIMS, generator=random, dtype=F64)
    fresh, chain = (spreads(p, x_0, coupling, random) for coupling in ("independent", "trajectory"))
    shown = sorted({t for t in (2, round(0.1 * setting.T), setting.T) if t >= 2})
    rows: list[Sequence[str | float]] = []
    for name, equation in EQUATIONS.items():
        terms = fresh[name].terms
        total = float(terms.sum())
        each = [float(terms[t - 2]) for t in shown]
        rows.append((f"{name} ({equation})", *each, total, setting.T * total, fresh[name].whole, chain[name].whole))
    _, ratio, closed = rows
    gain = averaged(float(ratio[-4]), float(closed[-4]))
    other = not_an_average(fresh["raw"].terms, fresh["closed-form"].terms)
    one_chain = along_one_chain(chain["raw"].whole, chain["closed-form"].whole)
    rest = what_is_left(fresh["closed-form"])
    return Answer(
        Text(
            "Estimating a KL by drawing x_{t-1} and averaging log-ratios is Monte Carlo; for two Gaussians the "
            "average is a formula. Replacing a sample by its conditional expectation (Rao-Blackwell) never "
            "increases the variance: the term of Eq. 5 is that of Eq. 21, averaged over x_{t-1}. Drawn afresh for "
            f"each t, {gain.en}. {other.en}. (With a random t only this part shrinks; that terms differ in size from "
            f"t to t remains, and importance sampling of t is for that.) {one_chain.en}. {rest.en}, and that needs "
            "neither a chain nor all t nor a good network. (The "
            f"network's output is 3% too small; {IMAGES} images, each variance known to {math.sqrt(2 / IMAGES):.0%} "
            "or, where tails are long, somewhat worse.)",
            "x_{t-1}을 뽑아 로그 비율을 평균해 KL을 추정하는 것이 몬테카를로다. 두 가우시안이라면 그 평균은 "
            "공식이다. 샘플을 조건부 기댓값으로 바꾸면(라오-블랙웰) 분산은 절대 늘지 않는다. 식 5의 항은 식 21의 항을 "
            f"x_{{t-1}}에 대해 평균한 것이다. t마다 새로 뽑으면 {gain.ko}. {other.ko}. (t를 무작위로 뽑으면 이 부분만 줄고, "
            "항의 크기가 t마다 달라서 생기는 분산은 남는다. t의 중요도 표집은 그것을 위한 것이다.) "
            f"{one_chain.ko}. {rest.ko}. 체인도 모든 t도 좋은 신경망도 필요 없다. (신경망 출력을 3% 작게 했고, 이미지 "
            f"{IMAGES}개를 썼다. 분산의 오차는 {math.sqrt(2 / IMAGES):.0%}, 꼬리가 긴 곳에서는 조금 더 크다.)",
        ),
        [
            Table(
                (
                    "estimator",
                    *(f"t = {t}" for t in shown),
                    "sum, t >= 2",
                    "T times that",
                    "whole, fresh x_t",
                    "whole, one chain",
                ),
                rows,
            )
        ],
        _draw(fresh, setting),
    )


def is_reparameterisation_needed(setting: Setting) -> Answer:
    """The gradient by theta with a path through x_t and without, and that by the schedule, which needs the path."""
    random = generator(setting.seed, "reparameterised")
    count = 100_000
    x_0, eps = (scale * torch.randn(count, 1, generator=random, dtype=F64) for scale in (0.5, 1.0))
    t = max(1, setting.T // 2)
    alpha_bar = setting.schedule.alpha_bar[t].clone().requires_grad_()
    by_eq_4 = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps
    found = []
    for x_t in (by_eq_4, by_eq_4.detach()):
        scale = torch.tensor(1.1, dtype=F64, requires_grad=True)
        output, *_ = scaled_network(setting, scale).outputs(x_t, t)
        (gradient,) = torch.autograd.grad(((eps - output) ** 2).mean(), scale, retain_graph=True)
        found.append(float(gradient))
    # x_t^2 differentiated by alpha_bar image by image, for a standard error
    a = float(alpha_bar.detach())
    each = x_0**2 - eps**2 + x_0 * eps * (1 - 2 * a) / math.sqrt(a * (1 - a))
    (by_signal,) = torch.autograd.grad(by_eq_4.square().mean(), alpha_bar)
    error = float(each.std()) / math.sqrt(count)
    rows: list[tuple[str, float, float | str]] = [
        ("d loss / d theta, x_t as in Eq. 4", found[0], "-"),
        ("d loss / d theta, x_t a constant", found[1], "-"),
        ("d E[x_t^2] / d alpha_bar_t; exactly Var(x_0) - 1 = -0.75", float(by_signal), error),
    ]
    figure, (axis,) = panels(1)
    axis.bar(["x(t) by Eq. 4", "x(t) a constant"], found, color=[BLUE, GREY], width=0.5)
    axis.set(title=setting.label, ylabel="gradient of the loss by θ")
    return Answer(
        Text(
            "Not with fixed betas: x_t has no parameters, so it is data for the network, and the gradient by theta "
            f"is the same ({found[0]:.6f}) whether x_t is written as in Eq. 4 or drawn and treated as a constant. "
            "Eq. 4 is used because it is one jump instead of t steps, and because eps is then known as a target. It "
            "is needed for gradients only if the betas are learned: then x_t depends on them. For N(0, 1/4) the "
            "gradient of E[x_t^2] by alpha_bar_t is -0.75, and back-propagation through Eq. 4 gives "
            f"{float(by_signal):.4f} ± {error:.4f}; through a constant x_t it would give nothing.",
            "beta가 고정이면 필요 없다. x_t에는 파라미터가 없어 신경망에는 데이터일 뿐이고, theta에 대한 기울기는 "
            f"x_t를 식 4로 쓰든 뽑아서 상수로 두든 같다({found[0]:.6f}). 식 4를 쓰는 이유는 t번의 스텝 대신 한 번에 "
            "건너뛰고, 목표가 될 eps을 알게 되기 때문이다. 기울기 때문에 필요한 것은 beta를 학습할 때다. 그때는 "
            "x_t가 beta에 의존한다. N(0, 1/4)에서 E[x_t^2]의 alpha_bar_t에 대한 기울기는 -0.75이고, 식 4를 거친 "
            f"역전파는 {float(by_signal):.4f} ± {error:.4f}을(를) 준다. x_t를 상수로 두면 아무것도 얻지 못한다.",
        ),
        [Table(("gradient", "value", "standard error"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q14",
        "000 l.124-125",
        Text(
            "Is the SGD on random terms of L not back-propagation?", "L의 무작위 항에 대한 SGD는 오차 역전파가 아닌가?"
        ),
        "Algorithm 1; E41",
        r"\nabla_\theta L = E_{t\sim U\{1..T\}}\left[T\,\nabla_\theta\,\ell_t\right]",
        random_terms,
    ),
    Question(
        "Q20",
        "000 l.163",
        Text(
            "What are 'high-variance Monte Carlo estimates', and what is Rao-Blackwell?",
            "'고분산 몬테카를로 추정값'과 라오-블랙웰은 무엇인가?",
        ),
        "Eq. 3, 5, 21; E20, E25, E26, E37",
        r"\mathrm{Var}(E[X|Y]) \leq \mathrm{Var}(X)",
        rao_blackwell,
    ),
    Question(
        "Q34",
        "003 l.8, 80",
        Text("Is reparameterisation needed to make the loss differentiable?", "미분하려면 재매개변수화가 꼭 필요한가?"),
        "Eq. 4; E9, E69",
        r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon",
        is_reparameterisation_needed,
    ),
)
