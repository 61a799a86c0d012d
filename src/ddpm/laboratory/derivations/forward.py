"""Two steps of Eq. 2 are one jump of Eq. 4, and Bayes' rule given x_0: Eq. 6 and 7 by completing the square."""

from typing import Any

from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.line import Derivation, Line, Slip
from ddpm.laboratory.derivations.place import at, symbols

AB = r"\bar\alpha"


def log_normal(p: Any, x: Any, mean: Any, var: Any) -> Any:  # noqa: ANN401 (numbers or expressions)
    """Log N(x; mean, var) in one coordinate, nats."""
    return -(p.log(2 * p.pi * var) + (x - mean) ** 2 / var) / 2


JUMP = Derivation(
    "jump",
    Text("Two steps of Eq. 2 make one jump of Eq. 4", "식 2의 두 스텝이 식 4의 도약 하나가 되기까지"),
    "003 l.11-19",
    Text("x_t, from x_{t-2}", "x_{t-2}에서 얻은 x_t"),
    at,
    [
        Line(
            r"x_t = \sqrt{\alpha_t}\left(\sqrt{\alpha_{t-1}}\,x_{t-2} + \sqrt{1-\alpha_{t-1}}\,\epsilon_1\right)"
            r" + \sqrt{1-\alpha_t}\,\epsilon_2",
            Text("Eq. 2, once for x_{t-1} and once for x_t.", "식 2를 x_{t-1}에 한 번, x_t에 한 번 쓴다."),
            lambda p: (
                p.sqrt(p.alpha) * (p.sqrt(p.alpha_before) * p.x_before_2 + p.sqrt(1 - p.alpha_before) * p.eps_1)
                + p.sqrt(1 - p.alpha) * p.eps_2
            ),
            "Eq. 2",
        ),
        Line(
            r"= \sqrt{\alpha_t\alpha_{t-1}}\,x_{t-2} + \sqrt{\alpha_t(1-\alpha_{t-1})}\,\epsilon_1 + \sqrt{1-\alpha_t}\,\epsilon_2",
            Text("Multiply out: two noises, each with its own factor.", "전개한다. 잡음이 둘이고 계수가 각각 다르다."),
            lambda p: (
                p.sqrt(p.alpha * p.alpha_before) * p.x_before_2
                + p.sqrt(p.alpha * (1 - p.alpha_before)) * p.eps_1
                + p.sqrt(1 - p.alpha) * p.eps_2
            ),
        ),
        Line(
            r"= \sqrt{\alpha_t\alpha_{t-1}}\,x_{t-2} + \sqrt{\alpha_t(1-\alpha_{t-1}) + (1-\alpha_t)}\;\epsilon",
            Text(
                "The sum of two independent Gaussians is a Gaussian whose variance is the sum of theirs. Call eps the sum "
                "divided by its standard deviation: it is N(0, 1) again.",
                "독립인 두 가우시안의 합은 가우시안이고, 분산은 두 분산의 합이다. 그 합을 표준편차로 나눈 것을 eps라 하면 "
                "다시 N(0, 1)이다.",
            ),
            lambda p: (
                p.sqrt(p.alpha * p.alpha_before) * p.x_before_2
                + p.sqrt(p.alpha * (1 - p.alpha_before) + 1 - p.alpha) * merged(p)
            ),
        ),
        Line(
            r"= \sqrt{\alpha_t\alpha_{t-1}}\,x_{t-2} + \sqrt{1-\alpha_t\alpha_{t-1}}\;\epsilon",
            Text(
                "alpha_t cancels under the root. Going on so down to x_0 gives alpha_bar_t, the product of all alphas: "
                "Eq. 4.",
                "근호 안에서 alpha_t가 지워진다. x_0까지 이렇게 내려가면 모든 alpha의 곱 alpha_bar_t가 되고, 이것이 식 "
                "4다.",
            ),
            lambda p: (
                p.sqrt(p.alpha * p.alpha_before) * p.x_before_2 + p.sqrt(1 - p.alpha * p.alpha_before) * merged(p)
            ),
            "Eq. 4",
        ),
    ],
    [
        Slip(
            "ERR-53",
            2,
            r"\left(\alpha_t(1-\alpha_{t-1}) + (1-\alpha_t)\right)\epsilon",
            lambda p: (
                p.sqrt(p.alpha * p.alpha_before) * p.x_before_2
                + (p.alpha * (1 - p.alpha_before) + 1 - p.alpha) * merged(p)
            ),
        )
    ],
    symbols,
)


def merged(p: Any) -> Any:  # noqa: ANN401
    """The one standard normal eps that the noises of two steps make."""
    noise = p.sqrt(p.alpha * (1 - p.alpha_before)) * p.eps_1 + p.sqrt(1 - p.alpha) * p.eps_2
    return noise / p.sqrt(1 - p.alpha * p.alpha_before)


