"""The bound on one chain, from Eq. 3 to Eq. 21 with the notes' slips, and the other way, from Eq. 23 to Eq. 25."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy
import torch

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, beta_1
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.line import Derivation, Line, Slip
from ddpm.seeds import generator

SYMBOLIC_T = 4


@dataclass(frozen=True)
class Chain:
    """Log-densities of a chain x_0, ..., x_T, nats, by the step s.

    `log_p(s)` is log p_theta(x_{s-1}|x_s), `log_q(s)` log q(x_s|x_{s-1}), `log_jump(s)` log q(x_s|x_0), `log_posterior(s)`
    log q(x_{s-1}|x_s, x_0), `log_kernel(s)` log q(x_{s-1}|x_s) and `log_marginal(s)` log q(x_s); `log_prior` is log p(x_T).
    """

    T: int
    log_prior: Any
    log_p: Callable[[int], Any]
    log_q: Callable[[int], Any]
    log_jump: Callable[[int], Any]
    log_posterior: Callable[[int], Any]
    log_kernel: Callable[[int], Any]
    log_marginal: Callable[[int], Any]


def _chain(schedule: Schedule, t: int, x_0: float, seed: int) -> Chain:
    """One chain from x_0, walked to its end, for data N(0, 1/4); the network is the best one, its output a tenth too small."""
    del t  # the whole chain
    diffused, random = Diffused(gaussian(0.25), schedule), generator(seed, "derivation of the bound")
    p = diffused.process(FixedLarge(beta_1))
    q, x = p.q, [torch.full((1, 1), x_0, dtype=torch.float64)]
    for s in range(1, schedule.T + 1):
        x.append(q.step(x[-1], s, torch.randn(1, 1, generator=random, dtype=torch.float64)))
    first = x[0]

    def kernel(s: int) -> float:
        found = diffused.reverse(x[s], s) if s > 1 else diffused.origin(x[1], 1)
        return float(found.log_prob(x[s - 1]))

    def reverse(s: int) -> float:
        exact = p(x[s], s)[0]
        return float(Gaussian(0.9 * exact.mean, exact.log_var).log_prob(x[s - 1]))

    densities = (
        reverse,
        lambda s: float(q.between(x[s - 1], s - 1, s).log_prob(x[s])),
        lambda s: float(q.marginal(first, s).log_prob(x[s])),
        lambda s: float(q.posterior(x[s], first, s).log_prob(x[s - 1])),
        kernel,
        lambda s: float(diffused.log_prob(x[s], s)) if s else float(diffused.data.log_prob(first)),
    )
    log_prior = float(Gaussian(torch.zeros_like(first), torch.zeros_like(first)).log_prob(x[-1]))
    return Chain(schedule.T, log_prior, *map(cache, densities))


def _symbols() -> Chain:
    """Four steps of opaque log-densities, tied to each other by Bayes' rule alone (the derivation `bayes`)."""

    def table(name: str) -> Callable[[int], Any]:
        return lambda s: sympy.Symbol(f"{name}_{s}", real=True)

    log_jump, log_posterior, log_kernel, log_marginal = map(table, ("jump", "posterior", "kernel", "marginal"))

    def log_q(s: int) -> Any:  # noqa: ANN401 (an expression)
        return log_posterior(s) + log_jump(s) - log_jump(s - 1) if s > 1 else log_jump(1)

    return Chain(
        SYMBOLIC_T, sympy.Symbol("prior"), table("p"), log_q, log_jump, log_posterior, log_kernel, log_marginal
    )


def _symbols_without_x_0() -> Chain:
    """The same, tied by Bayes' rule without x_0."""
    chain = _symbols()

    def log_q(s: int) -> Any:  # noqa: ANN401
        return chain.log_kernel(s) + chain.log_marginal(s) - chain.log_marginal(s - 1)

    return Chain(**{**vars(chain), "log_q": log_q})


