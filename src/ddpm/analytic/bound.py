r"""The bound in closed form: exact for the best mean, and for any chain whose means are linear (E45, E47, E53, E85).

For a fixed variance L_{t-1} depends on the network only through its mean squared error, so a table of these is the bound.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.analytic.process import Diffused
from ddpm.diffusion.bound import prior
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Fixed
from ddpm.tensors import PerStep


def terms_from_mse(schedule: Schedule, variance: Fixed, mse_x_0: PerStep, second_moment: float) -> PerStep:
    r"""L_T, L_0, L_1, ..., L_{T-1} at index 0, 1, 2, ..., T, in nats/dim, with a density as the decoder.

    :math:`L_{t-1} = \tfrac12(\frac{\tilde\beta_t + c_t^2 m_t}{\sigma_t^2} - 1 + \log\frac{\sigma_t^2}{\tilde\beta_t})`, where
    m_t = `mse_x_0[t]` is the squared error of the estimate of x_0, c_t is the weight of x_0 in Eq. 7, and
    `second_moment` is E[x_0^2].
    """
    off = schedule.posterior_x_0[1:] ** 2 * mse_x_0[1:]
    return _terms(schedule, variance.table(schedule)[1:], off, second_moment)


def _terms(schedule: Schedule, sigma_2: Tensor, off: Tensor, second_moment: float) -> PerStep:
    """L_T, L_0, L_1 .. in nats/dim (T + 1,), of variances and errors of the mean, `off` = E[(mu-tilde - mu)^2], each (T,) for t = 1..T.

    L_T depends on x_0 only through its square, so on data only through E[x_0^2] (E42).
    """
    value = torch.full((1, 1), math.sqrt(second_moment), dtype=torch.float64)
    tilde = schedule.beta_tilde[2:]
    first = 0.5 * (off[:1] / sigma_2[:1] + (2 * torch.pi * sigma_2[:1]).log())
    later = 0.5 * ((tilde + off[1:]) / sigma_2[1:] - 1 + (sigma_2[1:] / tilde).log())
    return torch.cat([prior(ForwardProcess(schedule), value), first, later])


def mmse_of_gaussian(diffused: Diffused) -> PerStep:
    """E|x_0 - E[x_0|x_t]|^2 for each coordinate at t = 0..T, of data of one component.

    No linear estimate does better on other data of the same mean and covariance.

    Raises:
        ValueError: the data have several components.
    """
    return gaussian_spread(diffused).mean(1)


def gaussian_spread(diffused: Diffused) -> Tensor:
    r""":math:`\mathrm{Var}(x_0|x_t) = l s/(\bar\alpha_t l + s),\ s = 1 - \bar\alpha_t`, along each axis of variance l, (T + 1, axes).

    Raises:
        ValueError: the data have several components.
    """
    if len(diffused.data.log_weight) != 1:
        raise ValueError(f"one component has a closed form, not {len(diffused.data.log_weight)}")
    signal, noise = (table[:, None] for table in (diffused.schedule.alpha_bar, diffused.schedule.one_minus_alpha_bar))
    width = diffused.data.spread.reshape(1, -1)
    return (width * noise / (signal * width + noise)).nan_to_num(0)


def with_pixels(terms: PerStep, nats: float) -> float:
    """The bound of `terms_from_mse` with another L_0, such as that of a decoder with bins; nats/dim."""
    return float(terms[0] + terms[2:].sum()) + nats


@dataclass(frozen=True)
class LinearChain:
    """What a chain of linear Gaussian kernels does with x_0 ~ N(0, v), exactly, for each coordinate.

    `terms` is as in `terms_from_mse`; `model_var` is the variance of p_theta(x_0), `displayed_var` that of the samples that
    Algorithm 2 returns (without noise at t = 1); `nll` = E[-log p_theta(x_0)] in nats.
    """

    v: float
    terms: PerStep
    model_var: float
    displayed_var: float

    @property
    def bound(self) -> float:
        """L, nats/dim."""
        return float(self.terms.sum())

    @property
    def nll(self) -> float:
        """E[-log p_theta(x_0)], nats/dim."""
        return 0.5 * math.log(2 * math.pi * self.model_var) + self.v / (2 * self.model_var)

    @property
    def gap(self) -> float:
        """L - NLL, the price of the variational bound (E19)."""
        return self.bound - self.nll


def linear_chain(p: ReverseProcess, v: float) -> LinearChain:
    """Read off a `p` whose means are k_t x_t in every coordinate, such as that of Gaussian data, what it does with N(0, v)."""
    schedule = p.schedule
    gaussian, _ = p(torch.ones(schedule.T, 1, dtype=torch.float64), torch.arange(1, schedule.T + 1))  # every t at once
    k, var = gaussian.mean[:, 0], gaussian.var.expand_as(gaussian.mean)[:, 0]
    alpha_bar = schedule.alpha_bar[1:]
    c_0, c_t = schedule.posterior_x_0[1:], schedule.posterior_x_t[1:] - k
    v_t, shared = 1 + alpha_bar * (v - 1), alpha_bar.sqrt() * v
    off = c_0**2 * v + c_t**2 * v_t + 2 * c_0 * c_t * shared  # E[(mu-tilde - k x_t)^2]
    model_var = displayed = 1.0
    for slope, added in zip(k.flip(0).tolist(), var.flip(0).tolist(), strict=True):
        displayed = slope**2 * model_var
        model_var = displayed + added
    return LinearChain(v, _terms(schedule, var, off, v), model_var, displayed)
