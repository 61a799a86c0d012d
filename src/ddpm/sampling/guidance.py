r"""Classifier-free guidance (Ho & Salimans 2022, Eq. 6): what a label changes in the network's answer, taken w times.

.. math:: \tilde\epsilon = \epsilon_\theta(x_t) + w\,(\epsilon_\theta(x_t, c) - \epsilon_\theta(x_t)),

the score of :math:`q(x_t)\,q(c|x_t)^w`: w = 0 is p(x), w = 1 is p(x|c), and more is more typical of c and less varied. The
paper's w is this one less 1. It is a wrapper of the network, so every sampler works with it.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess


@dataclass(frozen=True)
class Guidance:
    """The weight w, and the `interval` of steps (first, last) of the whole chain, both included, in which it is not 1.

    Guidance in the middle of the chain alone keeps more of the variety (Kynkäänniemi et al. 2024). None is all steps. The
    steps are those at which the network was trained, also in a chain that visits a few of them.

    Example:
        >>> import ddpm
        >>> ddpm.Guidance(3.0, interval=(100, 800))
        Guidance(weight=3.0, interval=(100, 800))

    Raises:
        ValueError: the weight is not finite, or the interval is not 1 <= first <= last.
    """

    weight: float = 1.0
    interval: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight):
            raise ValueError(f"the weight of guidance must be finite, got {self.weight}")
        if self.interval and not 1 <= self.interval[0] <= self.interval[1]:
            raise ValueError(f"an interval of guidance is FIRST,LAST with 1 <= FIRST <= LAST, got {self.interval}")


PLAIN = Guidance()


def guided(p: ReverseProcess, label: Int[Tensor, " batch"], guidance: Guidance = PLAIN) -> ReverseProcess:
    r"""p_theta given the labels of a batch, with guidance.

    Epsilon, x_0, v and the mean are affine in one another at fixed x_t and t, :math:`f(\epsilon) = a + b\,\epsilon`, and the
    weights w and 1 - w sum to 1: extrapolating any of them is extrapolating epsilon. What the network says of the variance
    is kept as it is with the label: an extrapolated v would leave the range between the two variances it stands for.

    Two evaluations of the network for a step, made as one of a batch twice as large; one where the weight is 0, is 1, or all
    images are outside the interval. Each image's result is a function of that image alone.

    Args:
        p: the process; its network is called as (x_t, timestep, label), and -1 says nothing.
        label: the class of each image of the batch, (batch,) int64.
        guidance: the weight and its interval.

    Example:
        >>> import ddpm, torch
        >>> shape = ddpm.UNetShape(channels=32, multipliers=(1, 2), classes=10)
        >>> p = ddpm.ReverseProcess(ddpm.UNet(shape), ddpm.linear())
        >>> of_cats = guided(p, torch.tensor([3, 3]), ddpm.Guidance(2.0))
        >>> of_cats.estimate(torch.randn(2, 3, 8, 8), 1000).shape
        torch.Size([2, 3, 8, 8])

    Raises:
        ValueError: the interval goes beyond the whole chain.
    """
    for t in guidance.interval or ():
        p.schedule.whole.check(t)
    if guidance.weight == 1:
        return p.given(label)

    def network(x_t: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        inside = _inside(p, guidance, timestep)
        if guidance.weight == 0:
            return p.network(x_t, timestep, label.masked_fill(inside, -1))
        if guidance.interval and not inside.any():
            return p.network(x_t, timestep, label)
        nothing = torch.full_like(label, -1)
        both = p.network(torch.cat([x_t, x_t]), torch.cat([timestep, timestep]), torch.cat([label, nothing]))
        (told, *rest), (untold, *_) = (half.chunk(1 + p.variance.outputs, dim=1) for half in both.chunk(2))
        more = ((guidance.weight - 1) * inside.to(told)).reshape(-1, *[1] * (told.ndim - 1))
        return torch.cat([told + more * (told - untold), *rest], dim=1)

    return replace(p, network=network).given(label)


def _inside(p: ReverseProcess, guidance: Guidance, timestep: Tensor) -> Tensor:
    """Which images are in the interval, by what the network is told of their steps."""
    if guidance.interval is None:
        return torch.ones_like(timestep, dtype=torch.bool)
    first, last = (float(p.schedule.whole.timestep_map[t]) for t in guidance.interval)
    return (timestep >= first) & (timestep <= last)
