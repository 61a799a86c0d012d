"""Divergences: what they mean, and what becomes of them in L_{t-1} (Q15, Q29, Q31)."""

import math

import torch

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.bound import constants
from ddpm.diffusion.gaussian import Gaussian, kl, log_mass
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.figures.style import BLUE, GREEN, ORANGE, panels
from ddpm.laboratory.answer import SEED, Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.seeds import generator

F64 = torch.float64
QUARTER = 0.25


def where_q_went(setting: Setting) -> Answer:
    """The average of log q/p over x_{t-1} ~ q, for one (x_0, x_t), against the closed form."""
    t = max(2, round(0.1 * setting.T))
    p = Diffused(gaussian(QUARTER), setting.schedule).process(FixedLarge())
    x_0, x_t = torch.full((1, 1), 0.6, dtype=F64), torch.full((1, 1), -0.4, dtype=F64)
    posterior, reverse = p.q.posterior(x_t, x_0, t), p(x_t, t)[0]
    exact = float(kl(posterior, reverse))
    z = torch.randn(1_000_000, 1, generator=generator(setting.seed, "KL"), dtype=F64)
    x_prev = posterior.sample(z)
    ratio = (posterior.log_prob(x_prev) - reverse.log_prob(x_prev)).flatten()
    counts = [10**k for k in range(1, 7)]
    rows = [(n, float(ratio[:n].mean()), float(ratio[:n].std()) / math.sqrt(n), exact) for n in counts]
    figure, (axis,) = panels(1)
    axis.axhline(exact, color=ORANGE, label="closed form")
    axis.errorbar(counts, [r[1] for r in rows], yerr=[r[2] for r in rows], color=BLUE, fmt="o", label="mean of log q/p")
    axis.set(
        title=f"One x(0), one x(t), t = {t}, {setting.label}", xlabel="draws of x(t−1)", ylabel="nats", xscale="log"
    )
    axis.legend()
    return Answer(
        Text(
            "It does not vanish: E_q is the missing factor. By the tower property E_q[log q/p] is the average over "
            "x_0 and x_t of that over x_{t-1} ~ q(x_{t-1}|x_t, x_0); the inner expectation weights log q/p by q, "
            "which is the definition of the KL, and the outer one stays. Here the average of log q/p over a million "
            f"x_(t-1) is {rows[-1][1]:.5f} ± {rows[-1][2]:.5f}, and the closed form {exact:.5f}. L_0 has no such "
            "partner, because q(x_0|x_1, x_0) is a point.",
            "사라지지 않는다. E_q가 바로 그 인자다. 반복 기댓값의 법칙으로 E_q[log q/p]는 q(x_{t-1}|x_t, x_0)에 대한 "
            "기댓값을 x_0와 x_t에 대해 다시 평균한 것이다. 안쪽 기댓값이 log q/p에 q를 곱해 적분하므로 그것이 KL의 "
            f"정의이고, 바깥쪽 기댓값은 남는다. 여기서 x_(t-1) 백만 개로 평균한 log q/p는 {rows[-1][1]:.5f} ± "
            f"{rows[-1][2]:.5f}, 닫힌 식은 {exact:.5f}(이)다. L_0에는 짝이 없다. q(x_0|x_1, x_0)가 한 점이기 때문이다.",
        ),
        [Table(("draws", "mean of log q/p, nats", "standard error", "closed form"), rows)],
        figure,
    )


def over_bins(width: float) -> float:
    """KL(N(0, 1) || N(1, 4)) of the probabilities of bins of this width, nats: a sum, as for discrete laws."""
    places = torch.arange(-20, 20 + width, width, dtype=F64)
    half = torch.full_like(places, width / 2)
    log_p, log_q = log_mass(places, half), log_mass((places - 1) / 2, half / 2)
    return float((log_p.exp() * (log_p - log_q)).sum())


