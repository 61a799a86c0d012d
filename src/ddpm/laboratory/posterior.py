"""The posterior q(x_{t-1}|x_t, x_0): exact, tractable, and no weighted average (Q17, Q19, Q27, Q28)."""

import torch

from ddpm.analytic.mixture import two_points
from ddpm.analytic.process import Diffused
from ddpm.diffusion.forward import ForwardProcess
from ddpm.figures.style import BLUE, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.seeds import generator

F64 = torch.float64


def linear_combination(setting: Setting) -> Answer:
    """The two coefficients of Eq. 7 and their sum."""
    q = setting.schedule
    c_0, c_t = q.posterior_x_0[1:], q.posterior_x_t[1:]
    a, b = q.alpha[1:].sqrt(), q.alpha_bar[:-1].sqrt()
    off = float((c_0 + c_t - (a + b) / (1 + a * b)).abs().max())
    figure, (left, right) = panels(2)
    t = range(1, setting.T + 1)
    left.plot(t, c_0, color=ORANGE, label="of x(0)")
    left.plot(t, c_t, color=BLUE, label="of x(t)")
    left.set(title="Coefficients of Eq. 7", xlabel="t", ylabel="coefficient")
    left.legend()
    right.plot(t, c_0 + c_t, color=PURPLE)
    right.set(title=f"Their sum, {setting.label}", xlabel="t", ylabel="sum of both")
    rows = [(s, float(c_0[s - 1]), float(c_t[s - 1]), float(c_0[s - 1] + c_t[s - 1])) for s in some_steps(q)]
    return Answer(
        Text(
            "A linear combination of x_0 and x_t whose weights do not add to 1. It is the weighted average of two "
            "guesses of x_{t-1}, sqrt(alpha_bar_{t-1}) x_0 from before and x_t/sqrt(alpha_t) from after, with the "
            "precisions as weights, and those do add to 1; written in x_0 and x_t they do not. With a = "
            f"sqrt(alpha_t) and b = sqrt(alpha_bar_{{t-1}}) the sum is (a + b)/(1 + ab) (to {off:.0e} here), which "
            f"is 1 only at t = 1 and {float((c_0 + c_t)[-1]):.6g} at T.",
            "x_0와 x_t의 선형 결합이고, 두 계수의 합은 1이 아니다. 가중 평균인 것은 x_{t-1}에 대한 두 추정, 곧 "
            "앞에서 본 sqrt(alpha_bar_{t-1}) x_0와 뒤에서 본 x_t/sqrt(alpha_t)이다. 가중치는 정밀도이고 그 합은 "
            "1이다. x_0와 x_t의 계수로 고쳐 쓰면 1이 아니게 된다. a = sqrt(alpha_t), b = sqrt(alpha_bar_{t-1})이라 "
            f"하면 합은 (a + b)/(1 + ab)이고(여기서 오차 {off:.0e}), t = 1에서만 1이며 T에서는 "
            f"{float((c_0 + c_t)[-1]):.6g}(이)다.",
        ),
        [Table(("t", "of x_0", "of x_t", "sum"), rows)],
        figure,
    )


