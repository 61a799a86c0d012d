"""From the mean of Eq. 7 to that of Eq. 10 and 11, and from Eq. 8 to Eq. 12: where the notes' calculation got tangled."""

from typing import Any

from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.forward import mu_tilde
from ddpm.laboratory.derivations.line import Derivation, Line, Slip
from ddpm.laboratory.derivations.place import at, symbols

AB = r"\bar\alpha"

MEAN = Derivation(
    "mean",
    Text("The posterior mean by eps: from Eq. 7 to Eq. 10", "eps으로 쓴 사후 평균: 식 7에서 식 10으로"),
    "000 l.267-277, 003 l.83",
    Text("mu-tilde_t", "mu-tilde_t"),
    at,
    [
        Line(
            r"\tilde\mu_t = \frac{\sqrt{AB_{t-1}}\,\beta_t}{1-AB_t}\,x_0 + \frac{\sqrt{\alpha_t}(1-AB_{t-1})}{1-AB_t}\,x_t".replace(
                "AB", AB
            ),
            Text(
                "The posterior mean, a weighted sum of x_0 and x_t.",
                "사후 평균은 x_0와 x_t에 가중치를 곱해 더한 것이다.",
            ),
            lambda p: (
                p.sqrt(p.alpha_bar_before) * p.beta / (1 - p.alpha_bar) * p.x_0
                + p.sqrt(p.alpha) * (1 - p.alpha_bar_before) / (1 - p.alpha_bar) * p.x
            ),
            "Eq. 7",
        ),
        Line(
            r"= \frac{\sqrt{AB_{t-1}}\,\beta_t}{1-AB_t}\cdot\frac{x_t-\sqrt{1-AB_t}\,\epsilon}{\sqrt{AB_t}}"
            r" + \frac{\sqrt{\alpha_t}(1-AB_{t-1})}{1-AB_t}\,x_t".replace("AB", AB),
            Text(
                "Solve Eq. 4 for x_0 and put it in. Note the minus before eps.",
                "식 4를 x_0에 대해 풀어 넣는다. eps 앞의 음의 부호에 주의한다.",
            ),
            lambda p: (
                p.sqrt(p.alpha_bar_before)
                * p.beta
                / (1 - p.alpha_bar)
                * ((p.x - p.sqrt(1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha_bar))
                + p.sqrt(p.alpha) * (1 - p.alpha_bar_before) / (1 - p.alpha_bar) * p.x
            ),
        ),
        Line(
            r"= \frac{\beta_t}{\sqrt{\alpha_t}(1-AB_t)}\left(x_t-\sqrt{1-AB_t}\,\epsilon\right)"
            r" + \frac{\sqrt{\alpha_t}(1-AB_{t-1})}{1-AB_t}\,x_t".replace("AB", AB),
            Text(
                "sqrt(alpha_bar_{t-1})/sqrt(alpha_bar_t) = 1/sqrt(alpha_t): of the two products all factors but alpha_t "
                "cancel.",
                "sqrt(alpha_bar_{t-1})/sqrt(alpha_bar_t) = 1/sqrt(alpha_t)다. 두 곱에서 alpha_t만 남고 모두 약분된다.",
            ),
            lambda p: (
                p.beta / (p.sqrt(p.alpha) * (1 - p.alpha_bar)) * (p.x - p.sqrt(1 - p.alpha_bar) * p.eps)
                + p.sqrt(p.alpha) * (1 - p.alpha_bar_before) / (1 - p.alpha_bar) * p.x
            ),
        ),
        Line(
            r"= \frac{1}{\sqrt{\alpha_t}}\left(\frac{\beta_t+\alpha_t(1-AB_{t-1})}{1-AB_t}\,x_t"
            r" - \frac{\beta_t\sqrt{1-AB_t}}{1-AB_t}\,\epsilon\right)".replace("AB", AB),
            Text(
                "Take 1/sqrt(alpha_t) out, and collect x_t and eps.",
                "1/sqrt(alpha_t)를 묶어 내고 x_t와 eps을 모은다.",
            ),
            lambda p: (
                (
                    (p.beta + p.alpha * (1 - p.alpha_bar_before)) / (1 - p.alpha_bar) * p.x
                    - p.beta * p.sqrt(1 - p.alpha_bar) / (1 - p.alpha_bar) * p.eps
                )
                / p.sqrt(p.alpha)
            ),
        ),
        Line(
            r"= \frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{\beta_t}{\sqrt{1-AB_t}}\,\epsilon\right)".replace("AB", AB),
            Text(
                "beta_t + alpha_t - alpha_t alpha_bar_{t-1} = 1 - alpha_bar_t, so x_t has the weight 1; and "
                "sqrt(1 - alpha_bar_t)/(1 - alpha_bar_t) = 1/sqrt(1 - alpha_bar_t): the root stays.",
                "beta_t + alpha_t - alpha_t alpha_bar_{t-1} = 1 - alpha_bar_t이므로 x_t의 계수는 1이다. "
                "sqrt(1 - alpha_bar_t)/(1 - alpha_bar_t) = 1/sqrt(1 - alpha_bar_t)이므로 제곱근이 남는다.",
            ),
            lambda p: (p.x - p.beta / p.sqrt(1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha),
            "Eq. 10",
        ),
    ],
    [
        Slip(
            "ERR-49",
            3,
            r"\ldots + \frac{\sqrt{AB_{t-1}}\,\beta_t\sqrt{1-AB_t}}{(1-AB_t)\sqrt{AB_t}}\,\epsilon".replace("AB", AB),
            lambda p: (p.x + p.beta * p.sqrt(1 - p.alpha_bar) / (1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha),
        ),
        Slip(
            "ERR-50",
            3,
            r"\ldots + \frac{\sqrt{AB_{t-1}}\,\beta_t}{(1-AB_t)\sqrt{AB_t}}\,\epsilon".replace("AB", AB),
            lambda p: (p.x + p.beta / (1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha),
        ),
        Slip(
            "ERR-51",
            4,
            r"\frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{\beta_t}{1-AB_t}\,\epsilon\right)".replace("AB", AB),
            lambda p: (p.x - p.beta / (1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha),
        ),
        Slip(
            "ERR-40",
            4,
            r"\frac{1}{\sqrt{\alpha_t}\left(x_t - \frac{\beta_t}{\sqrt{1-AB_t}}\,\epsilon\right)}".replace("AB", AB),
            lambda p: 1 / (p.sqrt(p.alpha) * (p.x - p.beta / p.sqrt(1 - p.alpha_bar) * p.eps)),
        ),
    ],
    symbols,
)


def divergence(p: Any, var_q: Any, var_p: Any, distance_2: Any) -> Any:  # noqa: ANN401 (numbers or expressions)
    """D_KL of two Gaussians in one coordinate by their variances and the squared distance of their means, nats."""
    return (p.log(var_p / var_q) + (var_q + distance_2) / var_p - 1) / 2


def beta_tilde(p: Any) -> Any:  # noqa: ANN401
    """The variance of Eq. 7."""
    return p.beta * (1 - p.alpha_bar_before) / (1 - p.alpha_bar)


def constant(p: Any) -> Any:  # noqa: ANN401
    """C of Eq. 8: what is left of the divergence where the means agree, nats."""
    return divergence(p, beta_tilde(p), p.sigma_2, 0)


LOSS = Derivation(
    "loss",
    Text(
        "L_{t-1} less its constant: from Eq. 5 to Eq. 8 and to Eq. 12",
        "L_{t-1}에서 상수를 뺀 것: 식 5에서 식 8, 식 12까지",
    ),
    "000 l.198-231, l.259-265; 003 l.79-91",
    Text("L_{t-1} - C of one pixel, nats", "픽셀 하나의 L_{t-1} - C, nats"),
    at,
    [
        Line(
            r"D_{KL}(q(x_{t-1}|x_t,x_0)\,\|\,p_\theta(x_{t-1}|x_t)) - C",
            Text(
                "A term of Eq. 5, of which C is the part that no network changes: it is left where the two means agree.",
                "식 5의 항이다. C는 신경망이 바꿀 수 없는 부분, 곧 두 평균이 같을 때도 남는 값이다.",
            ),
            lambda p: divergence(p, beta_tilde(p), p.sigma_2, (mu_tilde(p) - p.mu_theta) ** 2) - constant(p),
            "Eq. 5",
        ),
        Line(
            r"= \frac{1}{2\sigma_t^2}\,\|\tilde\mu_t(x_t,x_0) - \mu_\theta(x_t,t)\|^2",
            Text(
                "The divergence of two Gaussians (the derivation `kl`). The variances differ, beta-tilde_t and sigma_t^2, but "
                "they stand in C alone.",
                "두 가우시안의 KL이다(유도 kl). 분산은 beta-tilde_t와 sigma_t^2으로 서로 다르지만 C에만 들어간다.",
            ),
            lambda p: (mu_tilde(p) - p.mu_theta) ** 2 / (2 * p.sigma_2),
            "Eq. 8",
        ),
        Line(
            r"= \frac{1}{2\sigma_t^2}\left\|\tilde\mu_t\!\left(x_t, \frac{x_t-\sqrt{1-AB_t}\,\epsilon}{\sqrt{AB_t}}\right)"
            r" - \mu_\theta(x_t,t)\right\|^2".replace("AB", AB).replace(r"\!", ""),
            Text(
                "Eq. 4 gives x_t from x_0 and eps; solved for x_0 it goes into Eq. 7.",
                "식 4로 x_0와 eps에서 x_t를 얻고, 그것을 x_0에 대해 풀어 식 7에 넣는다.",
            ),
            lambda p: (
                (
                    p.sqrt(p.alpha_bar_before)
                    * p.beta
                    / (1 - p.alpha_bar)
                    * ((p.x - p.sqrt(1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha_bar))
                    + p.sqrt(p.alpha) * (1 - p.alpha_bar_before) / (1 - p.alpha_bar) * p.x
                    - p.mu_theta
                )
                ** 2
                / (2 * p.sigma_2)
            ),
            "Eq. 9",
        ),
        Line(
            r"= \frac{1}{2\sigma_t^2}\left\|\frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{\beta_t}{\sqrt{1-AB_t}}\,\epsilon\right)"
            r" - \mu_\theta(x_t,t)\right\|^2".replace("AB", AB),
            Text("The posterior mean by eps (the derivation `mean`).", "eps으로 쓴 사후 평균이다(유도 mean)."),
            lambda p: (
                ((p.x - p.beta / p.sqrt(1 - p.alpha_bar) * p.eps) / p.sqrt(p.alpha) - p.mu_theta) ** 2 / (2 * p.sigma_2)
            ),
            "Eq. 10",
        ),
        Line(
            r"= \frac{1}{2\sigma_t^2}\left\|\frac{\beta_t}{\sqrt{\alpha_t}\sqrt{1-AB_t}}\,"
            r"(\epsilon - \epsilon_\theta(x_t,t))\right\|^2".replace("AB", AB),
            Text(
                "Give mu_theta the same form with eps_theta in the place of eps (Eq. 11): x_t cancels.",
                "mu_theta를 eps 자리에 eps_theta를 둔 같은 꼴로 쓴다(식 11). x_t가 지워진다.",
            ),
            lambda p: (
                (p.beta / (p.sqrt(p.alpha) * p.sqrt(1 - p.alpha_bar)) * (p.eps - p.eps_theta)) ** 2 / (2 * p.sigma_2)
            ),
            "Eq. 11",
        ),
        Line(
            r"= \frac{\beta_t^2}{2\sigma_t^2\alpha_t(1-AB_t)}\,\|\epsilon - \epsilon_\theta(x_t,t)\|^2".replace(
                "AB", AB
            ),
            Text("Square the factor. L_simple leaves it out.", "계수를 제곱한다. L_simple은 이 계수를 뺀 것이다."),
            lambda p: p.beta**2 / (2 * p.sigma_2 * p.alpha * (1 - p.alpha_bar)) * (p.eps - p.eps_theta) ** 2,
            "Eq. 12",
        ),
    ],
    [
        Slip(
            "ERR-38",
            1,
            r"(1/2*\sigma_t^2)\,\|\tilde\mu_t - \mu_\theta\|^2",
            lambda p: p.sigma_2 * (mu_tilde(p) - p.mu_theta) ** 2 / 2,
        ),
        Slip(
            "ERR-47",
            1,
            r"\frac{1}{2\sigma_t^2}\,\|\tilde\mu_t - \mu_\theta\|",
            lambda p: p.sqrt((mu_tilde(p) - p.mu_theta) ** 2) / (2 * p.sigma_2),
        ),
    ],
    symbols,
)

DERIVATIONS = (MEAN, LOSS)
