r"""Mixtures of Gaussians: the family that diffusion maps into itself, so nothing is approximate (E36, E56-E57, E85, E90).

One component is Gaussian data; components of no width are points: two of them, or the grey levels of a pixel. Seen
through noise, :math:`y = a\,x + \sqrt s\,\epsilon`, a mixture is a mixture again, and so is what y says about x: one method,
`given`, is the posterior mean of x_0 (hence the best network and the score) and the true reverse kernel.
"""

import math
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

FEW = 8
"""So many components or coordinates are added one by one (`_sum`)."""


@dataclass(frozen=True, eq=False)
class Mixture:
    r""":math:`\sum_k w_k\,\mathcal N(m_k, U_k \mathrm{diag}(l_k) U_k^\top)` in D dimensions; float64.

    `log_weight` (..., K), `mean` (..., K, D) and `spread` l (..., K, D) may carry a batch, the axes U (K, D, D)
    are shared by it. Entries of `spread` may be 0: then the component has no width along that axis.
    """

    log_weight: Tensor
    mean: Tensor
    axes: Tensor
    spread: Tensor

    @property
    def dims(self) -> int:
        """D."""
        return self.mean.shape[-1]

    @cached_property
    def expectation(self) -> Tensor:
        """The mean, (..., D)."""
        return _sum(self.log_weight.exp()[..., None] * self.mean, -2)

    @cached_property
    def covariance(self) -> Tensor:
        """The covariance, (..., D, D)."""
        within = (self.axes * self.spread[..., None, :]) @ self.axes.mT
        away = self.mean - self.expectation[..., None, :]
        each = within + away[..., :, None] * away[..., None, :]
        return _sum(self.log_weight.exp()[..., None, None] * each, -3)

    @cached_property
    def second_moment(self) -> Tensor:
        r""":math:`E\|x\|^2 / D`, (...)."""
        trace = self.covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (trace + (self.expectation**2).sum(-1)) / self.dims

    def noised(self, a: Tensor | float, s: Tensor | float) -> "Mixture":
        r"""The law of :math:`a\,x + \sqrt s\,\epsilon`."""
        a, s = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(s, dtype=torch.float64)
        return Mixture(self.log_weight, a * self.mean, self.axes, a**2 * self.spread + s)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density at x (batch, D), nats, (batch,); of no use where a component has no width."""
        return self._log_joint(self._along(x, torch.ones(())), self.spread).logsumexp(-1)

    def given(self, y: Tensor, a: Tensor | float, s: Tensor | float) -> "Mixture":
        r"""What :math:`y = a\,x + \sqrt s\,\epsilon` says about x: q(x|y), one mixture for each row of y (batch, D).

        `a` and `s` are numbers, or (batch,) with one for each row.
        """
        a, s = _column(a), _column(s)
        total = a**2 * self.spread + s
        along = self._along(y, a)
        offset = _turned(a * self.spread / total * along, self.axes)
        return Mixture(
            self._log_weight_given(along, total),
            self.mean + offset,
            self.axes,
            (self.spread * s / total).expand(offset.shape),
        )

    def _log_weight_given(self, along: Tensor, variance: Tensor) -> Tensor:
        """Of each component once y is seen, (batch, K); of a single one there is nothing to ask."""
        if len(self.axes) == 1:
            return torch.zeros_like(along[..., 0])
        log_joint = self._log_joint(along, variance)
        return log_joint - log_joint.logsumexp(-1, keepdim=True)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Independent draws, (count, D)."""
        k = torch.multinomial(self.log_weight.exp(), count, replacement=True, generator=generator)
        z = torch.randn(count, self.dims, generator=generator, dtype=torch.float64)
        return self.mean[k] + torch.einsum("bij,bj->bi", self.axes[k], self.spread[k].sqrt() * z)

    def draw(self, generator: torch.Generator) -> Tensor:
        """One draw from each mixture of the batch, (batch, D)."""
        k = torch.multinomial(self.log_weight.exp(), 1, generator=generator)
        mean, spread = (table.gather(-2, k[..., None].expand(-1, 1, self.dims)) for table in (self.mean, self.spread))
        z = torch.randn(len(k), self.dims, generator=generator, dtype=torch.float64)
        return mean[:, 0] + torch.einsum("bij,bj->bi", self.axes[k[:, 0]], spread[:, 0].sqrt() * z)

    def _along(self, y: Tensor, a: Tensor) -> Tensor:
        """Distance to each component's mean, along its axes: (batch, K, D)."""
        return _turned(y[..., None, :] - a * self.mean, self.axes.mT)

    def _log_joint(self, along: Tensor, variance: Tensor) -> Tensor:
        """Log of weight times likelihood (batch, K), of distances along the axes and the variances there, (batch, K, D)."""
        each = along**2 / variance + variance.log() + math.log(2 * math.pi)
        return self.log_weight - 0.5 * _sum(each, -1)


def _turned(x: Tensor, axes: Tensor) -> Tensor:
    """The rows of x (..., K, D), turned by the axes (K, D, D); on a line that is a sign."""
    return x * axes[..., 0] if axes.shape[-1] == 1 else torch.einsum("kij,...kj->...ki", axes, x)


def _sum(x: Tensor, dim: int) -> Tensor:
    """Over components or coordinates: of a few, adding them one by one takes a fraction of the time of torch's own sum."""
    return reduce(torch.add, x.unbind(dim)) if 0 < x.shape[dim] <= FEW else x.sum(dim)


def _column(value: Tensor | float) -> Tensor:
    """A number, or (batch,) as (batch, 1, 1)."""
    value = torch.as_tensor(value, dtype=torch.float64)
    return value.reshape(-1, 1, 1) if value.ndim else value


def mixture(weights: Tensor, means: Tensor, covariances: Tensor) -> Mixture:
    """From weights (K,), means (K, D) and covariances (K, D, D); weights are normalised.

    Raises:
        ValueError: a weight is not positive, or a covariance is not symmetric and positive semidefinite.
    """
    weights, means, covariances = (torch.as_tensor(x, dtype=torch.float64) for x in (weights, means, covariances))
    if not bool((weights > 0).all()):
        raise ValueError(f"weights must be positive: {weights.tolist()}")
    spread, axes = torch.linalg.eigh(covariances)
    if not torch.allclose(covariances, covariances.mT) or float(spread.min()) < -1e-12 * float(spread.abs().max()):
        raise ValueError("covariances must be symmetric and positive semidefinite")
    return Mixture((weights / weights.sum()).log(), means, axes, spread.clamp(min=0))


def gaussian(v: float) -> Mixture:
    """N(0, v) in one dimension: N(0, vI) where it is applied to every coordinate (E85)."""
    return mixture(torch.ones(1), torch.zeros(1, 1), torch.full((1, 1, 1), v, dtype=torch.float64))


def points(values: Tensor, weights: Tensor) -> Mixture:
    """Points (K, D) with given probabilities: nothing but them is ever seen (E90)."""
    count, dims = values.shape
    return mixture(weights, values, torch.zeros(count, dims, dims))


def two_points() -> Mixture:
    """-1 or +1, with equal probability (E57, E90)."""
    return points(torch.tensor([[-1.0], [1.0]]), torch.ones(2))


def grey_levels(probabilities: Tensor) -> Mixture:
    """A pixel: level k of L, at 2k/(L-1) - 1, with the probabilities given (L,)."""
    levels = len(probabilities)
    return points(torch.arange(levels, dtype=torch.float64)[:, None] * 2 / (levels - 1) - 1, probabilities)
