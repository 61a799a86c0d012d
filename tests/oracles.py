"""Models of which everything is known: for N(0, v) and for two points, the best denoiser in closed form (E57, E85)."""

from dataclasses import dataclass

import torch

from ddpm.diffusion.decoder import log_density
from ddpm.diffusion.prediction import Epsilon
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, Variance
from ddpm.tensors import at

PUBLISHED = FixedLarge()


@dataclass(frozen=True)
class GaussianData:
    """x_0 ~ N(0, v), every coordinate independent."""

    v: float

    def eps(self, schedule: Schedule):
        """E[eps | x_t], as a network that is told t - 1."""

        def network(x_t, timestep):
            signal = at(schedule.alpha_bar, timestep + 1, x_t)
            noise = at(schedule.one_minus_alpha_bar, timestep + 1, x_t)
            return noise.sqrt() / (signal * self.v + noise) * x_t

        return network

    def process(self, schedule: Schedule, variance: Variance = PUBLISHED) -> ReverseProcess:
        """p_theta with the perfect mean, unclipped, with a density as its decoder."""
        return ReverseProcess(self.eps(schedule), schedule, Epsilon(), variance, unlimited, log_density)

    def mse_x_0(self, schedule: Schedule):
        """E[(x_0 - E[x_0|x_t])^2] for t = 0..T."""
        return self.v * schedule.one_minus_alpha_bar / (1 + schedule.alpha_bar * (self.v - 1))


def two_points(schedule: Schedule):
    """E[eps | x_t] for x_0 = -1 or +1 with equal probability, as a network that is told t - 1."""

    def network(x_t, timestep):
        signal = at(schedule.alpha_bar, timestep + 1, x_t)
        noise = at(schedule.one_minus_alpha_bar, timestep + 1, x_t)
        x_0 = torch.tanh(signal.sqrt() * x_t / noise)
        return (x_t - signal.sqrt() * x_0) / noise.sqrt()

    return network


def rough_network(x_t, timestep):
    """A smooth function of x_t and t that is nobody's best denoiser."""
    scale = 0.7 + 0.2 * torch.cos(timestep.to(x_t) / 50).reshape(-1, *[1] * (x_t.ndim - 1))
    return scale * torch.tanh(x_t) + 0.1 * x_t


def step_by_step(p: ReverseProcess, v: float):
    """The terms of the bound for x_0 ~ N(0, v) under a linear Gaussian `p`, exactly: nats/dim at index t, L_T at 0.

    Everything is read off from `p` itself: the mean of p(x_{t-1}|x_t) is k x_t, and its variance is sigma^2.
    """
    schedule = p.schedule
    one = torch.ones(1, 1, dtype=torch.float64)
    total = torch.zeros(schedule.T + 1, dtype=torch.float64)
    V = torch.ones((), dtype=torch.float64)
    displayed = V
    for t in schedule.steps:
        gaussian, _ = p(one, t)
        k, var = gaussian.mean.squeeze(), gaussian.var.squeeze()
        v_t = 1 + schedule.alpha_bar[t] * (v - 1)
        if t > 1:
            c_0, c_t, tilde = schedule.posterior_x_0[t], schedule.posterior_x_t[t], schedule.beta_tilde[t]
            # mean difference c_0 x_0 + (c_t - k) x_t has this second moment:
            cross = schedule.alpha_bar[t].sqrt() * v
            m = c_0**2 * v + (c_t - k) ** 2 * v_t + 2 * c_0 * (c_t - k) * cross
            total[t] = 0.5 * ((tilde + m) / var - 1 + torch.log(var / tilde))
        else:
            m = v + k**2 * v_t - 2 * k * schedule.alpha_bar[1].sqrt() * v
            total[t] = 0.5 * (m / var + torch.log(2 * torch.pi * var))
        displayed = k**2 * V
        V = displayed + var
    abar = schedule.alpha_bar[-1]
    total[0] = 0.5 * (abar * (v - 1) - torch.log1p(-abar)) if abar > 0 else 0.0
    return total, float(V), float(displayed)
