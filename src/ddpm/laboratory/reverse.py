"""The reverse kernel: how far from Gaussian, why many steps help, through x_0 (Q7, Q12, Q16)."""

import math

import torch

from ddpm.analytic.bound import terms_from_mse, with_pixels
from ddpm.analytic.mixture import two_points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import best_pixel_term, expected, kernel_entropy, kernel_from_gaussian, mmse
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.schedule import Schedule, log_snr
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Optimal
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, panels
from ddpm.laboratory.answer import NOTHING, Answer, Question, Setting, Table, Text
from ddpm.laboratory.verdict import verdict

F64 = torch.float64


def single_step(beta: float) -> Diffused:
    """Two points diffused to alpha_bar = 1/2 by the first step, then by beta; a third step leaves nothing of them."""
    return Diffused(two_points(), Schedule(torch.tensor([0.0, 0.5, beta, 0.9999], dtype=F64)))


def blind_to_x_t(diffused: Diffused) -> float:
    """E D_KL(q(x_1|x_2) || the Gaussian of x_1's mean and variance), nats: what a kernel costs that does not look at x_2."""
    x_1 = diffused.marginal(1)
    return 0.5 * math.log(2 * math.pi * math.e * float(x_1.covariance)) - kernel_entropy(diffused, 2)


def gaussian_for_small_beta(_setting: Setting) -> Answer:
    """KL from the true reverse kernel of two-point data to the Gaussian of the same moments, over beta."""
    rows = []
    for beta in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001):
        diffused = single_step(beta)
        nats = kernel_from_gaussian(diffused, 2)
        rows.append((beta, nats, nats / beta**3, nats / beta, blind_to_x_t(diffused)))
    figure, (axis,) = panels(1)
    axis.plot(
        [r[0] for r in rows], [r[1] for r in rows], color=BLUE, marker="o", label="E KL(q(x(t−1)|x(t)) ‖ Gaussian)"
    )
    axis.plot([r[0] for r in rows], [rows[-4][2] * r[0] ** 3 for r in rows], color=GREY, ls="--", label="∝ β³")
    axis.set(title="Two-point data, ᾱ(t−1) = 1/2", xlabel="β", ylabel="nats", xscale="log", yscale="log")
    axis.legend()
    return Answer(
        Text(
            "No theory of SDEs or hidden Markov models is needed: Eq. 1 is a definition. What needs a reason is that "
            "its kernels are Gaussian, and the reason is that betas are small. The true kernel q(x_{t-1}|x_t) is not "
            f"Gaussian, but its KL to the Gaussian of the same mean and variance falls like beta^3: {rows[0][1]:.1e} "
            f"nats at beta = 0.5, {rows[4][1]:.1e} at 0.02, {rows[-1][1]:.1e} at 0.001. A chain needs about 1/beta "
            "steps, so the total goes to 0 like beta^2. That is what the introduction says: small noise on the "
            "way there makes conditional Gaussians enough on the way back: noise with a mean that depends on x_t, and "
            f"that mean is what the network gives. A Gaussian that did not look at x_t would cost {rows[4][4]:.4f} "
            f"nats at beta = 0.02, and the more the smaller beta is ({rows[-1][4]:.4f} at 0.001). In the limit the "
            "forward chain is the SDE dx = -beta x/2 dt + sqrt(beta) dw, and its reversal has the drift -beta x/2 - "
            "beta s(x), where s is the score.",
            "SDE나 은닉 마르코프 모델의 이론은 필요 없다. 식 1은 정의다. 이유가 필요한 것은 커널을 가우시안으로 둔 "
            "점이고, 그 이유는 beta가 작다는 것이다. 진짜 커널 q(x_{t-1}|x_t)는 가우시안이 아니지만, 평균과 분산이 "
            f"같은 가우시안까지의 KL은 beta^3으로 줄어든다. beta = 0.5에서 {rows[0][1]:.1e} nats, 0.02에서 "
            f"{rows[4][1]:.1e}, 0.001에서 {rows[-1][1]:.1e}(이)다. 필요한 스텝은 약 1/beta개이므로 합은 beta^2으로 0에 "
            "간다. 서론의 문장이 바로 이 말이다. 갈 때의 잡음이 작으면 돌아올 때는 조건부 가우시안으로 충분하다. "
            "조건부란 잡음의 평균이 x_t에 따라 달라진다는 뜻이고, 그 평균을 신경망이 낸다. x_t를 보지 않는 "
            f"가우시안이라면 beta = 0.02에서 {rows[4][4]:.4f} nats가 들고, beta가 작을수록 더 든다(0.001에서 "
            f"{rows[-1][4]:.4f}). 정방향 체인의 극한은 SDE dx = -beta x/2 dt + sqrt(beta) dw이고, 그 역방향의 표류 "
            "항은 -beta x/2 - beta s(x)다(s는 점수).",
        ),
        [Table(("beta", "KL, nats", "KL / beta^3", "KL / beta: a whole chain", "KL without x_t, nats"), rows)],
        figure,
    )