BAYES = Derivation(
    "bayes",
    Text("Bayes' rule given x_0: from Eq. 19 to Eq. 20", "x_0가 주어진 베이즈 정리: 식 19에서 식 20으로"),
    "000 l.235-246, 003 l.41",
    Text("log q(x_{t-1}|x_t, x_0), nats", "log q(x_{t-1}|x_t, x_0), nats"),
    at,
    [
        Line(
            r"\log q(x_{t-1}|x_t,x_0) = \log\frac{q(x_t|x_{t-1},x_0)\,q(x_{t-1}|x_0)}{q(x_t|x_0)}",
            Text(
                "Bayes' rule for x_{t-1} and x_t, with x_0 given in every factor. (The value of this line is the joint density "
                "of x_{t-1} and x_t given x_0, by their covariance matrix, divided by q(x_t|x_0).)",
                "x_{t-1}과 x_t에 대한 베이즈 정리다. 모든 인자에 x_0가 조건으로 붙는다. (이 줄의 값은 x_0가 주어졌을 때 x_{t-1}과 "
                "x_t의 결합밀도를 공분산 행렬로 구해 q(x_t|x_0)로 나눈 것이다.)",
            ),
            lambda p: log_joint(p) - log_q_x(p),
        ),
        Line(
            r"= \log\frac{q(x_t|x_{t-1})\,q(x_{t-1}|x_0)}{q(x_t|x_0)}",
            Text(
                "The chain is Markov: once x_{t-1} is known, x_0 says nothing more about x_t. This is an equality, not an "
                "approximation.",
                "체인은 마르코프다. x_{t-1}을 알면 x_0는 x_t에 대해 더 알려 주는 것이 없다. 근사가 아니라 등식이다.",
            ),
            lambda p: (
                log_normal(p, p.x, p.sqrt(p.alpha) * p.x_before, p.beta)
                + log_normal(p, p.x_before, p.sqrt(p.alpha_bar_before) * p.x_0, 1 - p.alpha_bar_before)
                - log_normal(p, p.x, p.sqrt(p.alpha_bar) * p.x_0, 1 - p.alpha_bar)
            ),
            "Eq. 20",
        ),
        Line(
            r"= \log\mathcal{N}(x_{t-1};\,\tilde\mu_t(x_t,x_0),\,\tilde\beta_t)",
            Text(
                "Completing the square (the derivation `square`): the posterior is Gaussian, normalising constant and all.",
                "완전제곱식으로 묶는다(유도 square). 사후분포는 정규화 상수까지 포함해 가우시안이다.",
            ),
            lambda p: log_normal(p, p.x_before, mu_tilde(p), p.beta * (1 - p.alpha_bar_before) / (1 - p.alpha_bar)),
            "Eq. 6",
        ),
    ],
    [
        Slip(
            "ERR-42",
            1,
            r"q(x_t|x_{t-1},x_0) = \frac{q(x_t|x_{t-1})\,q(x_{t-1}|x_0)}{q(x_t|x_0)}",
            lambda p: log_normal(p, p.x, p.sqrt(p.alpha) * p.x_before, p.beta),
        )
    ],
    symbols,
)


def log_q_x(p: Any) -> Any:  # noqa: ANN401
    """Log q(x_t|x_0), nats."""
    return log_normal(p, p.x, p.sqrt(p.alpha_bar) * p.x_0, 1 - p.alpha_bar)


def log_joint(p: Any) -> Any:  # noqa: ANN401
    """Log q(x_{t-1}, x_t|x_0), nats, by the covariance matrix of the two; its determinant is beta_t (1 - alpha_bar_{t-1})."""
    a, b, c = 1 - p.alpha_bar_before, p.sqrt(p.alpha) * (1 - p.alpha_bar_before), 1 - p.alpha_bar
    off, off_x = p.x_before - p.sqrt(p.alpha_bar_before) * p.x_0, p.x - p.sqrt(p.alpha_bar) * p.x_0
    determinant = a * c - b**2
    distance = (c * off**2 - 2 * b * off * off_x + a * off_x**2) / determinant
    return -p.log(2 * p.pi) - (p.log(determinant) + distance) / 2


def mu_tilde(p: Any) -> Any:  # noqa: ANN401
    """The mean of Eq. 7."""
    from_x_0 = p.sqrt(p.alpha_bar_before) * p.beta / (1 - p.alpha_bar)
    return from_x_0 * p.x_0 + p.sqrt(p.alpha) * (1 - p.alpha_bar_before) / (1 - p.alpha_bar) * p.x


