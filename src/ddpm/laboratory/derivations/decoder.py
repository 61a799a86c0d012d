"""Eq. 13: why L_0 integrates a density over a bin, and what that is for one pixel."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from scipy.integrate import quad

from ddpm.diffusion.schedule import Schedule
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.line import Derivation, Line, Slip
from ddpm.seeds import generator


@dataclass(frozen=True)
class Pixel:
    """A pixel x_0 on one of 256 levels, and the decoder's mu = mu_theta(x_1, 1) and sigma; `integral` is of f from a to b."""

    x_0: Any
    mu: Any
    sigma: Any
    integral: Callable[[Callable[[Any], Any], Any, Any], Any]
    sqrt: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    erf: Callable[[Any], Any]
    pi: Any
    half_bin: Any

    def density(self, x: Any) -> Any:  # noqa: ANN401 (a number or an expression)
        """N(x; mu, sigma^2)."""
        return self.exp(-((x - self.mu) ** 2) / (2 * self.sigma**2)) / (self.sigma * self.sqrt(2 * self.pi))

    def Phi(self, z: Any) -> Any:  # noqa: ANN401 (its name in every book)
        """The standard normal's distribution function."""
        return (1 + self.erf(z / self.sqrt(2))) / 2


def _pixel(schedule: Schedule, t: int, x_0: float, seed: int) -> Pixel:
    """The inner level nearest to x_0; mu is off by a draw of half of sigma, and sigma^2 = beta_1."""
    del t  # the last step
    level = min(max(round((x_0 + 1) * 127.5), 1), 254)
    sigma = math.sqrt(float(schedule.beta[1]))
    off = float(torch.randn((), generator=generator(seed, "derivation of the decoder"), dtype=torch.float64))
    centre = level / 127.5 - 1
    return Pixel(
        centre,
        centre + 0.5 * sigma * off,
        sigma,
        lambda f, a, b: quad(f, a, b, epsabs=1e-14, epsrel=1e-12)[0],
        math.sqrt,
        math.exp,
        math.erf,
        math.pi,
        1 / 255,
    )


def _symbols() -> Pixel:
    x_0, mu, x = sympy.symbols("x_0 mu x", real=True)
    sigma = sympy.Symbol("sigma", positive=True)

    def integral(f: Callable[[Any], Any], a: Any, b: Any) -> Any:  # noqa: ANN401
        return sympy.integrate(f(x), (x, a, b))

    return Pixel(x_0, mu, sigma, integral, sympy.sqrt, sympy.exp, sympy.erf, sympy.pi, sympy.Rational(1, 255))


DECODER = Derivation(
    "decoder",
    Text("From density to probability: Eq. 13", "밀도에서 확률로: 식 13"),
    "003 l.48-61",
    Text("p(x_0|x_1) of one pixel, a probability", "픽셀 하나의 p(x_0|x_1), 확률"),
    _pixel,
    [
        Line(
            r"\int_{\delta_-(x_0)}^{\delta_+(x_0)} \mathcal{N}(x;\,\mu_\theta(x_1,1),\,\sigma_1^2)\,dx",
            Text(
                "x_0 is one of 256 levels, so it has a probability, and -log of that is a code length; a density is neither. Each "
                "level owns the reals nearest to it: 2/255 of them, from x_0 - 1/255 to x_0 + 1/255.",
                "x_0는 256개 레벨 가운데 하나이므로 확률이 있고, 그 -log가 부호 길이다. 밀도는 둘 다 아니다. 레벨마다 가장 "
                "가까운 실수들을 가진다. x_0 - 1/255에서 x_0 + 1/255까지, 폭 2/255다.",
            ),
            lambda p: p.integral(p.density, p.x_0 - p.half_bin, p.x_0 + p.half_bin),
            "Eq. 13",
        ),
        Line(
            r"= \Phi\left(\frac{\delta_+(x_0)-\mu_\theta}{\sigma_1}\right)"
            r" - \Phi\left(\frac{\delta_-(x_0)-\mu_\theta}{\sigma_1}\right)",
            Text(
                "The integral of a normal density is a difference of its distribution function. At the ends, -1 and 1, the bins "
                "are open: Phi there is 0 and 1, and so all 256 probabilities add up to 1.",
                "정규분포 밀도의 적분은 분포함수의 차다. 양 끝 -1과 1에서는 구간이 열려 있어 Phi가 0과 1이고, 그래서 256개 확률의 "
                "합이 1이다.",
            ),
            lambda p: p.Phi((p.x_0 + p.half_bin - p.mu) / p.sigma) - p.Phi((p.x_0 - p.half_bin - p.mu) / p.sigma),
        ),
        Line(
            r"= \frac{1}{2}\left(\mathrm{erf}\frac{x_0+1/255-\mu_\theta}{\sigma_1\sqrt{2}}"
            r" - \mathrm{erf}\frac{x_0-1/255-\mu_\theta}{\sigma_1\sqrt{2}}\right)",
            Text(
                "Phi by the error function. (The library computes its logarithm, so that far tails do not become 0.) An image's "
                "probability is the product over its pixels.",
                "Phi를 오차함수로 쓴다. (라이브러리는 먼 꼬리가 0이 되지 않도록 로그로 계산한다.) "
                "이미지의 확률은 픽셀마다의 곱이다.",
            ),
            lambda p: (
                (
                    p.erf((p.x_0 + p.half_bin - p.mu) / (p.sigma * p.sqrt(2)))
                    - p.erf((p.x_0 - p.half_bin - p.mu) / (p.sigma * p.sqrt(2)))
                )
                / 2
            ),
        ),
    ],
    [
        Slip(
            "ERR-59",
            0,
            r"\int_{x_0-1/510}^{x_0+1/510} \mathcal{N}\,dx",
            lambda p: p.integral(p.density, p.x_0 - p.half_bin / 2, p.x_0 + p.half_bin / 2),
        ),
        Slip(
            "ERR-60",
            0,
            r"p(x_0|x_1) \sim \mathcal{N}(x_0;\,\mu_\theta(x_1,1),\,\sigma_1^2)",
            lambda p: p.density(p.x_0),
        ),
    ],
    _symbols,
)

DERIVATIONS = (DECODER,)