def excess_bits(T: int) -> list[float]:
    """L - H(x_0) in bits, exactly, of two-point data: sigma^2 = beta, beta-tilde, optimal; log-SNR schedule, best sigma_1."""
    diffused = Diffused(two_points(), log_snr(T, noise_1=0.1))
    errors = mmse(diffused)
    pixels = best_pixel_term(diffused, diffused, discretised(2))
    chains = (
        terms_from_mse(diffused.schedule, rule, errors, 1.0) for rule in (FixedLarge(), FixedSmall(), Optimal(errors))
    )
    return [with_pixels(terms, pixels) / math.log(2) - 1 for terms in chains]


def depth_is_expressive(_setting: Setting) -> Answer:
    """What the bound of two-point data exceeds their entropy of one bit by, over T."""
    lengths = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
    rows = [(T, *excess_bits(T)) for T in lengths]
    figure, (axis,) = panels(1)
    for column, (name, color) in enumerate((("β", ORANGE), ("β̃", GREEN), ("optimal", BLUE)), start=1):
        axis.plot(lengths, [row[column] for row in rows], color=color, marker="o", label=f"σ² = {name}")
    axis.set(title="Two points: L − H(x(0))", xlabel="T", ylabel="bits", xscale="log", yscale="log")
    axis.legend()
    return Answer(
        Text(
            "Expressiveness comes from the number of steps and from the network's mean: each kernel is a plain "
            "Gaussian, yet their composition is not. Two-point data are as far from Gaussian as data can be, and "
            "with the best network and variance a chain of T steps, evenly spaced in log SNR, codes them with "
            f"{rows[1][3]:.3f} bits too many at T = 5, {rows[5][3]:.4f} at 100 and {rows[-1][3]:.5f} at 1000. It is "
            "all the betas that must be small, not beta_T alone.",
            "표현력은 스텝의 수와 신경망이 만드는 평균에서 나온다. 커널 하나하나는 단순한 가우시안이지만 이어 붙인 "
            "것은 그렇지 않다. 두 점 데이터는 가우시안에서 가장 먼 데이터인데, 로그 SNR을 고르게 나눈 T스텝의 체인은 "
            f"최선의 신경망과 분산으로 T = 5에서 {rows[1][3]:.3f}비트, 100에서 {rows[5][3]:.4f}비트, 1000에서 "
            f"{rows[-1][3]:.5f}비트만 더 쓴다. 작아야 하는 것은 beta_T 하나가 아니라 모든 beta다.",
        ),
        [Table(("T", "sigma^2 = beta, bits", "sigma^2 = beta-tilde, bits", "sigma^2 optimal, bits"), rows)],
        figure,
    )


def through_x_0(setting: Setting) -> Answer:
    """From x_t to x_{t-1} in ten large steps: by a drawn x_0 (exact) and by its mean (too narrow), in closed form."""
    kept = sorted({max(1, round(setting.T * part / 10)) for part in range(1, 11)})
    diffused = Diffused(two_points(), setting.schedule.respace(kept))
    schedule, rows = diffused.schedule, []
    for k in range(2, schedule.T + 1):
        c_0, c_t = schedule.posterior_x_0[k], schedule.posterior_x_t[k]
        at_half = float(diffused.x_0(torch.full((1, 1), 0.5, dtype=F64), k))
        truth = float(diffused.marginal(k - 1).covariance)
        guessed = expected(
            diffused.marginal(k), lambda x, k=k, c_0=c_0, c_t=c_t: (c_0 * diffused.x_0(x, k) + c_t * x).flatten() ** 2
        )
        spread = expected(diffused.marginal(k), lambda x, k=k: diffused.origin(x, k).covariance[:, 0, 0])
        plug_in = float(guessed + schedule.beta_tilde[k])
        rows.append((kept[k - 1], at_half, truth, plug_in + float(c_0**2 * spread), plug_in))
    figure, (axis,) = panels(1)
    steps = [r[0] for r in rows]
    axis.plot(steps, [r[3] / r[2] for r in rows], color=BLUE, marker="o", label="x(0) drawn from q(x(0)|x(t))")
    axis.plot(steps, [r[4] / r[2] for r in rows], color=ORANGE, marker="o", label="its mean, and σ² = β̃")
    axis.set(
        title=f"Two points, {setting.label} respaced to {schedule.T} steps",
        xlabel="t",
        ylabel="variance of x(t−1) / the true one",
    )
    axis.legend()
    where, half = _between_the_points(Diffused(two_points(), setting.schedule))
    least = min(r[4] / r[2] for r in rows)
    impossible, narrow = _whether_possible(where, half), _what_is_left(least, len(kept))
    return Answer(
        Text(
            "Yes: Eq. 11 is exactly that, with the estimate of x_0 put into Eq. 7. If x_0 were drawn from "
            f"q(x_0|x_t), the step would be the exact reverse kernel. The network gives its mean instead, "
            f"{impossible.en}. The spread of x_0 around its mean is lost, which is why a variance above beta-tilde is "
            f"optimal; {narrow.en}.",
            "그렇다. 식 11이 바로 그것으로, x_0의 추정값을 식 7에 넣는다. x_0를 q(x_0|x_t)에서 뽑아 넣는다면 한 "
            f"스텝이 정확한 역방향 커널이 된다. 신경망은 대신 그 평균을 낸다. {impossible.ko}. 평균 주위로 퍼진 정도를 "
            f"잃기 때문에 beta-tilde보다 큰 분산이 최적이다. {narrow.ko}.",
        ),
        [Table(("t", "E[x_0 | x_t = 0.5]", "Var of the step before", "x_0 drawn", "x_0 its mean, beta-tilde"), rows)],
        figure,
    )


