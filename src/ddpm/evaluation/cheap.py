r"""The bound from a few evaluations of the network for each image: unbiased, with a standard error that holds.

t comes from a proposal near the root mean square of L_{t-1}, which a small pilot finds, and is spread evenly over each
image and each block of images. Two independent halves on the same images say how far off the whole is (Owen 2013,
ch. 8-10). All is a function of weights, data and seed: nothing is carried from one call to the next.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, labels_at
from ddpm.diffusion.bound import prior, term
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import not_finite
from ddpm.evaluation.proposal import Proposal, broad, proposal, systematic
from ddpm.evaluation.rate import batches_of, images_of, in_float64
from ddpm.parallel.world import ALONE, World
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch, Noise, PerImage, Times, mean_flat

BLOCKS = 64
"""Parts of the data that are independent of each other: the degrees of freedom of the standard error."""
PILOT_SHARE, PILOT_LEAST, PILOT_MOST = 16, 32, 256
"""One evaluation for the pilot in so many, but not fewer or more than these."""


@dataclass(frozen=True)
class Target:
    """What is estimated: a sum over t = 1..T of which every term is an expectation over noise, for each image.

    `prior` needs no network; `term` (x_0, t, eps, rows of the data) calls `networks` of them once. Both give nats, (batch,).
    """

    T: int
    networks: int
    prior: Callable[[ImageBatch], PerImage]
    term: Callable[[ImageBatch, Times, ImageBatch, Tensor], PerImage]


def bound_of(p: ReverseProcess, labels: Labels = None) -> Target:
    """The bound: L_T before all, then L_{t-1} for each t (Eq. 5); given `labels` (N,) of the data, if any."""
    wide = replace(p, network=in_float64(p.network))

    def nats(x_0: ImageBatch, t: Times, eps: ImageBatch, rows: Tensor) -> PerImage:
        return term(wide.given(labels_at(labels, rows, x_0.device)), x_0, wide.q.sample(x_0, t, eps), t)[0]

    return Target(p.schedule.T, 1, lambda x_0: prior(p.q, x_0), nats)


def difference_of(p: ReverseProcess, other: ReverseProcess, labels: Labels = None) -> Target:
    """The bound of `other` less that of `p`, both at the same image, t and noise: what they share cancels.

    Raises:
        ValueError: their chains differ in length.
    """
    if p.schedule.T != other.schedule.T:
        raise ValueError(f"chains of {p.schedule.T} and {other.schedule.T} steps have no t in common")
    a, b = bound_of(p, labels), bound_of(other, labels)
    return Target(
        a.T,
        2,
        lambda x_0: b.prior(x_0) - a.prior(x_0),
        lambda x_0, t, eps, rows: b.term(x_0, t, eps, rows) - a.term(x_0, t, eps, rows),
    )


def watched(target: Target, told: Callable[[int], object]) -> Target:
    """The same, telling of how many images it found a term, each time: together it will be `planned`."""

    def found(x_0: ImageBatch, t: Times, eps: ImageBatch, rows: Tensor) -> PerImage:
        nats = target.term(x_0, t, eps, rows)
        told(len(x_0))
        return nats

    return replace(target, term=found)


def planned(images: int, evaluations: int, batch_size: int, device: torch.device, world: World = ALONE) -> int:
    """Of how many images this process of a `world` finds a term, all draws and those of the pilot counted."""
    rounds = ((images, evaluations), _pilot_of(images, evaluations))
    return sum(len(part) * draws for count, draws in rounds for part in _shared(count, batch_size, device, world))


def _shared(images: int, batch_size: int, device: torch.device, world: World) -> Sequence[Tensor]:
    """The batches of this process, by their rows."""
    return batches_of(images, batch_size, device)[world.rank :: world.size]


@dataclass(frozen=True)
class Estimate:
    """An unbiased estimate of the mean over `images` images of `dims` coordinates, in bits/dim.

    `monte_carlo` is its standard error as an estimate for these very images: the choice of t and the noise. `stderr` adds
    the choice of the images: the error as an estimate for all images like these (of one image it adds nothing: that
    cannot be known). `evaluations` are of the network, for a single image each, those of the pilot included.
    """

    images: int
    dims: int
    total: float
    stderr: float
    monte_carlo: float
    evaluations: int


def fresh(noise: Noise) -> Noise:
    """New noise for each evaluation."""
    return noise


def antithetic(noise: Noise) -> Noise:
    """Every second evaluation of an image gets the noise of the one before with its sign turned.

    It helps where the terms are more odd in the noise than even, which those of a trained network are not
    (benchmarks/results/cheap_bound.json).
    """
    last: list[Tensor] = []

    def paired(like: Tensor) -> Tensor:
        if last:
            return -last.pop()
        last.append(noise(like))
        return last[0]

    return paired


PAIRINGS: Mapping[str, Callable[[Noise], Noise]] = {"fresh": fresh, "antithetic": antithetic}


@dataclass(frozen=True)
class _Evaluator:
    """The terms of some images at some t. Noise depends on seed, purpose and image alone."""

    target: Target
    data: ImageSet
    seed: int
    batch_size: int
    device: torch.device
    pairing: str
    world: World

    def __call__(self, purpose: str, rows: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        r"""Nats and :math:`\|\epsilon\|^2/D - 1` at `t` (images, draws), both of its shape."""
        nats, radius = torch.zeros(2, *t.shape, dtype=torch.float64)
        for part in _shared(len(rows), self.batch_size, self.device, self.world):
            x_0 = images_of(self.data, rows[part], self.device)
            noise = NoiseForEach([generator(self.seed, purpose, int(row)) for row in rows[part]])
            draw = PAIRINGS[self.pairing](noise)
            for j in range(t.shape[1]):
                eps = draw(x_0)
                nats[part, j] = self.target.term(x_0, t[part, j].to(self.device), eps, rows[part]).cpu().double()
                if (odd := nats[part, j].isnan()).any():
                    raise not_finite(int(t[part, j][odd][0]))
                radius[part, j] = mean_flat(eps**2).cpu().double() - 1
        return self.world.sum(nats), self.world.sum(radius)

    def prior(self) -> PerImage:
        """What costs no evaluation, nats for each image."""
        parts = batches_of(len(self.data), self.batch_size, self.device)
        return torch.cat([self.target.prior(images_of(self.data, rows, self.device)).cpu().double() for rows in parts])


def estimate(
    target: Target,
    data: ImageSet,
    seed: int,
    evaluations: int,
    batch_size: int,
    device: torch.device,
    pairing: str = "fresh",
    world: World = ALONE,
) -> Estimate:
    """`target` from `evaluations` >= 2 draws of (t, noise) for each image, and a pilot of one in 16 more.

    The processes of a `world` share the batches, and all get the result that one alone would get, to the bit.

    Every image is used equally often; the batch size changes nothing. An even number of evaluations is used best: two halves
    of the same size weigh the same. The same seed gives the same places in the proposal
    and the same noise: of two networks, or one at two times, that is less noise in the difference.

    Raises:
        Diverged: what the network gives is not finite.
        ValueError: fewer than two evaluations: they could not be held against each other.
    """
    if evaluations < 2:
        raise ValueError(f"an estimate and its error need 2 evaluations for each image, not {evaluations}")
    evaluator = _Evaluator(target, data, seed, batch_size, device, pairing, world)
    known, spent = _pilot(evaluator, evaluations)
    blocks = torch.randperm(len(data), generator=generator(seed, "blocks")).tensor_split(min(BLOCKS, len(data)))
    halves = []
    for name, draws in (("first", evaluations - evaluations // 2), ("second", evaluations // 2)):
        t = torch.zeros(len(data), draws, dtype=torch.int64)
        for i, block in enumerate(blocks):
            t[block] = systematic(known.q, len(block), draws, generator(seed, name, "t", i))
        nats, radius = evaluator(name, torch.arange(len(data)), t)
        surprise = nats - known.level[t] - known.slope[t] * radius
        halves.append(known.level.sum() + (surprise / known.q[t]).mean(1))
    dims = math.prod(data.shape)
    first, second = (torch.stack(halves) + evaluator.prior()) / (dims * math.log(2))
    spent = target.networks * (spent + len(data) * evaluations)
    return _estimate(first, second, blocks, dims, spent)


def _estimate(first: PerImage, second: PerImage, blocks: tuple[Tensor, ...], dims: int, evaluations: int) -> Estimate:
    r"""The mean of two halves that are independent given the images, and unbiased estimates of its two variances.

    In a block the halves differ by D with E D = 0 and E D^2 the sum of their variances, that is four times the variance of
    their mean; their covariance over the images is the variance between images.
    """
    N = len(first)
    off = torch.stack([(first - second)[block].sum() for block in blocks]) / (2 * N)
    monte_carlo = float((off**2).sum())
    between = float(torch.cov(torch.stack([first, second]))[0, 1]) if N > 1 else 0.0
    total = float(((first + second) / 2).mean())
    return Estimate(N, dims, total, math.sqrt(max(between, 0) / N + monte_carlo), math.sqrt(monte_carlo), evaluations)


def _pilot_of(images: int, evaluations: int) -> tuple[int, int]:
    """Of how many images the pilot is, and of how many evaluations of each, before `evaluations` of each of `images`."""
    size = min(max(images * evaluations // PILOT_SHARE, PILOT_LEAST), PILOT_MOST)
    used = min(size, images)
    return used, size // used


def _pilot(evaluator: _Evaluator, evaluations: int) -> tuple[Proposal, int]:
    """A proposal from a few evaluations that are used for nothing else, and how many they were for each network."""
    images, draws = _pilot_of(len(evaluator.data), evaluations)
    random = generator(evaluator.seed, "pilot", "t")
    rows = torch.randperm(len(evaluator.data), generator=random)[:images]
    t = systematic(broad(evaluator.target.T), images, draws, random)
    nats, radius = evaluator("pilot", rows, t)
    return proposal(evaluator.target.T, t.flatten(), nats.flatten(), radius.flatten()), t.numel()