def direction(setting: Setting) -> Answer:
    """Forward and reverse KL between two Gaussians, each beside its average log-ratio; as a sum over ever smaller bins."""
    random, rows = generator(setting.seed, "direction"), []
    for shift, ratio in ((1.0, 1.0), (0.0, 2.0), (1.0, 2.0), (1.0, 4.0), (0.0, 0.25)):
        one = Gaussian(torch.zeros(1, dtype=F64), torch.zeros(1, dtype=F64))
        other = Gaussian(torch.full((1,), shift, dtype=F64), torch.full((1,), 2 * math.log(ratio), dtype=F64))
        z = torch.randn(400_000, generator=random, dtype=F64)
        log_ratio = one.log_prob(one.sample(z)) - other.log_prob(one.sample(z))
        error = float(log_ratio.std()) / math.sqrt(len(z))
        rows.append((shift, ratio, float(kl(one, other)), float(log_ratio.mean()), error, float(kl(other, one))))
    sums = [(width, over_bins(width), rows[2][2]) for width in (4.0, 2.0, 1.0, 0.5, 0.1, 0.01)]
    figure, (axis,) = panels(1)
    wide = torch.linspace(0.2, 5, 200, dtype=F64)
    one, others = Gaussian(torch.zeros(1), torch.zeros(1)), Gaussian(torch.zeros(200), 2 * wide.log())
    axis.plot(wide, kl(one, others), color=BLUE, label="KL(N(0,1) ‖ N(0,s²))")
    axis.plot(wide, kl(others, one), color=ORANGE, label="KL(N(0,s²) ‖ N(0,1))")
    axis.set(title="Too narrow a model costs more than too wide a one", xlabel="s", ylabel="nats", ylim=(0, 4))
    axis.legend()
    return Answer(
        Text(
            "E_P[log P/Q] is the average, over what P produces, of how much likelier P finds it than Q does: the extra "
            "nats paid when samples of P are coded with a code made for Q. The first argument does the averaging, so "
            f"the direction matters: KL(N(0,1)||N(1,4)) = {rows[2][2]:.4f}, the other way {rows[2][5]:.4f}. In "
            "L_{t-1} the first is q, what has to be sent, and the second p_theta, the code: this is the rate of "
            "section 4.3. For probabilities it is a sum over x, for densities an integral (ERR-28): cut the line into "
            f"bins of width 2, and the sum of P log P/Q is {sums[1][1]:.4f}; of width 1, {sums[2][1]:.4f}; of width "
            f"0.1, {sums[4][1]:.4f}.",
            "E_P[log P/Q]는 P가 만들어 낸 것들에 대해, P가 Q보다 그것을 얼마나 더 그럴듯하게 보는지를 평균한 값이다. "
            "P의 샘플을 Q에 맞춘 부호로 부호화할 때 더 드는 nats다. 평균을 내는 쪽이 첫째 인자이므로 방향이 중요하다. "
            f"KL(N(0,1)||N(1,4)) = {rows[2][2]:.4f}(이)고 반대 방향은 {rows[2][5]:.4f}(이)다. L_{{t-1}}에서 첫째는 보내야 "
            "할 q이고 둘째는 부호(code)인 p_theta다. 이것이 4.3절의 비트율(rate)이다. 확률에서는 x에 대한 합이고 밀도에서는 "
            f"적분이다(ERR-28). 직선을 폭 2의 구간으로 나누면 P log P/Q의 합은 {sums[1][1]:.4f}, 폭 1이면 "
            f"{sums[2][1]:.4f}, 폭 0.1이면 {sums[4][1]:.4f}까지 적분에 다가간다.",
        ),
        [
            Table(("mean of Q", "sd of Q", "KL(P||Q)", "mean of log P/Q", "standard error", "KL(Q||P)"), rows),
            Table(("width of bins", "sum of P log P/Q, N(0,1) and N(1,4)", "integral"), sums),
        ],
        figure,
    )