BOUND = Derivation(
    "bound",
    Text("The bound, from Eq. 3 (17) to Eq. 5 (21)", "변분 경계: 식 3(17)에서 식 5(21)까지"),
    "000 l.98-110, l.129-148; 003 l.26-34, l.43-45",
    Text("of one chain, nats", "체인 하나에서, nats"),
    _chain,
    [
        Line(
            r"-\log\frac{p_\theta(x_{0:T})}{q(x_{1:T}|x_0)}",
            Text(
                "The right side of Eq. 3 before it is averaged: both joint densities at one chain x_0, ..., x_T. The bracket of "
                "the logarithm holds the whole ratio.",
                "평균하기 전의 식 3의 우변이다. 체인 하나 x_0, ..., x_T에서 두 결합밀도의 값이다. 로그는 비율 전체에 걸린다.",
            ),
            lambda p: (
                sum(p.log_q(s) for s in range(1, p.T + 1)) - (p.log_prior + sum(p.log_p(s) for s in range(1, p.T + 1)))
            ),
            "Eq. 17",
        ),
        Line(
            r"= -\log p(x_T) - \sum_{t=1}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_t|x_{t-1})}",
            Text(
                "Both chains are Markov: the joints are products, the logarithm makes them sums.",
                "두 체인 모두 마르코프이므로 결합밀도는 곱이고, 로그를 취하면 합이 된다.",
            ),
            lambda p: -p.log_prior - sum(p.log_p(s) - p.log_q(s) for s in range(1, p.T + 1)),
            "Eq. 18",
        ),
        Line(
            r"= -\log p(x_T) - \sum_{t=2}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_t|x_{t-1})}"
            r" - \log\frac{p_\theta(x_0|x_1)}{q(x_1|x_0)}",
            Text(
                "Set t = 1 apart: the next line is not possible there, as q(x_0|x_1, x_0) is a point.",
                "t = 1을 떼어 놓는다. q(x_0|x_1, x_0)는 한 점이어서 다음 줄을 쓸 수 없다.",
            ),
            lambda p: (
                -p.log_prior - sum(p.log_p(s) - p.log_q(s) for s in range(2, p.T + 1)) - (p.log_p(1) - p.log_q(1))
            ),
            "Eq. 19",
        ),
        Line(
            r"= -\log p(x_T) - \sum_{t=2}^{T}\log\left(\frac{p_\theta(x_{t-1}|x_t)}{q(x_{t-1}|x_t,x_0)}\cdot"
            r"\frac{q(x_{t-1}|x_0)}{q(x_t|x_0)}\right) - \log\frac{p_\theta(x_0|x_1)}{q(x_1|x_0)}",
            Text(
                "Bayes' rule given x_0 (the derivation `bayes`) for every t >= 2.",
                "t >= 2마다 x_0가 주어진 베이즈 정리를 쓴다(유도 bayes).",
            ),
            lambda p: (
                -p.log_prior
                - sum(p.log_p(s) - p.log_posterior(s) + p.log_jump(s - 1) - p.log_jump(s) for s in range(2, p.T + 1))
                - (p.log_p(1) - p.log_q(1))
            ),
            "Eq. 20",
        ),
        Line(
            r"= -\log p(x_T) - \log\frac{q(x_1|x_0)}{q(x_T|x_0)} - \sum_{t=2}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}"
            r"{q(x_{t-1}|x_t,x_0)} - \log\frac{p_\theta(x_0|x_1)}{q(x_1|x_0)}",
            Text(
                "The second factor telescopes: q(x_1)/q(x_2) q(x_2)/q(x_3) ... q(x_{T-1})/q(x_T), each given x_0, is "
                "q(x_1|x_0)/q(x_T|x_0).",
                "둘째 인자는 서로 지워진다. x_0를 조건으로 q(x_1)/q(x_2) q(x_2)/q(x_3) ... q(x_{T-1})/q(x_T)는 "
                "q(x_1|x_0)/q(x_T|x_0)다.",
            ),
            lambda p: (
                -p.log_prior
                - (p.log_jump(1) - p.log_jump(p.T))
                - sum(p.log_p(s) - p.log_posterior(s) for s in range(2, p.T + 1))
                - (p.log_p(1) - p.log_q(1))
            ),
        ),
        Line(
            r"= -\log\frac{p(x_T)}{q(x_T|x_0)} - \sum_{t=2}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_{t-1}|x_t,x_0)}"
            r" - \log p_\theta(x_0|x_1)",
            Text(
                "q(x_1|x_0) cancels, and q(x_T|x_0) goes to p(x_T). Averaged over x_{t-1} given x_t and x_0 the middle terms are "
                "the divergences L_{t-1}, added, not subtracted: Eq. 22, which is Eq. 5.",
                "q(x_1|x_0)가 지워지고 q(x_T|x_0)는 p(x_T)와 만난다. x_t와 x_0가 주어진 x_{t-1}에 대해 평균하면 가운데 항들은 "
                "더해지는(빼는 것이 아니다) KL L_{t-1}이 된다. 이것이 식 22, 곧 식 5다.",
            ),
            lambda p: (
                -(p.log_prior - p.log_jump(p.T))
                - sum(p.log_p(s) - p.log_posterior(s) for s in range(2, p.T + 1))
                - p.log_p(1)
            ),
            "Eq. 21",
        ),
    ],
    [
        Slip(
            "ERR-25",
            3,
            r"\sum_{t=2}^{T}\log\left(\ldots\cdot\frac{q(x_{t-1}|x_0)}{q(x_1|x_0)}\right)",
            lambda p: (
                -p.log_prior
                - sum(p.log_p(s) - p.log_posterior(s) + p.log_jump(s - 1) - p.log_jump(1) for s in range(2, p.T + 1))
                - (p.log_p(1) - p.log_q(1))
            ),
        ),
        Slip(
            "ERR-26",
            4,
            r"\log\frac{1}{p(x_T)}\left[\frac{q(x_2|x_0)}{q(x_1|x_0)}\cdots\,q(x_T|x_0)\right]q(x_1|x_0)",
            lambda p: (
                -p.log_prior
                - (p.log_jump(1) - p.log_jump(p.T) - p.log_jump(p.T - 1))
                - sum(p.log_p(s) - p.log_posterior(s) for s in range(2, p.T + 1))
                - (p.log_p(1) - p.log_q(1))
            ),
        ),
        Slip(
            "ERR-57",
            5,
            r"\ldots - \sum_{t>1} D_{KL} - \ldots",
            lambda p: (
                -(p.log_prior - p.log_jump(p.T))
                + sum(p.log_p(s) - p.log_posterior(s) for s in range(2, p.T + 1))
                - p.log_p(1)
            ),
        ),
    ],
    _symbols,
)

