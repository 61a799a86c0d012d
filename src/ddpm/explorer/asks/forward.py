"""Forward and back: an image at any t, what the network makes of it, and what each step costs."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ddpm.data.imageset import to_levels, to_model
from ddpm.diffusion.bound import bits_per_dim, prior, term
from ddpm.explorer.asks.asked import Array, Parameters, Seed, Step
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import NoAsk, array, tensor
from ddpm.explorer.worker import Steps
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch

AT_ONCE, PART = 32, 0.04
"""Images in one call of the network, at most, and seconds that a call may take: others wait for their turn."""
PURPOSE = "explorer"
"""Of the random numbers of a page."""


class Noised(Parameters):
    """An image, a time, and the seed of its noise: the same at every t, so that x_t moves along one path as t is dragged.

    Without `estimate` the network is not asked: a hand that drags may be faster than it.
    """

    x_0: Array
    t: Step
    seed: Seed = 0
    label: int = -1
    estimate: bool = True


class Terms(Parameters):
    """An image, and the seed of its noise: another at every t, as the bound wants it."""

    x_0: Array
    seed: Seed = 0
    label: int = -1


def image(subject: Subject, given: Array, name: str = "x_0") -> ImageBatch:
    """One image of the page, (1, C, H, W) in [-1, 1], put on the model's levels."""
    levels = subject.model.levels
    return to_model(to_levels(tensor(given, name, (1, *subject.model.shape)), levels), levels)


def checked(subject: Subject, t: int, least: int = 0) -> int:
    """A time of the model's chain.

    Raises:
        NoAsk: it is outside.
    """
    if not least <= t <= subject.model.schedule.T:
        raise NoAsk(f"t = {t} is not in {least}..{subject.model.schedule.T}")
    return t


def part_of(subject: Subject) -> int:
    """Images in a call of the network that answers a page in parts."""
    return max(1, min(AT_ONCE, int(PART / subject.seconds)))


def path(x_0: ImageBatch, seed: int) -> ImageBatch:
    """The noise with which an image is dragged along its path."""
    return torch.randn(x_0.shape, generator=generator(seed, PURPOSE))


def label_of(subject: Subject, label: int) -> Tensor | None:
    """What the network is told; None for one that has no classes."""
    classes = len(subject.model.classes)
    return torch.tensor([label if 0 <= label < classes else -1]).to(subject.model.device) if classes else None


def noised(subject: Subject, asked: Noised) -> Steps:
    """x_t of the image, and the network's estimate of x_0 from it."""
    p, x_0 = subject.model.process.given(label_of(subject, asked.label)), image(subject, asked.x_0)
    x_t = p.q.sample(x_0, checked(subject, asked.t), path(x_0, asked.seed)).to(subject.model.device)
    log_snr = float(p.schedule.log_snr[asked.t]) if asked.t else math.inf
    answer = {"t": asked.t, "x_t": array(x_t), "log_snr": log_snr}
    if asked.estimate:
        with torch.no_grad():
            estimate = p.estimate(x_t, asked.t) if asked.t else x_t
        answer |= {"x_0": array(estimate), "rmse": 127.5 * float((estimate.cpu() - x_0).square().mean().sqrt())}
    yield answer


def terms(subject: Subject, asked: Terms) -> Steps:
    """Bits/dim of the terms of the bound (Eq. 5), few t's first: the one of t is L_{t-1}, and L_0 at t = 1."""
    p, x_0 = subject.model.process.given(label_of(subject, asked.label)), image(subject, asked.x_0)
    dims, device = x_0[0].numel(), subject.model.device
    yield {"t": [p.schedule.T + 1], "bits": bits_per_dim(prior(p.q, x_0), dims).tolist()}
    for steps in coarse_first(p.schedule.T, part_of(subject)):
        eps = NoiseForEach([generator(asked.seed, PURPOSE, t) for t in steps])
        same, t = x_0.expand(len(steps), *x_0.shape[1:]), torch.tensor(steps)
        x_t = p.q.sample(same, t, eps(same))
        with torch.no_grad():
            nats, _ = term(p, same.to(device), x_t.to(device), t.to(device))
        yield {"t": steps, "bits": bits_per_dim(nats.cpu(), dims).tolist()}
    yield {"done": True}


def coarse_first(T: int, part: int = AT_ONCE) -> Iterator[list[int]]:
    """Each of 1..T once, `part` at a time: the ends, then some that lie evenly, then those between them."""
    seen = set(ends := sorted({1, 2, T} & set(range(1, T + 1))))
    yield ends  # L_0, which is unlike its neighbours, and the ends of the rest
    stride = 2 ** max(0, math.ceil(math.log2(max(1, T / AT_ONCE))))
    while stride >= 1:
        fresh = [t for t in range(1, T + 1, stride) if t not in seen]
        seen.update(fresh)
        yield from (fresh[i : i + part] for i in range(0, len(fresh), part))
        stride //= 2