def their_arrays(setting: Setting) -> Answer:
    """The arrays of the published code, built here as it builds them, beside ours."""
    q = setting.schedule
    beta = q.beta[1:]
    alphas_cumprod = (1 - beta).cumprod(0)
    alphas_cumprod_prev = torch.cat([torch.ones(1, dtype=F64), alphas_cumprod[:-1]])
    variance = beta * (1 - alphas_cumprod_prev) / (1 - alphas_cumprod)
    coefficients = {
        "alphas_cumprod_prev[t-1] = alpha_bar[t-1]": (alphas_cumprod_prev, q.alpha_bar[:-1]),
        "posterior_variance[t-1] = beta_tilde[t]": (variance, q.beta_tilde[1:]),
        "posterior_mean_coef1[t-1], of x_0": (
            beta * alphas_cumprod_prev.sqrt() / (1 - alphas_cumprod),
            q.posterior_x_0[1:],
        ),
        "posterior_mean_coef2[t-1], of x_t": (
            (1 - alphas_cumprod_prev) * (1 - beta).sqrt() / (1 - alphas_cumprod),
            q.posterior_x_t[1:],
        ),
    }
    rows = [
        (
            name,
            float((theirs - ours).abs().max()),
            float(((theirs - ours) / ours.where(ours != 0, ours + 1)).abs().max()),
        )
        for name, (theirs, ours) in coefficients.items()
    ]
    figure, (axis,) = panels(1)
    shown = min(setting.T, 50)
    axis.plot(range(1, shown + 1), q.beta[1 : shown + 1], color=GREY, label="β")
    axis.plot(range(1, shown + 1), q.beta_tilde[1 : shown + 1], color=BLUE, marker="o", ms=3, label="β̃ (0 at t = 1)")
    axis.plot([1], [float(q.beta_tilde[2])], "s", color=ORANGE, label="what the code puts at t = 1: β̃(2)")
    axis.set(title=f"The first steps, {setting.label}", xlabel="t", ylabel="variance")
    axis.legend()
    worst = max(row[1] for row in rows)
    return Answer(
        Text(
            "They approximate nothing. alphas_cumprod_prev is alpha_bar_{t-1}, shifted by one because their index is "
            f"t - 1; all tables equal ours to {worst:.0e}. posterior_log_variance_clipped puts beta_tilde_2 in the "
            "place of beta_tilde_1 = 0, whose logarithm does not exist. What that code does approximate is "
            "elsewhere: the normal distribution function by a tanh, and coefficients rounded to float32 when they "
            "are gathered.",
            "근사가 아니다. alphas_cumprod_prev는 alpha_bar_{t-1}이고, 인덱스가 t - 1이라 한 칸 밀려 있을 뿐이다. "
            f"모든 표가 우리 것과 {worst:.0e} 안에서 같다. posterior_log_variance_clipped는 로그를 취할 수 없는 "
            "beta_tilde_1 = 0 자리에 beta_tilde_2를 넣은 것이다. 그 코드의 진짜 근사는 다른 곳에 있다. 정규분포 "
            "누적함수를 tanh로 바꾼 것과, 계수를 꺼낼 때 float32로 반올림하는 것이다.",
        ),
        [Table(("table of the code = ours", "largest difference", "relative"), rows)],
        figure,
    )


def bayes_is_exact(setting: Setting) -> Answer:
    """Of log q(x_t|x_{t-1}) + log q(x_{t-1}|x_0) - log q(x_t|x_0) against the log density of Eq. 6."""
    q, rows = ForwardProcess(setting.schedule), []
    random = generator(setting.seed, "bayes")
    for t in some_steps(setting.schedule, first=2):
        x_0, x_prev, x_t = torch.randn(3, 10_000, 1, generator=random, dtype=F64)
        bayes = (
            q.between(x_prev, t - 1, t).log_prob(x_t)
            + q.marginal(x_0, t - 1).log_prob(x_prev)
            - q.marginal(x_0, t).log_prob(x_t)
        )
        posterior = q.posterior(x_t, x_0, t).log_prob(x_prev)
        rows.append((t, float((bayes - posterior).abs().max()), float(posterior.abs().max())))
    figure, (axis,) = panels(1)
    t = max(2, round(0.3 * setting.T))
    x_0, x_t = torch.full((1, 1), 0.6, dtype=F64), torch.full((1, 1), -0.2, dtype=F64)
    given = q.posterior(x_t, x_0, t)
    x = given.mean + given.var.sqrt() * torch.linspace(-4, 4, 161, dtype=F64)[:, None]
    some = x[::8]
    product = (
        q.between(some, t - 1, t).log_prob(x_t)
        + q.marginal(x_0, t - 1).log_prob(some)
        - q.marginal(x_0, t).log_prob(x_t)
    )
    axis.plot(x, given.log_prob(x).exp(), color=BLUE, label="Eq. 6")
    axis.plot(some, product.exp(), "o", color=ORANGE, ms=4, label="q(x(t)|x(t−1)) q(x(t−1)|x(0)) / q(x(t)|x(0))")
    axis.set(title=f"x(0) = 0.6, x(t) = −0.2, t = {t}, {setting.label}", xlabel="x(t−1)", ylabel="density")
    axis.legend()
    worst = max(row[1] / row[2] for row in rows)
    return Answer(
        Text(
            "It is an equality. q(x_t|x_{t-1}, x_0) = q(x_t|x_{t-1}) holds exactly, because the step's noise is "
            "independent of x_0; with Bayes' rule that gives Eq. 6 with no remainder, normaliser included: at 10,000 "
            f"random points for each t, far from typical ones, both sides agree to {worst:.0e} of their size.",
            "근사가 아니라 등식이다. 스텝의 잡음이 x_0와 독립이므로 q(x_t|x_{t-1}, x_0) = q(x_t|x_{t-1})이 정확히 "
            "성립한다. 여기에 베이즈 정리를 쓰면 정규화 상수까지 포함해 나머지 없이 식 6이 된다. t마다 무작위 점 "
            f"10,000개(전형적인 곳에서 먼 점까지)에서 양변이 크기의 {worst:.0e} 안에서 같다.",
        ),
        [Table(("t", "largest |difference|, nats", "largest |log q|, nats"), rows)],
        figure,
    )