def equal_covariances(setting: Setting) -> Answer:
    """L_{t-1} by the full KL, and as squared distance plus the constant of Eq. 8, for both fixed variances."""
    schedule, rows = setting.schedule, []
    random = generator(setting.seed, "covariances")
    for name, rule in (("beta", FixedLarge()), ("beta-tilde", FixedSmall())):
        p, C = Diffused(gaussian(QUARTER), schedule).process(rule), constants(schedule, rule)
        for t in some_steps(schedule, first=2):
            x_0, eps = torch.randn(2, 1000, 1, generator=random, dtype=F64)
            x_t = p.q.sample(x_0, t, eps)
            posterior, reverse = p.q.posterior(x_t, x_0, t), p(x_t, t)[0]
            full = kl(posterior, reverse)
            distance = (posterior.mean - reverse.mean) ** 2 / (2 * reverse.var)
            rows.append(
                (
                    name,
                    t,
                    float(full.mean()),
                    float(distance.mean()),
                    float(C[t]),
                    float((full - distance - C[t]).abs().max()),
                )
            )
    large, small = (constants(schedule, rule) for rule in (FixedLarge(), FixedSmall()))
    figure, (axis,) = panels(1)
    axis.plot(
        range(2, setting.T + 1), large[2:], color=BLUE, label=f"σ² = β: together {float(large.sum()):.5f} nats/dim"
    )
    axis.plot(range(2, setting.T + 1), small[2:], color=GREEN, label="σ² = β̃: 0")
    axis.set(title=f"The constant C of Eq. 8, {setting.label}", xlabel="t", ylabel="nats/dim", xscale="log")
    axis.legend()
    return Answer(
        Text(
            "No. q's variance is beta-tilde_t, the model's is sigma_t^2; where they differ, the KL has one more "
            "term, C = (beta-tilde/sigma^2 - 1 + log(sigma^2/beta-tilde))/2, which the network cannot change. It is "
            f"the C of Eq. 8, not an approximation (both sides agree to {max(row[5] for row in rows):.0e} nats). "
            f"With sigma^2 = beta it adds {float(large.sum()):.5f} nats/dim = {float(large.sum()) / math.log(2):.5f} "
            "bits/dim to every bound; with beta-tilde 0.",
            "같을 필요가 없다. q의 분산은 beta-tilde_t, 모델의 분산은 sigma_t^2이다. 둘이 다르면 KL에 신경망이 바꿀 "
            "수 없는 항 C = (beta-tilde/sigma^2 - 1 + log(sigma^2/beta-tilde))/2가 하나 더 생긴다. 그것이 식 8의 "
            f"C이며 근사가 아니다(양변의 차는 {max(row[5] for row in rows):.0e} nats). sigma^2 = beta면 모든 변분 "
            f"경계에 {float(large.sum()):.5f} nats/dim = {float(large.sum()) / math.log(2):.5f} bits/dim을 더하고, "
            "beta-tilde면 0이다.",
        ),
        [Table(("sigma^2", "t", "KL, nats", "squared distance part", "C", "largest difference"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q15",
        "000 l.148, 248-251",
        Text("Why does the factor q vanish when a KL appears?", "KL 발산으로 바꿀 때 곱해져 있던 q는 왜 사라지는가?"),
        "Eq. 21-22; E27, E28",
        r"E_q\left[\log\frac{q}{p_\theta}\right] = "
        r"E_{q(x_0,x_t)}\,D_{KL}(q(x_{t-1}|x_t,x_0)\,\|\,p_\theta(x_{t-1}|x_t))",
        where_q_went,
    ),
    Question(
        "Q29",
        "000 l.146, l.249-251",
        Text(
            "What does E_P[log P/Q] mean, and does its direction matter?",
            "E_P[log P/Q]는 무슨 뜻이고, 방향이 중요한가?",
        ),
        "E28, E29, E73",
        r"D_{KL}(P\,\|\,Q) = E_P\left[\log\frac{P}{Q}\right]",
        direction,
        SEED,
    ),
    Question(
        "Q31",
        "000 l.260",
        Text("Must the two covariances be equal in L_{t-1}?", "L_{t-1}의 두 공분산은 같아야 하는가?"),
        "Eq. 8; E29, E47",
        r"C = \frac{1}{2}\left(\frac{\tilde\beta_t}{\sigma_t^2} - 1 + \log\frac{\sigma_t^2}{\tilde\beta_t}\right)",
        equal_covariances,
    ),
)