def _whether_possible(where: int, half: float) -> Text:
    """Whether the estimate `half` at t = `where` can be a datum of +1 or -1."""
    return verdict(
        (
            half < 0.99,
            f"which need not be possible data at all: for x_0 = ±1 the estimate at x_t = 0.5, t = {where} is {half:.4f}",
            f"평균은 데이터로서 있을 수 없는 값일 수도 있다. x_0 = ±1인 데이터에서 x_t = 0.5, t = {where}의 추정값은 "
            f"{half:.4f}(이)다",
        ),
        (
            True,
            f"though this chain keeps so much signal that the two hardly differ: for x_0 = ±1 the estimate at x_t = 0.5 "
            f"is {half:.4f} even at t = {where}",
            f"다만 이 체인에는 신호가 많이 남아 둘의 차이가 거의 없다. x_0 = ±1인 데이터에서 x_t = 0.5의 추정값은 t = "
            f"{where}에서도 {half:.4f}(이)다",
        ),
    )


def _what_is_left(least: float, count: int) -> Text:
    """How much of the variance the worst of `count` large steps keeps."""
    return verdict(
        (
            least < 0.95,
            f"in {count} large steps one of them keeps only {least:.1%} of the variance it should",
            f"큰 스텝 {count}개로 가면 있어야 할 분산의 {least:.1%}만 남는 스텝이 있다",
        ),
        (
            True,
            f"with this schedule that is little: of {count} large steps the worst keeps {least:.1%} of the variance",
            f"이 스케줄에서는 그 몫이 작다. 큰 스텝 {count}개 가운데 가장 나쁜 것도 분산의 {least:.1%}가 남는다",
        ),
    )


def _between_the_points(diffused: Diffused) -> tuple[int, float]:
    """A t, and the estimate of x_0 at x_t = 0.5 there: after three tenths of the chain, or later if it is still certain."""
    T, x_t = diffused.schedule.T, torch.full((1, 1), 0.5, dtype=F64)
    places = [max(1, round(part * T / 10)) for part in range(3, 11)]
    found = [(t, float(diffused.x_0(x_t, t))) for t in places]
    return next(((t, half) for t, half in found if half < 0.99), found[-1])


QUESTIONS = (
    Question(
        "Q7",
        "000 l.22-26, l.78",
        Text(
            "Does Eq. 1 rest on SDEs and hidden Markov models?",
            "식 1의 이론적 배경에 SDE나 은닉 마르코프 모델이 필요한가?",
        ),
        "Eq. 1; E3, E36",
        r"p_\theta(x_{t-1}|x_t) = \mathcal{N}(\mu_\theta(x_t,t), \sigma_t^2 I)",
        gaussian_for_small_beta,
        NOTHING,
    ),
    Question(
        "Q12",
        "000 l.112-114",
        Text(
            "What makes the reverse process expressive, and which betas must be small?",
            "역방향 과정의 표현력은 무엇이 보장하며, 작아야 하는 것은 어떤 beta인가?",
        ),
        "section 2, Eq. 16; E36, E38",
        r"L - H(x_0) = D_{KL}(q(x_T)\|p(x_T)) + \sum_t E\,D_{KL}(q(x_{t-1}|x_t)\|p_\theta(x_{t-1}|x_t))",
        depth_is_expressive,
        NOTHING,
    ),
    Question(
        "Q16",
        "000 l.155",
        Text("Is the way from x_t to x_0 and on to x_{t-1} legitimate?", "x_t에서 x_0로 갔다가 x_{t-1}로 가도 되는가?"),
        "Eq. 11; E36, E45, E49",
        r"\mu_\theta(x_t,t) = \tilde\mu_t(x_t, \hat x_0(x_t,t))",
        through_x_0,
    ),
)