SQUARE = Derivation(
    "square",
    Text("Completing the square: the exponent of q(x_{t-1}|x_t, x_0)", "완전제곱: q(x_{t-1}|x_t, x_0)의 지수"),
    "003 l.64-75",
    Text("-2 times the exponent", "지수에 -2를 곱한 것"),
    at,
    [
        Line(
            r"\frac{(x_t-\sqrt{\alpha_t}\,x_{t-1})^2}{\beta_t} + \frac{(x_{t-1}-\sqrt{AB_{t-1}}\,x_0)^2}{1-AB_{t-1}}"
            r" - \frac{(x_t-\sqrt{AB_t}\,x_0)^2}{1-AB_t}".replace("AB", AB),
            Text(
                "The exponents of the three Gaussians of Bayes' rule; the one in the denominator counts negatively.",
                "베이즈 정리에 나오는 세 가우시안의 지수다. 분모에 있는 것은 부호가 반대다.",
            ),
            lambda p: (
                (p.x - p.sqrt(p.alpha) * p.x_before) ** 2 / p.beta
                + (p.x_before - p.sqrt(p.alpha_bar_before) * p.x_0) ** 2 / (1 - p.alpha_bar_before)
                - (p.x - p.sqrt(p.alpha_bar) * p.x_0) ** 2 / (1 - p.alpha_bar)
            ),
        ),
        Line(
            r"= \left(\frac{\alpha_t}{\beta_t}+\frac{1}{1-AB_{t-1}}\right)x_{t-1}^2"
            r" - 2\left(\frac{\sqrt{\alpha_t}\,x_t}{\beta_t}+\frac{\sqrt{AB_{t-1}}\,x_0}{1-AB_{t-1}}\right)x_{t-1} + C".replace(
                "AB", AB
            ),
            Text(
                "Multiply out and collect by powers of x_{t-1}: a x^2 - 2 b x + C, where C holds all that is free of x_{t-1}.",
                "전개해서 x_{t-1}의 차수별로 모은다. a x^2 - 2 b x + C 꼴이고, C는 x_{t-1}이 없는 나머지다.",
            ),
            lambda p: (
                (p.alpha / p.beta + 1 / (1 - p.alpha_bar_before)) * p.x_before**2
                - 2
                * (p.sqrt(p.alpha) * p.x / p.beta + p.sqrt(p.alpha_bar_before) * p.x_0 / (1 - p.alpha_bar_before))
                * p.x_before
                + p.x**2 / p.beta
                + p.alpha_bar_before * p.x_0**2 / (1 - p.alpha_bar_before)
                - (p.x - p.sqrt(p.alpha_bar) * p.x_0) ** 2 / (1 - p.alpha_bar)
            ),
        ),
        Line(
            r"= \frac{1}{\tilde\beta_t}\,x_{t-1}^2 - \frac{2\tilde\mu_t}{\tilde\beta_t}\,x_{t-1} + C, \quad"
            r"\tilde\beta_t = \frac{1-AB_{t-1}}{1-AB_t}\,\beta_t".replace("AB", AB),
            Text(
                "a = 1/beta-tilde_t, as alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - alpha_bar_t; and b/a is "
                "mu-tilde_t of Eq. 7: the weights of x_0 and x_t are those of b, multiplied by beta-tilde_t. (The "
                "notes' a and b are those of the exponent itself, a = -1/(2 beta-tilde_t): hence their variance "
                "1/(-2a) and mean -b/(2a).)",
                "alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - alpha_bar_t이므로 a = 1/beta-tilde_t다. b/a는 식 7의 "
                "mu-tilde_t다. b에 있는 x_0와 x_t의 계수에 beta-tilde_t를 곱하면 된다. (노트의 a와 b는 지수 자체의 "
                "계수다. a = -1/(2 beta-tilde_t)이므로 분산이 1/(-2a), 평균이 -b/(2a)다.)",
            ),
            lambda p: (
                (p.x_before**2 - 2 * mu_tilde(p) * p.x_before) / (p.beta * (1 - p.alpha_bar_before) / (1 - p.alpha_bar))
                + p.x**2 / p.beta
                + p.alpha_bar_before * p.x_0**2 / (1 - p.alpha_bar_before)
                - (p.x - p.sqrt(p.alpha_bar) * p.x_0) ** 2 / (1 - p.alpha_bar)
            ),
            "Eq. 7",
        ),
        Line(
            r"= \frac{(x_{t-1} - \tilde\mu_t(x_t,x_0))^2}{\tilde\beta_t}",
            Text(
                "C is exactly mu-tilde_t^2/beta-tilde_t, so the square is complete and nothing remains.",
                "C는 정확히 mu-tilde_t^2/beta-tilde_t이므로 완전제곱이 되고 남는 것이 없다.",
            ),
            lambda p: (p.x_before - mu_tilde(p)) ** 2 / (p.beta * (1 - p.alpha_bar_before) / (1 - p.alpha_bar)),
            "Eq. 6",
        ),
    ],
    symbols=symbols,
    tolerance=1e-7,
)

DERIVATIONS = (JUMP, BAYES, SQUARE)