def why_given_x_0(setting: Setting) -> Answer:
    """q(x_{t-1}|x_t) for two-point data, a mixture, beside q(x_{t-1}|x_t, x_0) for each x_0, which is Gaussian."""
    t = max(2, round(0.05 * setting.T))
    diffused, q = Diffused(two_points(), setting.schedule), ForwardProcess(setting.schedule)
    x_t = torch.zeros(1, 1, dtype=F64)
    kernel = diffused.reverse(x_t, t)
    width = float(kernel.covariance.sqrt())
    x = torch.linspace(-4 * width, 4 * width, 801, dtype=F64)[:, None]
    figure, (axis,) = panels(1)
    for x_0, color in ((-1.0, BLUE), (1.0, ORANGE)):
        given = q.posterior(x_t, torch.full_like(x_t, x_0), t)
        axis.plot(
            x, given.log_prob(x).exp() / 2, color=color, lw=1, label=f"half of q(x(t−1) | x(t) = 0, x(0) = {x_0:+.0f})"
        )
    axis.plot(x, kernel.log_prob(x.expand(-1, 1)).exp(), color=PURPLE, label="q(x(t−1) | x(t) = 0): not Gaussian")
    axis.set(title=f"Two points seen at t = {t}, {setting.label}", xlabel="x(t−1)", ylabel="density")
    axis.legend()
    gaussian = q.posterior(x_t, torch.ones_like(x_t), t)
    rows = [
        ("q(x_{t-1}|x_t, x_0=+1)", float(gaussian.mean), float(gaussian.var)),
        ("q(x_{t-1}|x_t)", float(kernel.expectation), float(kernel.covariance)),
    ]
    return Answer(
        Text(
            "For tractability. Bayes' rule for q(x_{t-1}|x_t) needs q(x_{t-1}) and q(x_t), mixtures over all data "
            "that nobody knows; given x_0 every factor is a Gaussian with known mean and variance (E22). The "
            f"unconditional kernel is the average of these Gaussians over q(x_0|x_t): at t = {t} and x_t = 0 its "
            f"variance is {rows[1][2]:.4g}, that of each of them {rows[0][2]:.4g}. Averaged over x_0, the KL to the "
            "one has the same gradient as the KL to the other.",
            "계산할 수 있게 하기 위해서다. q(x_{t-1}|x_t)에 베이즈 정리를 쓰면 q(x_{t-1})과 q(x_t)가 필요한데, "
            "이들은 아무도 모르는 데이터 전체에 대한 혼합분포다. x_0를 조건으로 두면 모든 인자가 평균과 분산을 아는 "
            f"가우시안이 된다(E22). 조건 없는 커널은 이 가우시안들을 q(x_0|x_t)로 평균한 것이다. t = {t}, x_t = "
            f"0에서 그 분산은 {rows[1][2]:.4g}, 각 가우시안의 분산은 {rows[0][2]:.4g}(이)다. x_0에 대해 평균하면 어느 "
            "쪽과의 KL이든 기울기는 같다.",
        ),
        [Table(("kernel", "mean", "variance"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q17",
        "000 l.158",
        Text("Is mu-tilde a weighted average of x_0 and x_t?", "mu-tilde는 x_0와 x_t의 가중 평균인가?"),
        "Eq. 7; E30, E35",
        r"\tilde\mu_t = \frac{\sqrt{\bar\alpha_{t-1}}\beta_t}{1-\bar\alpha_t}x_0"
        r" + \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}x_t",
        linear_combination,
    ),
    Question(
        "Q19",
        "000 l.160",
        Text(
            "Are the arrays that the published code cuts and pastes an approximation?",
            "공개 코드에서 배열을 자르고 붙이는 것은 근사인가?",
        ),
        "E7, E31, E44",
        r"\tilde\beta_t = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\beta_t",
        their_arrays,
    ),
    Question(
        "Q27",
        "000 l.238",
        Text("May one write ≈ in the Bayes step of the derivation?", "유도의 베이즈 단계에서 ≈를 써도 되는가?"),
        "Eq. 6, 19-20; E22, E33",
        r"q(x_{t-1}|x_t,x_0) = \frac{q(x_t|x_{t-1})\,q(x_{t-1}|x_0)}{q(x_t|x_0)}",
        bayes_is_exact,
    ),
    Question(
        "Q28",
        "000 l.237",
        Text("Why is everything conditioned on x_0?", "왜 모든 항에 x_0를 조건으로 두는가?"),
        "Eq. 6; E22, E36",
        r"q(x_{t-1}|x_t) = \int q(x_{t-1}|x_t,x_0)\,q(x_0|x_t)\,dx_0",
        why_given_x_0,
    ),
)
