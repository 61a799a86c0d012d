r"""What training minimises: L_simple, the weighted loss, the bound itself, and their hybrid (section 3.4, Eq. 12, 14).

Algorithm 1 with any of them is: draw x_0, t ~ Uniform(1..T) and eps; take a gradient step on `objective(p, x_0, t, eps)`.
Each evaluates the network once and returns a number for each image: L_simple per coordinate, the others in nats/dim.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm.diffusion.bound import bits_per_dim, prior, term
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Fixed
from ddpm.tensors import ImageBatch, PerImage, PerStep, Times, at, mean_flat

Objective = Callable[[ReverseProcess, ImageBatch, Times, ImageBatch], PerImage]


def simple(p: ReverseProcess, x_0: ImageBatch, t: Times, eps: ImageBatch) -> PerImage:
    r""":math:`L_{simple} = \|\epsilon - \epsilon_\theta(\sqrt{\bar\alpha_t}x_0 + \sqrt{1-\bar\alpha_t}\epsilon, t)\|^2` (Eq. 14).

    Or the same for what else the network predicts. Mean over coordinates (D2): about 1 for a network that returns 0.
    """
    output, *_ = p.outputs(p.q.sample(x_0, t, eps), t)
    return mean_flat((p.prediction.target(p.schedule, x_0, eps, t) - output) ** 2)


def weighted(p: ReverseProcess, x_0: ImageBatch, t: Times, eps: ImageBatch) -> PerImage:
    r""":math:`T\,w_t\|\epsilon - \epsilon_\theta\|^2` (Eq. 12), in the form for x_0 that serves every prediction (E53).

    In nats/dim; over t its mean is the bound's sum less what no network can change, with Eq. 12 extended to t = 1 (E68).

    Raises:
        TypeError: the variance is learned, so it is no constant weight.
    """
    if not isinstance(p.variance, Fixed):
        raise TypeError(
            f"Eq. 12 needs a fixed variance, not {type(p.variance).__name__}: train the bound or the hybrid"
        )
    reverse, x_0_hat = p(p.q.sample(x_0, t, eps), t)
    weight = at(p.schedule.posterior_x_0, t, x_0) ** 2 / (2 * reverse.var)
    return p.schedule.T * mean_flat(weight * (x_0 - x_0_hat) ** 2)


def variational(p: ReverseProcess, x_0: ImageBatch, t: Times, eps: ImageBatch) -> PerImage:
    r"""The bound: :math:`L_T + T\ell_t,\ \ell_1 = L_0,\ \ell_t = L_{t-1}`, unbiased for uniform t (E41), nats/dim."""
    nats, _ = term(p, x_0, p.q.sample(x_0, t, eps), t)
    return (prior(p.q, x_0) + p.schedule.T * nats) / x_0[0].numel()


@dataclass(frozen=True)
class Hybrid:
    r""":math:`L_{simple} + \lambda L_{vlb}`, the second without gradient to the mean (Nichol & Dhariwal 2021; E54).

    For learned variances: L_simple trains the mean, the bound (here in bits/dim, as published) only the variance.
    """

    weight: float = 0.001

    def __call__(self, p: ReverseProcess, x_0: ImageBatch, t: Times, eps: ImageBatch) -> PerImage:
        """One evaluation of the network serves both."""
        x_t = p.q.sample(x_0, t, eps)
        output, *rest = p.outputs(x_t, t)

        def mean_frozen(*_asked: Tensor) -> Tensor:
            return torch.cat([output.detach(), *rest], dim=1)

        nats, _ = term(replace(p, network=mean_frozen), x_0, x_t, t)
        bound = bits_per_dim(prior(p.q, x_0) + p.schedule.T * nats, x_0[0].numel())
        return mean_flat((p.prediction.target(p.schedule, x_0, eps, t) - output) ** 2) + self.weight * bound


def weights(schedule: Schedule, variance: Fixed) -> PerStep:
    r""":math:`w_t = \beta_t^2 / (2\sigma_t^2\alpha_t(1-\bar\alpha_t))` at index t (Eq. 12; E51, E68); entry 0 has no meaning."""
    table = schedule.beta**2 / (2 * variance.table(schedule) * schedule.alpha * schedule.one_minus_alpha_bar)
    table[0] = 0
    return table


OBJECTIVES: Mapping[str, Objective] = {
    "simple": simple,
    "weighted": weighted,
    "variational": variational,
    "hybrid": Hybrid(),
}
