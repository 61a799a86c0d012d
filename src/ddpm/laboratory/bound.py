"""The variational bound: what it is, its gap, its terms, its order (Q1, Q10, Q30, Q33)."""

import math

import torch

from ddpm.analytic.bound import LinearChain, linear_chain
from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.bound import prior, prior_table
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian, kl
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import FixedLarge, beta_1
from ddpm.figures.style import BLUE, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import NOTHING, SEED, Answer, Question, Setting, Table, Text
from ddpm.seeds import generator

F64 = torch.float64
QUARTER = 0.25
PAPER = FixedLarge(beta_1)


def quarter(T: int) -> tuple[ReverseProcess, LinearChain]:
    """The best chain of T unscaled linear steps for N(0, 1/4), and what it does."""
    p = Diffused(gaussian(QUARTER), linear(T)).process(PAPER)
    return p, linear_chain(p, QUARTER)


def finite_time(_setting: Setting) -> Answer:
    """Bound, NLL and gap for N(0, 1/4), over T."""
    lengths = (1, 2, 3, 10, 30, 100, 300, 1000)
    chains = {T: quarter(T)[1] for T in lengths}
    rows = [(T, chain.nll, chain.bound, chain.gap) for T, chain in chains.items()]
    entropy = 0.5 * math.log(2 * math.pi * math.e * QUARTER)
    figure, (axis,) = panels(1)
    axis.plot(lengths, [row[2] for row in rows], color=BLUE, marker="o", label="L")
    axis.plot(lengths, [row[1] for row in rows], color=ORANGE, marker="o", label="−log p(x(0)), averaged")
    axis.axhline(entropy, color=GREY, label="H(x(0)): no model can do better")
    axis.set(title="N(0, 1/4), β from 1e-4 to 0.02 whatever T", xlabel="T", ylabel="nats/dim", xscale="log")
    axis.legend()
    return Answer(
        Text(
            "'After finite time' means after T reverse steps, a fixed number. Variational inference means that -log "
            "p(x_0), the logarithm of an integral over all chains, is replaced by an upper bound L, and L is "
            f"minimised. For N(0, 1/4) both are known exactly: from T = 1 to 1000 L falls from {rows[0][2]:.4f} to "
            f"{rows[-1][2]:.4f} nats/dim, towards the entropy {entropy:.4f}, and the gap L - NLL is "
            f"{rows[-1][3]:.5f} at T = 1000.",
            "원문의 'after finite time'은 '일정 시간 이후'가 아니라 '유한한 시간 뒤', 곧 정해진 수 T번의 역방향 스텝 "
            "뒤라는 뜻이다. 변분 추론이란 모든 체인에 대한 적분 p(x_0)의 음의 로그 대신 그 상한 L을 최소화하는 "
            f"것이다. N(0, 1/4)에서는 둘 다 정확히 알 수 있다. T가 1에서 1000으로 갈 때 L은 {rows[0][2]:.4f}에서 "
            f"{rows[-1][2]:.4f} nats/dim으로 내려가 엔트로피 {entropy:.4f}에 다가가고, 간격(gap) L - NLL은 T = "
            f"1000에서 {rows[-1][3]:.5f}(이)다.",
        ),
        [Table(("T", "NLL, nats/dim", "L, nats/dim", "gap"), rows)],
        figure,
    )


