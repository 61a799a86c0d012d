r"""Muon (Jordan et al. 2024): matrices take steps in which no direction counts more than another; for all else, Adam.

Adam scales each weight by itself. A gradient's matrix usually has a few large singular values, so that most directions in it
hardly move; Muon takes the nearest orthogonal matrix in its place, whose singular values are all 1. The small networks here
need fewer steps so, of some hundreds or more (docs/explanation/digits.rst).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddpm.parallel.world import full, meant_for
from ddpm.training.adam import MOMENTS, Adam

MOMENTUM = 0.95
DECAY = 0.3
"""Each step also takes this share of the learning rate from a matrix: few images are learned by heart later."""
RMS = 0.2
"""Of a step, in units of the learning rate: about Adam's, so that a learning rate means the same for both (Liu et al. 2025)."""
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Takes a singular value s to a s + b s^3 + c s^5: five times, and all from 0.002 to 1 lie in 0.68..1.21 (Jordan et al. 2024)."""
ITERATIONS = (2, 3)
"""Five in all; from the matrix anew after two: what rounding adds to a product of it with itself grows twelvefold in each."""
SMALLEST = 1e-7
"""A matrix is divided by its norm, or by this if that is smaller: so a weight that has no gradient any more comes to rest."""
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Muon(Adam):
    r"""Orthogonalised momentum for some parameters, Adam for the others.

    With :math:`M \leftarrow \mu M + (1-\mu)\, g` and :math:`\mu M + (1-\mu)\, g = U S V^T` as a matrix of R rows (a kernel's outputs)
    and C columns (all its inputs), the step is :math:`\theta \leftarrow (1 - 0.3\,\eta)\,\theta - 0.2\,\eta \sqrt{\max(R, C)}\, U V^T`.
    A checkpoint calls M `exp_avg`, as Adam's first moment, which it is. (`torch.optim.Muon` takes no kernels.)

    Args:
        matrices: parameters of two or more dimensions, each once; the first dimension is the outputs.
        others: parameters that Adam updates.
        lr: the learning rate of both.
    """

    def __init__(self, matrices: Iterable[Tensor], others: Iterable[Tensor], lr: float) -> None:
        groups = [{"params": list(matrices), "momentum": MOMENTUM, "weight_decay": DECAY}, {"params": list(others)}]
        super().__init__((group for group in groups if group["params"]), lr)

    def moments(self, parameter: Tensor) -> tuple[str, ...]:
        """Of a matrix the average of the gradient, of others Adam's two."""
        matrices = (one for group in self.param_groups if "momentum" in group for one in group["params"])
        return MOMENTS[:1] if any(parameter is one for one in matrices) else MOMENTS

    def _step(self, gradients: Mapping[Tensor, Tensor], group: Mapping[str, Any]) -> None:
        """Of parameters of one device and type; of those in shards each process makes the whole steps, and takes its part."""
        if "momentum" not in group:
            return super()._step(gradients, group)
        parameters = list(gradients)
        held = [self._remembered(parameter) for parameter in parameters]
        averages, steps = ([each[name] for each in held] for name in ("exp_avg", "step"))
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(averages, list(gradients.values()), 1 - group["momentum"])
        ahead = torch._foreach_lerp(list(gradients.values()), averages, group["momentum"])
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        alike = defaultdict[tuple[int, int], dict[Tensor, Tensor]](dict)
        for parameter, direction in zip(parameters, ahead, strict=True):
            alike[len(direction), direction.numel() // len(direction)][parameter] = direction
        for (rows, columns), directions in alike.items():
            moves = orthogonal(torch.stack([full(one).flatten(1) for one in directions.values()]))
            moves *= RMS * group["lr"] * math.sqrt(max(rows, columns))
            for parameter, move in zip(directions, moves, strict=True):
                parameter.sub_(meant_for(parameter, move.view(parameter.shape)))
        return None


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    r"""Nearly the orthogonal factor :math:`U V^T` of each :math:`U S V^T`, (N, R, C) -> (N, R, C), by Newton-Schulz iterations.

    A step :math:`X \leftarrow (a I + b\, G + c\, G^2) X` needs but :math:`G = X X^T`, of the shorter side, and the next G follows
    from it: so only the product of the steps' polynomials meets the long matrix. Computed in float32, also under autocast. A
    matrix of zeros stays one.
    """
    if matrices_NRC.shape[1] > matrices_NRC.shape[2]:
        return orthogonal(matrices_NRC.mT).mT
    with torch.autocast(matrices_NRC.device.type, enabled=False):
        x_NRC = matrices_NRC.float()
        x_NRC = x_NRC / x_NRC.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST)
        for count in ITERATIONS:
            x_NRC = _polynomial(x_NRC @ x_NRC.mT, count) @ x_NRC
    return x_NRC.to(matrices_NRC.dtype)


def _polynomial(gram_NRR: Tensor, count: int) -> Tensor:
    """What so many iterations multiply X with, from X X^T."""
    a, b, c = POLYNOMIAL
    product_NRR: Tensor | None = None
    for i in range(count):
        factor_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        factor_NRR.diagonal(dim1=1, dim2=2).add_(a)
        product_NRR = factor_NRR if product_NRR is None else factor_NRR @ product_NRR
        if i < count - 1:
            gram_NRR = factor_NRR @ gram_NRR @ factor_NRR
    assert product_NRR is not None
    return product_NRR


def muon(network: nn.Module, lr: float) -> Muon:
    """For the weights of a network's dense layers and convolutions, the first and the last ones too; Adam for all else.

    That is biases, normalisations, embeddings, transposed convolutions, recurrent layers and bare parameters (also the joint
    projection of `nn.MultiheadAttention`, and what torch's parametrizations compute a weight from).
    """
    weights = dict.fromkeys(layer.weight for layer in network.modules() if isinstance(layer, LAYERS))
    matrices = [weight for weight in weights if isinstance(weight, nn.Parameter)]
    known = set(matrices)
    return Muon(matrices, [weight for weight in network.parameters() if weight not in known], lr)