ENTROPY = Derivation(
    "entropy",
    Text("The bound without x_0: from Eq. 23 to Eq. 25", "x_0 없이 쓴 변분 경계: 식 23에서 식 25까지"),
    "003 l.36-39",
    Text("of one chain, nats", "체인 하나에서, nats"),
    _chain,
    [
        Line(
            r"-\log p(x_T) - \sum_{t=1}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_t|x_{t-1})}",
            Text("Eq. 18 once more.", "다시 식 18에서 출발한다."),
            lambda p: -p.log_prior - sum(p.log_p(s) - p.log_q(s) for s in range(1, p.T + 1)),
            "Eq. 23",
        ),
        Line(
            r"= -\log p(x_T) - \sum_{t=1}^{T}\log\left(\frac{p_\theta(x_{t-1}|x_t)}{q(x_{t-1}|x_t)}\cdot"
            r"\frac{q(x_{t-1})}{q(x_t)}\right)",
            Text(
                "Bayes' rule without x_0. It holds for t = 1 too, but q(x_t) is known only where the data are: here N(0, 1/4).",
                "x_0 없이 쓴 베이즈 정리다. t = 1에서도 성립하지만 q(x_t)는 데이터의 분포를 알 때만 안다. 여기서는 N(0, 1/4)이다.",
            ),
            lambda p: (
                -p.log_prior
                - sum(
                    p.log_p(s) - p.log_kernel(s) + p.log_marginal(s - 1) - p.log_marginal(s) for s in range(1, p.T + 1)
                )
            ),
            "Eq. 24",
        ),
        Line(
            r"= -\log\frac{p(x_T)}{q(x_T)} - \sum_{t=1}^{T}\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_{t-1}|x_t)} - \log q(x_0)",
            Text(
                "The second factor telescopes to q(x_0)/q(x_T). Averaged, the first term and the sum are divergences and the last "
                "is the entropy of the data, a floor that no network can reach below: Eq. 26.",
                "둘째 인자는 q(x_0)/q(x_T)만 남고 지워진다. 평균하면 첫 항과 합은 KL이고 마지막은 데이터의 엔트로피, 곧 어떤 "
                "신경망도 그 아래로 내려갈 수 없는 바닥이다. 이것이 식 26이다.",
            ),
            lambda p: (
                -(p.log_prior - p.log_marginal(p.T))
                - sum(p.log_p(s) - p.log_kernel(s) for s in range(1, p.T + 1))
                - p.log_marginal(0)
            ),
            "Eq. 25",
        ),
    ],
    symbols=_symbols_without_x_0,
)

DERIVATIONS = (BOUND, ENTROPY)