def joint_covariances(p: ReverseProcess, v: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Covariance of (x_0, ..., x_T) under q and under a `p` with linear means, from the chains' definitions."""
    T, schedule = p.schedule.T, p.schedule
    q_from, p_from = torch.zeros(2, T + 1, T + 1, dtype=F64)
    q_from[0, 0] = math.sqrt(v)
    for t in range(1, T + 1):
        q_from[t] = schedule.alpha[t].sqrt() * q_from[t - 1]
        q_from[t, t] = schedule.beta[t].sqrt()
    p_from[T, T] = 1.0
    one = torch.ones(1, 1, dtype=F64)
    for t in schedule.steps:
        reverse, _ = p(one, t)
        p_from[t - 1] = reverse.mean.squeeze() * p_from[t]
        p_from[t - 1, t - 1] = reverse.var.squeeze().sqrt()
    return q_from @ q_from.T, p_from @ p_from.T


def divergence(s: torch.Tensor, r: torch.Tensor) -> float:
    """D_KL(N(0, s) || N(0, r)), nats (E29)."""
    return 0.5 * float(torch.linalg.solve(r, s).trace() - len(s) + torch.logdet(r) - torch.logdet(s))


def is_it_a_divergence(_setting: Setting) -> Answer:
    """L = KL of the joints + H(x_0) = NLL + KL of the conditionals, by matrices that know nothing of the bound."""
    entropy, rows = 0.5 * math.log(2 * math.pi * math.e * QUARTER), []
    for T in (1, 2, 3, 6, 12):
        p, chain = quarter(T)
        q_joint, p_joint = joint_covariances(p, QUARTER)
        joint = divergence(q_joint, p_joint)
        of_data = divergence(q_joint[:1, :1], p_joint[:1, :1])
        rows.append((T, chain.bound, joint + entropy, chain.nll, joint - of_data, chain.gap))
    figure, (axis,) = panels(1)
    T = [str(row[0]) for row in rows]
    axis.bar(T, [row[3] for row in rows], color=BLUE, width=0.5, label="−log p(x(0)), averaged")
    axis.bar(T, [row[4] for row in rows], bottom=[row[3] for row in rows], color=ORANGE, width=0.5, label="KL: the gap")
    axis.plot(T, [row[1] for row in rows], "o", color=PURPLE, label="L, term by term")
    axis.set(title="N(0, 1/4)", xlabel="T", ylabel="nats/dim", ylim=(0, 1.35))
    axis.legend(loc="upper right", ncols=3)
    off = max(abs(row[1] - row[2]) for row in rows)
    return Answer(
        Text(
            "Yes, it is the ELBO with its sign turned, by Jensen's inequality. But the right-hand side is not a "
            "divergence: it is D_KL(q(x_{0:T}) || p(x_{0:T})) plus the entropy of the data, and also the negative "
            "log-likelihood plus D_KL(q(x_{1:T}|x_0) || p(x_{1:T}|x_0)), which is the gap. Computed from the "
            "covariance matrices of the two joints, without any of the bound's algebra, this agrees with the sum of "
            f"its terms to {off:.0e}.",
            "그렇다. 부호를 바꾼 ELBO이고 젠슨 부등식에서 나온다. 그러나 우변은 KL 발산이 아니다. D_KL(q(x_{0:T}) || "
            "p(x_{0:T}))에 데이터의 엔트로피를 더한 것이고, 음의 로그 우도에 간격(gap) D_KL(q(x_{1:T}|x_0) || "
            "p(x_{1:T}|x_0))를 더한 것이기도 하다. 변분 경계의 전개를 전혀 쓰지 않고 두 결합분포의 공분산 행렬에서 "
            f"계산한 값이 항들의 합과 {off:.0e} 안에서 같다.",
        ),
        [Table(("T", "L, its terms", "KL(joint) + H", "NLL", "KL(conditional)", "L - NLL"), rows)],
        figure,
    )


def inside_the_expectation(setting: Setting) -> Answer:
    """The terms as functions of x_0 (and x_t): they are no constants, so E_q cannot be dropped."""
    values = (0.0, 0.25, 0.5, 0.75, 1.0)
    rows: list[tuple[float, ...]] = [(x, prior_table(setting.schedule, x)) for x in values]
    t = max(2, round(0.1 * setting.T))
    p = Diffused(gaussian(QUARTER), setting.schedule).process(FixedLarge())
    grid = torch.linspace(-1, 1, 81, dtype=F64)[:, None]
    figure, (left, right) = panels(2)
    left.plot(grid, prior(ForwardProcess(setting.schedule), grid), color=BLUE)
    left.set(title=f"L(T), {setting.label}", xlabel="x(0)", ylabel="nats")
    for x_t, color in ((-1.0, BLUE), (0.0, GREY), (1.0, ORANGE)):
        here = torch.full_like(grid, x_t)
        right.plot(grid, kl(p.q.posterior(here, grid, t), p(here, t)[0]), color=color, label=f"x(t) = {x_t:.0f}")
    right.set(title=f"L(t−1) at t = {t}", xlabel="x(0)", ylabel="nats")
    right.legend()
    return Answer(
        Text(
            "It depends on what E_q averages over. For one image it averages over x_1, ..., x_T: L_T holds none of "
            "them and may leave it; L_{t-1} holds x_t and may not. For a data set E_q averages over x_0 too, and then "
            f"L_T may not leave it either: it is {rows[0][1]:.3g} nats at x_0 = 0 and {rows[-1][1]:.3g} at 1. A "
            "function taken out would be left without an average. What is always true: the average over x_{t-1} is "
            "already inside the KL.",
            "E_q가 무엇에 대한 평균인지에 달렸다. 이미지 하나라면 x_1, ..., x_T에 대한 평균이다. L_T에는 그 가운데 어느 "
            "것도 없으니 밖으로 나와도 되고, L_{t-1}에는 x_t가 있으니 안 된다. 데이터 전체라면 x_0에 대해서도 평균하므로 "
            f"L_T도 나올 수 없다. x_0 = 0에서 {rows[0][1]:.3g} nats이고 1에서 {rows[-1][1]:.3g}이기 때문이다. 밖으로 빼면 "
            "평균을 내지 않은 함수가 남는다. 언제나 맞는 것은, x_{t-1}에 대한 평균은 이미 KL 안에 들어 있다는 것이다.",
        ),
        [Table(("x_0", "L_T, nats"), rows)],
        figure,
    )


def two_ways_to_write_a_vae(setting: Setting) -> Answer:
    """-log p(x|z) - log p(z)/q(z|x) and -log p(z) - log p(x|z)/q(z|x), drawn and compared value by value."""
    random = generator(setting.seed, "vae")
    x, z = torch.randn(2, 200, 1, generator=random, dtype=F64)
    encoder = Gaussian(0.8 * x, torch.full((1,), math.log(0.3), dtype=F64))
    standard = Gaussian(torch.zeros(1, dtype=F64), torch.zeros(1, dtype=F64))
    latent = encoder.sample(z)
    likelihood, log_prior, log_q = (
        Gaussian(0.9 * latent, torch.full((1,), math.log(0.5), dtype=F64)).log_prob(x),
        standard.log_prob(latent),
        encoder.log_prob(latent),
    )
    first, second = -likelihood - (log_prior - log_q), -log_prior - (likelihood - log_q)
    off = float((first - second).abs().max())
    figure, (axis,) = panels(1)
    axis.plot(first, second, "o", ms=3, color=BLUE)
    axis.set(title="200 draws of (x, z)", xlabel="written as reconstruction + KL", ylabel="written as in DDPM")
    return Answer(
        Text(
            "No. The same three logarithms are added in another order: for every single x and z, not only on "
            f"average, both expressions are equal (largest difference of 200: {off:.0e}). DDPM writes -log p(x_T) "
            "first because p(x_{0:T}) = p(x_T) prod p(x_{t-1}|x_t) starts there; z = x_{1:T}, and the encoder has no "
            "parameters.",
            "아니다. 같은 로그 세 개를 다른 순서로 더했을 뿐이다. 평균에서만이 아니라 x와 z 하나하나에서 두 식이 "
            f"같다(200개 가운데 가장 큰 차이 {off:.0e}). DDPM이 -log p(x_T)를 먼저 쓰는 것은 p(x_{{0:T}}) = p(x_T) "
            "prod p(x_{t-1}|x_t)가 거기서 시작하기 때문이다. z는 x_{1:T}이고 인코더에는 파라미터가 없다.",
        ),
        [
            Table(
                ("mean, first form", "mean, second form", "largest difference"),
                [(float(first.mean()), float(second.mean()), off)],
            )
        ],
        figure,
    )


QUESTIONS = (
    Question(
        "Q1",
        "000 l.10-12",
        Text(
            "What is 'after finite time', and what has variational inference to do with it?",
            "'일정 시간 이후'란 무엇이고, 변분 추론은 여기서 무슨 일을 하는가?",
        ),
        "Eq. 3; E18, E85",
        r"E[-\log p_\theta(x_0)] \leq L",
        finite_time,
        NOTHING,
    ),
    Question(
        "Q10",
        "000 l.99-103",
        Text(
            "Is Eq. 3 the ELBO with Jensen's inequality, and is its right side a KL?",
            "식 3은 ELBO와 젠슨 부등식인가? 우변은 KL 발산인가?",
        ),
        "Eq. 3; E18, E19",
        r"L = E[-\log p_\theta(x_0)] + E\,D_{KL}(q(x_{1:T}|x_0)\,\|\,p_\theta(x_{1:T}|x_0))",
        is_it_a_divergence,
        NOTHING,
    ),
    Question(
        "Q30",
        "000 l.255-256",
        Text("May the two KL terms leave the expectation?", "KL 항 두 개를 E_q 밖으로 빼도 되는가?"),
        "Eq. 5; E26, E42",
        r"L = E_q\left[L_T(x_0) + \sum_{t>1} L_{t-1}(x_0,x_t) + L_0(x_0,x_1)\right]",
        inside_the_expectation,
    ),
    Question(
        "Q33",
        "003 l.35",
        Text(
            "Does writing the VAE's bound in another order change the principle?",
            "VAE의 변분 경계를 다른 순서로 쓰면 원리가 달라지는가?",
        ),
        "Eq. 3; E39",
        r"-\log p(x|z) - \log\frac{p(z)}{q(z|x)} = -\log p(z) - \log\frac{p(x|z)}{q(z|x)}",
        two_ways_to_write_a_vae,
        SEED,
    ),
)
