"""The best denoisers of N(0, v) and of two points, written by hand (E57, E85), and a network that is nobody's best.

`ddpm.analytic` derives the same from mixtures; its own numbers (`linear_chain`) are held to the 60 reference cases.
"""

from dataclasses import dataclass

import torch

from ddpm.diffusion.decoder import log_density
from ddpm.diffusion.prediction import X0, Epsilon
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import Schedule, cosine, linear
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Variance
from ddpm.sampling import SAMPLERS
from ddpm.tensors import at

PUBLISHED = FixedLarge()
GAUSSIAN_SCHEDULES = {
    "linear_1000": linear,
    "cosine_1000": cosine,
    "linear_1_unscaled": lambda: linear(1),
    "linear_2_unscaled": lambda: linear(2),
    "linear_10_unscaled": lambda: linear(10),
}
"""Those of the 60 reference bounds, by the names that the reference gives them."""


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


def correlated(rho: float, v: float, schedule: Schedule) -> ReverseProcess:
    """Two coordinates of variance v and correlation rho: E[x_0|x_t] = a C (a^2 C + s^2 I)^-1 x_t; the small variance."""
    covariance = v * torch.tensor([[1, rho], [rho, 1]], dtype=torch.float64)
    signal, noise = (table[:, None, None] for table in (schedule.alpha_bar, schedule.one_minus_alpha_bar))
    gain = signal.sqrt() * covariance @ torch.linalg.inv(signal * covariance + noise * torch.eye(2))

    def network(x_t, timestep):
        return x_t @ gain[int(timestep[0]) + 1].T

    return ReverseProcess(network, schedule, X0(), FixedSmall(), unlimited, log_density)


def rough_network(x_t, timestep):
    """A smooth function of x_t and t that is nobody's best denoiser."""
    scale = 0.7 + 0.2 * torch.cos(timestep.to(x_t) / 50).reshape(-1, *[1] * (x_t.ndim - 1))
    return scale * torch.tanh(x_t) + 0.1 * x_t


AT_STEPS = [name for name in SAMPLERS if name != "flow"]
"""The samplers that ask the network at steps only: oracles made of tables know no others."""
