# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (torch.special carries no types)
"""Gaussians with independent coordinates: density, divergence, and the mass of an interval, exact in the tails.

Everything is elementwise and in nats. The one thing to know: no formula here subtracts two nearly equal numbers,
so a divergence of 1e-18 nats and the mass of a bin a million standard deviations away both keep their digits.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Gaussian:
    r""":math:`\mathcal N(\text{mean}, e^{\text{log\_var}})`; `log_var` broadcasts against `mean`, -inf is a point mass."""

    mean: Tensor
    log_var: Tensor

    @property
    def var(self) -> Tensor:
        """Variance."""
        return self.log_var.exp()

    def sample(self, noise: Tensor) -> Tensor:
        """``mean + std * noise``, for standard normal `noise`."""
        return torch.addcmul(self.mean, (0.5 * self.log_var).exp(), noise)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density at `x`, elementwise nats."""
        return -0.5 * ((x - self.mean) ** 2 * (-self.log_var).exp() + self.log_var) - LOG_SQRT_2_PI


def kl(q: Gaussian, p: Gaussian) -> Tensor:
    r""":math:`D_{KL}(q\|p) = \tfrac12(e^d - 1 - d + (m_q - m_p)^2 e^{-\ell_p}),\ d = \ell_q - \ell_p`, elementwise nats."""
    return 0.5 * (_expm1_minus(q.log_var - p.log_var) + (q.mean - p.mean) ** 2 * (-p.log_var).exp())


def _expm1_minus(d: Tensor) -> Tensor:
    """``exp(d) - 1 - d``, by its series where the direct difference would cancel."""
    near = d.abs() < 0.01
    s = d.where(near, torch.zeros_like(d))
    series = s**2 / 2 * (1 + s / 3 * (1 + s / 4 * (1 + s / 5 * (1 + s / 6))))
    return torch.where(near, series, torch.expm1(d) - d)


def log_cdf(z: Tensor) -> Tensor:
    r""":math:`\log\Phi(z)`, elementwise, with a gradient that is right in the whole tail.

    `torch.special.log_ndtr` has the same values, but its gradient is 5 % off at z = -1e3 in float32 and 0 at -1e7.
    """
    below = z < 0
    y = (-z).where(below, torch.zeros_like(z))
    tail = -0.5 * y**2 + torch.log(0.5 * torch.special.erfcx(y / math.sqrt(2)))
    bulk = torch.log1p(-_upper_tail(z.where(~below, torch.zeros_like(z))))
    return torch.where(below, tail, bulk)


def _upper_tail(z: Tensor) -> Tensor:
    """1 - Phi(z); `torch.special.ndtr(-z)` would cancel."""
    return 0.5 * torch.special.erfc(z / math.sqrt(2))


def log_mass(centre: Tensor, half: Tensor) -> Tensor:
    r""":math:`\log\int_{c-h}^{c+h}\mathcal N(z; 0, 1)\,dz`, elementwise, for `half` > 0.

    Three regimes, none of which cancels: around the mean one minus the two tails; in the tail the factored form
    :math:`\Phi(u)(1 - e^{d})` with :math:`d = -2ch + \log\frac{\mathrm{erfcx}((c+h)/\sqrt2)}{\mathrm{erfcx}((c-h)/\sqrt2)}`;
    and for a bin far narrower than the standard deviation the density times the width with its second order correction.
    """
    c = centre.abs()
    narrow = half < torch.finfo(half.dtype).eps ** 0.25
    around = (c < half) & ~narrow
    tail = ~around & ~narrow
    return torch.where(
        narrow,
        _narrow_mass(c, half.where(narrow, torch.ones_like(half))),
        torch.where(
            tail,
            _tail_mass(c.where(tail, torch.ones_like(c)), half.where(tail, torch.ones_like(half))),
            _central_mass(c.where(around, torch.zeros_like(c)), half.where(around, torch.ones_like(half))),
        ),
    )


def _central_mass(c: Tensor, h: Tensor) -> Tensor:
    return torch.log1p(-(_upper_tail(h - c) + _upper_tail(h + c)))


def _tail_mass(c: Tensor, h: Tensor) -> Tensor:
    near, far = ((c - h).clamp(min=0) / math.sqrt(2), (c + h) / math.sqrt(2))
    log_ratio = torch.log(torch.special.erfcx(far) / torch.special.erfcx(near))
    return log_cdf(h - c) + torch.log(-torch.expm1(-2 * c * h + log_ratio))


def _narrow_mass(c: Tensor, h: Tensor) -> Tensor:
    r"""Density times width times :math:`\frac{\sinh k}{k}(1 - \tfrac{h^2}2 E[r^2])`, with k = ch and r in [-1, 1] ~ e^{-kr}."""
    k = c * h
    small = k < 0.1
    s, b = k.where(small, torch.zeros_like(k)), k.where(~small, torch.ones_like(k))
    log_sinhc = torch.where(small, s**2 / 6 * (1 - s**2 / 30), b + torch.log(-torch.expm1(-2 * b) / (2 * b)))
    second_moment = torch.where(small, 1 / 3 + 4 * s**2 / 45, 1 - 2 / b * (1 / torch.tanh(b) - 1 / b))
    return -0.5 * c**2 - LOG_SQRT_2_PI + torch.log(2 * h) + log_sinhc - 0.5 * h**2 * second_moment
