"""Gaussian data one coordinate after another: every conditional, and what is still unknown on the way (section 4.3, E79)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ddpm.analytic.mixture import Mixture


@dataclass(frozen=True, eq=False)
class Ordered:
    """Of each row what was expected of its k-th coordinate once the k - 1 before it were known.

    `mean` (batch, D) and `log_var` (D,) are of the conditionals, in the order; `mse_left` (D + 1,) is the squared error, for
    each of the D coordinates, of the best estimate once 0..D of them are known, averaged over the rows.
    """

    mean: Float64[Tensor, "batch D"]
    log_var: Float64[Tensor, " D"]
    mse_left: Float64[Tensor, " D_plus_1"]


def in_order(law: Mixture, rows: Float64[Tensor, "batch D"], order: Tensor) -> Ordered:
    r"""Conditionals of one Gaussian by its Cholesky factor: :math:`x = m + Lz`, so of k it says :math:`N(x_k - L_{kk}z_k, L_{kk}^2)`.

    A law of one dimension is that of every coordinate, independently.

    Raises:
        ValueError: the law has several components.
    """
    if len(law.log_weight) != 1:
        raise ValueError(f"the conditionals are those of one Gaussian, not of {len(law.log_weight)}")
    D = rows.shape[1]
    x = rows[:, order]
    if law.dims == 1:
        factor = law.covariance[0, 0].sqrt() * torch.eye(D, dtype=rows.dtype)
        mean = law.expectation.expand(D)
    else:
        factor = torch.linalg.cholesky(law.covariance[order][:, order])
        mean = law.expectation[order]
    off = x - mean
    z = torch.linalg.solve_triangular(factor, off.T, upper=False).T
    left = torch.zeros(D + 1, dtype=rows.dtype)
    unknown = off.clone()  # x less its estimate
    for k in range(D):
        left[k] = unknown.square().mean()
        unknown -= z[:, k, None] * factor[:, k]
        unknown[:, : k + 1] = 0
    width = factor.diagonal()
    return Ordered(x - width * z, 2 * width.log(), left)
