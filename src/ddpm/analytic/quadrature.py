"""Expectations in one dimension to some twelve digits: what has no closed form is an integral over a line.

The trapezoidal rule on each component of a mixture, ten standard deviations to both sides: its error falls faster than
any power of the spacing for functions as smooth as these.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ddpm.analytic.mixture import Mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.decoder import Decoder
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.variance import Fixed
from ddpm.tensors import PerStep

REACH, NODES = 10.0, 1001


def nodes(law: Mixture) -> tuple[Tensor, Tensor]:
    """Where to evaluate and with which weights: (K, N) each; a component of no width has one node N times.

    Raises:
        ValueError: the mixture is not one-dimensional.
    """
    if law.dims != 1:
        raise ValueError(f"quadrature is for one dimension, not {law.dims}")
    z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    density = torch.exp(-0.5 * z**2)
    places = law.mean + law.spread.sqrt() * z
    return places, law.log_weight.exp()[:, None] * density / density.sum()


def expected(law: Mixture, f: Callable[[Tensor], Tensor]) -> Tensor:
    """E[f(x)] for x of the law; f maps (batch, 1) to (batch,)."""
    places, weights = nodes(law)
    return (weights.flatten() * f(places.reshape(-1, 1))).sum()


def entropy(law: Mixture) -> float:
    """Differential entropy, nats."""
    return -float(expected(law, law.log_prob))


def from_standard(law: Mixture) -> float:
    """D_KL(law || N(0, 1)), nats."""
    return -entropy(law) + 0.5 * float(law.second_moment) + 0.5 * math.log(2 * math.pi)


def mmse(diffused: Diffused) -> PerStep:
    """E Var(x_0|x_t) at t = 0..T: what the best estimate of x_0 is still off by, squared; 0 at t = 0."""
    table = torch.zeros(diffused.schedule.T + 1, dtype=torch.float64)
    for t in diffused.schedule.steps:
        table[t] = expected(diffused.marginal(t), lambda x, t=t: diffused.origin(x, t).covariance[:, 0, 0])
    return table


def entropies(diffused: Diffused) -> PerStep:
    """H(x_t) at t = 0..T, nats, of data with a density."""
    T = diffused.schedule.T
    return torch.tensor([entropy(diffused.marginal(t)) for t in range(T + 1)], dtype=torch.float64)


def kernel_entropy(diffused: Diffused, t: int) -> float:
    """H(x_{t-1}|x_t), nats, for t in 2..T, or t = 1 where x_0 has a density (E46)."""
    return _kernel_entropy(diffused, t, entropy(diffused.marginal(t - 1)), entropy(diffused.marginal(t)))


def _kernel_entropy(diffused: Diffused, t: int, before: float, here: float) -> float:
    """H(x_{t-1}|x_t) = H(x_t|x_{t-1}) + H(x_{t-1}) - H(x_t), nats, of the last two."""
    return 0.5 * math.log(2 * math.pi * math.e * float(diffused.schedule.beta[t])) + before - here


def kernel_from_gaussian(diffused: Diffused, t: int) -> float:
    """E D_KL(q(x_{t-1}|x_t) || the Gaussian of the same mean and variance at each x_t), nats: how far from Gaussian (E36)."""

    def divergence(x_t: Tensor) -> Tensor:
        kernel = diffused.reverse(x_t, t)
        variance = kernel.covariance[:, 0, 0]
        return 0.5 * (2 * math.pi * math.e * variance).log()

    return float(expected(diffused.marginal(t), divergence)) - kernel_entropy(diffused, t)


def excess(diffused: Diffused, variance: Fixed, errors: PerStep, known: PerStep | None = None) -> float:
    """L - H(x_0) by Eq. 16 and 26, nats: D_KL(q(x_T)||p(x_T)) + sum over t of E D_KL(q(x_{t-1}|x_t)||p_theta(x_{t-1}|x_t)).

    For data with a density, a fixed variance and the best mean, whose `errors` are `mmse(diffused)`; `known` are its
    `entropies`, where they are known already.
    """
    schedule, table = diffused.schedule, variance.table(diffused.schedule)
    H = (entropies(diffused) if known is None else known).tolist()
    total = from_standard(diffused.marginal(schedule.T))
    for t in schedule.steps:
        # The cross entropy of the kernel and a Gaussian about its mean, less the kernel's own entropy.
        sigma_2 = table[t]
        spread = schedule.beta_tilde[t] + schedule.posterior_x_0[t] ** 2 * errors[t]
        cross = 0.5 * float(spread / sigma_2 + (2 * math.pi * sigma_2).log())
        total += cross - _kernel_entropy(diffused, t, H[t - 1], H[t])
    return total


def pixel_term(true: Diffused, model: Diffused, decoder: Decoder, sigma_2: float) -> float:
    """L_0 = E[-log p_theta(x_0|x_1)], nats, for true data that are points, the best mean for the model's data, and sigma_1^2."""
    x_1, weights = nodes(true.marginal(1))
    x_0 = true.data.mean.expand(x_1.shape).reshape(-1, 1)
    mean = model.x_0(x_1.reshape(-1, 1), 1)
    nats = -decoder(x_0, Gaussian(mean, torch.full_like(mean, math.log(sigma_2))))
    return float((weights.flatten() * nats.flatten()).sum())


def best_pixel_term(true: Diffused, model: Diffused, decoder: Decoder) -> float:
    """The least `pixel_term` of any sigma_1^2 between 1e-12 and 100, by ternary search on its logarithm."""
    low, high = math.log(1e-12), math.log(100)
    for _ in range(60):
        third = (high - low) / 3
        at_low, at_high = (pixel_term(true, model, decoder, math.exp(s)) for s in (low + third, high - third))
        low, high = (low, high - third) if at_low < at_high else (low + third, high)
    return pixel_term(true, model, decoder, math.exp(low))
