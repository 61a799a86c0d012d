"""Which t to measure a sum over t at: near the root mean square of its terms, as a small pilot finds them, and evenly spread."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.tensors import PerStep

DEFENSIVE = 0.05
"""The part of the proposal that is the pilot's: no t is rarer than this allows (Owen & Zhou 2000)."""


@dataclass(frozen=True)
class Proposal:
    r"""How t is drawn, and what is expected of a term beforehand.

    `q[t]` for t = 1..T sums to 1 (`q[0]` = 0). A term is expected to be :math:`level_t + slope_t(\|\epsilon\|^2/D - 1)`, of
    which the mean is known without a network: only what is left is estimated, so a wrong guess costs variance, not bias.
    """

    q: PerStep
    level: PerStep
    slope: PerStep


def systematic(q: PerStep, images: int, draws: int, random: torch.Generator) -> Tensor:
    """Draws from q, (images, draws): one in each `draws`-th part of q for every image, and all evenly spread over q.

    One random shift, one random order of the images: whatever depends on the image alone or on t alone adds no variance,
    but for what the spacing leaves.
    """
    place = torch.randperm(images, generator=random) + torch.rand((), generator=random, dtype=torch.float64)
    points = (place[:, None] / images + torch.arange(draws)) / draws
    return torch.searchsorted(q.cumsum(0), points, right=True).clamp(1, len(q) - 1)


def broad(T: int) -> PerStep:
    """The pilot's proposal: a quarter for t = 1, the rest half evenly in t and half evenly in its logarithm."""
    t = torch.arange(2, T + 1, dtype=torch.float64)
    rest = 0.5 / max(T - 1, 1) + 0.5 / t / (1 / t).sum()
    return torch.cat([torch.tensor([0.0, 0.25 if T > 1 else 1.0], dtype=torch.float64), 0.75 * rest])


def proposal(T: int, t: Tensor, nats: Tensor, radius: Tensor) -> Proposal:
    """From the pilot's terms, (values,) each: q by the size of the terms, the share of t = 1 by Neyman's rule.

    L_0 is of another nature than the divergences, so it shares with them as a stratum does: by the standard deviations of
    L_0 and of what the others add up to. The slope is a regression, drawn towards 0 where the values are few.
    """
    start, curve, first = broad(T), _curve(T, t, nats), t == 1
    if T == 1 or not bool((curve[1:] > 0).all()):
        return Proposal(start, torch.zeros_like(start), torch.zeros_like(start))
    weight, relative = curve[t] / start[t], nats / curve[t]
    sizes = torch.stack([curve[1], curve[2:].sum()])
    scatter = sizes * torch.stack([_std(relative[part], weight[part]) for part in (first, ~first)])
    by_size = sizes / sizes.sum()
    share = (scatter / scatter.sum()).clamp(min=by_size / 2) if float(scatter.sum()) > 0 else by_size
    share = share / share.sum()
    q = torch.cat([share.new_zeros(1), share[:1], share[1] * curve[2:] / sizes[1]])
    q = (1 - DEFENSIVE) * q + DEFENSIVE * start
    level = (weight * relative).sum() / weight.sum()
    slope = (weight * radius * (relative - level)).sum() / (weight * radius**2).sum() / (1 + 10 / len(t))
    return Proposal(q / q.sum(), level * curve, slope * curve)


def _std(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight / weight.sum()
    return (weight * (values - (weight * values).sum()) ** 2).sum().sqrt()


def _curve(T: int, t: Tensor, nats: Tensor) -> PerStep:
    """The size of the terms at t = 1..T: at 1 as found; after it a local line through their logarithms; 0 at 0.

    The scale is the one on which the pilot is uniform: on it the curves of all schedules are smooth.
    """
    first, place = t == 1, broad(T).cumsum(0)
    at_1 = (nats[first] ** 2).mean().sqrt()[None]
    least = 1e-6 * nats.abs().max()
    x = place[t[~first]] - place[2:, None]
    line = local_line(x, nats[~first].abs().clamp(min=least).log(), 0.5 / math.sqrt(len(t)))
    return torch.cat([torch.zeros(1, dtype=torch.float64), at_1, line.exp()])


def local_line(x: Tensor, y: Tensor, width: float) -> Tensor:
    """At 0, the line that fits y best where x is small: x is (places, values), y (values,); (places,)."""
    weight = (-0.5 * (x / width) ** 2).softmax(1)
    mean_x, mean_y = (weight * x).sum(1, keepdim=True), (weight * y).sum(1, keepdim=True)
    spread = (weight * (x - mean_x) ** 2).sum(1) + 1e-3 * width**2
    slope = (weight * (x - mean_x) * (y - mean_y)).sum(1) / spread
    return mean_y[:, 0] - slope * mean_x[:, 0]
