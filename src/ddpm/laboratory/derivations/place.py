"""The quantities of one step of the chain, at one t: as numbers for a schedule, or as symbols."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from ddpm.diffusion.schedule import Schedule
from ddpm.seeds import generator


@dataclass(frozen=True)
class Place:
    """One coordinate at a step t >= 2, as the paper names it.

    `alpha_bar_before` is that of t - 1, `x_before` is x_{t-1}, and `x_before_2` is x_{t-2}; `eps_1` and `eps_2` are the
    noises of the steps t - 1 and t; `eps` is that of the jump from x_0; `sigma_2` the reverse kernel's variance,
    `eps_theta` what a network says. `sqrt`, `log`, `exp` take what the quantities are.
    """

    alpha: Any
    alpha_before: Any
    alpha_bar_before: Any
    x_0: Any
    x_before_2: Any
    x_before: Any
    eps: Any
    eps_1: Any
    eps_2: Any
    eps_theta: Any
    sigma_2: Any
    sqrt: Callable[[Any], Any]
    log: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    pi: Any

    @property
    def beta(self) -> Any:  # noqa: ANN401 (a number or an expression)
        """1 - alpha_t."""
        return 1 - self.alpha

    @property
    def alpha_bar(self) -> Any:  # noqa: ANN401
        """alpha_t alpha_bar_{t-1}."""
        return self.alpha * self.alpha_bar_before

    @property
    def x(self) -> Any:  # noqa: ANN401
        """x_t, by Eq. 4 from x_0 and eps."""
        return self.sqrt(self.alpha_bar) * self.x_0 + self.sqrt(1 - self.alpha_bar) * self.eps

    @property
    def mu_theta(self) -> Any:  # noqa: ANN401
        """The mean of the reverse kernel, by Eq. 11 from eps_theta."""
        return (self.x - self.beta / self.sqrt(1 - self.alpha_bar) * self.eps_theta) / self.sqrt(self.alpha)


def at(schedule: Schedule, t: int, x_0: float, seed: int) -> Place:
    """The numbers of a schedule at t, for a pixel `x_0` and noise drawn with `seed`; the network is off by a tenth."""
    eps, eps_1, eps_2, other = torch.randn(4, generator=generator(seed, "derivation", t), dtype=torch.float64).tolist()
    alpha, before, alpha_bar_before = (
        float(table) for table in (schedule.alpha[t], schedule.alpha[t - 1], schedule.alpha_bar[t - 1])
    )
    two_before = (
        math.sqrt(float(schedule.alpha_bar[t - 2])) * x_0 + math.sqrt(1 - float(schedule.alpha_bar[t - 2])) * other
    )
    return Place(
        alpha=alpha,
        alpha_before=before,
        alpha_bar_before=alpha_bar_before,
        x_0=x_0,
        x_before_2=two_before,
        x_before=math.sqrt(alpha_bar_before) * x_0 + math.sqrt(1 - alpha_bar_before) * other,
        eps=eps,
        eps_1=eps_1,
        eps_2=eps_2,
        eps_theta=0.9 * eps,
        sigma_2=1 - alpha,
        sqrt=math.sqrt,
        log=math.log,
        exp=math.exp,
        pi=math.pi,
    )


def symbols() -> Place:
    """The same as symbols of sympy: everything follows from alpha_t, alpha_bar_{t-1}, x_0, eps and so on."""
    alpha, before, alpha_bar_before, sigma_2 = sympy.symbols(
        "alpha_t alpha_{t-1} alphabar_{t-1} sigma_t^2", positive=True
    )
    names = "x_0 x_{t-2} x_{t-1} epsilon epsilon_1 epsilon_2 epsilon_theta"
    x_0, x_before_2, x_before, eps, eps_1, eps_2, eps_theta = sympy.symbols(names, real=True)
    return Place(
        alpha=alpha,
        alpha_before=before,
        alpha_bar_before=alpha_bar_before,
        x_0=x_0,
        x_before_2=x_before_2,
        x_before=x_before,
        eps=eps,
        eps_1=eps_1,
        eps_2=eps_2,
        eps_theta=eps_theta,
        sigma_2=sigma_2,
        sqrt=sympy.sqrt,
        log=sympy.log,
        exp=sympy.exp,
        pi=sympy.pi,
    )
