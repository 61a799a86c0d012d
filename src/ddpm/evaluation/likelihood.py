"""Likelihoods of a data set beside the bound: with K draws for each image, and by the probability flow; bits/dim.

Every image counts exactly once, and every draw has a generator of its own, so results do not depend on the batch size.
All arithmetic but the network's is float64.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, labels_at
from ddpm.diffusion.bound import bits_per_dim
from ddpm.diffusion.estimators import estimates, importance_weighted
from ddpm.diffusion.flow import basis, nats, rademacher
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.rate import batches_of, images_of, in_float64, stderr, widened
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch

Vectors = Callable[[ImageBatch, int], Tensor]
"""(an image (1, ...), its row) -> the vectors of its trace, as in `ddpm.diffusion.flow.density`."""


@dataclass(frozen=True)
class Scored:
    """Nats that are to be added to these rows, and how often each asked the network for them."""

    rows: Tensor
    nats: Tensor
    evaluations: int


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Bits/dim of each image, in the data's order, and the evaluations of the network that an image took on average."""

    per_image: Tensor
    evaluations: float

    @property
    def total(self) -> float:
        """The mean over images."""
        return float(self.per_image.mean())

    @property
    def stderr(self) -> float:
        """Of the mean over images; 0 for one image, where it cannot be known."""
        return stderr(self.per_image)


def log_ratios(
    p: ReverseProcess,
    data: ImageSet,
    draws: int,
    seed: int,
    batch_size: int,
    device: torch.device,
    labels: Labels = None,
) -> Iterator[Scored]:
    """-log p(x_{0:T})/q(x_{1:T}|x_0) along `draws` chains for each image, part by part; given `labels` (N,), if any.

    Row i * draws + k is draw k of image i. There are T + 1 parts for each batch of rows, one evaluation each but the first.
    """
    wide = replace(p, network=in_float64(p.network))
    for rows in batches_of(len(data) * draws, batch_size, device):
        x_0 = images_of(data, rows // draws, device)
        noise = NoiseForEach([generator(seed, "importance", *divmod(int(row), draws)) for row in rows])
        for t, found in estimates(
            wide.given(labels_at(labels, rows // draws, device)), x_0, "log-ratio", "trajectory", noise
        ):
            yield Scored(rows, found.cpu().double(), int(t <= p.schedule.T))


def weighted(parts: Iterable[Scored], data: ImageSet, draws: int, T: int) -> Likelihood:
    """The importance-weighted bound from what `log_ratios` of T steps yields: -log of the mean weight, for each image.

    Raises:
        ValueError: a part of a draw was left out, or is there twice.
    """
    total, evaluations = _added(parts, len(data) * draws, T + 1)
    found = importance_weighted(-total.reshape(-1, draws))
    return Likelihood(bits_per_dim(found, math.prod(data.shape)), evaluations * draws)


def exact_trace(x: ImageBatch, row: int) -> Tensor:
    """Every direction once: D products with the Jacobian for each evaluation."""
    return basis(x)


def hutchinson(probes: int, seed: int) -> Vectors:
    """Random signs, `probes` for each image: without bias in log p, with more scatter over images."""

    def vectors(x: ImageBatch, row: int) -> Tensor:
        return rademacher(x, probes, generator(seed, "probes", row))

    return vectors


def flow_nats(
    p: ReverseProcess,
    data: ImageSet,
    vectors: Vectors,
    tolerance: float,
    seed: int,
    batch_size: int,
    device: torch.device,
    labels: Labels = None,
) -> Iterator[Scored]:
    """A bound on -log p(x_0) by the probability flow (`ddpm.diffusion.flow.nats`), image by image; `batch_size` copies of it at a time.

    Raises:
        ValueError: the network predicts the posterior mean.
        Diverged: the flow is not finite.
    """
    wide = replace(p, network=widened(p.network))
    for row in range(len(data)):
        x_0 = images_of(data, torch.tensor([row]), device)
        noise = NoiseForEach([generator(seed, "flow", row)])
        given = wide.given(labels_at(labels, torch.tensor([row]), device))
        found, evaluations = nats(given, x_0, vectors(x_0, row), noise, tolerance, batch_size)
        yield Scored(torch.tensor([row]), found.cpu().double(), evaluations)


def by_flow(parts: Iterable[Scored], data: ImageSet) -> Likelihood:
    """Bits/dim from what `flow_nats` yields.

    Raises:
        ValueError: an image was left out, or scored twice.
    """
    total, evaluations = _added(parts, len(data), 1)
    return Likelihood(bits_per_dim(total, math.prod(data.shape)), evaluations)


def _added(parts: Iterable[Scored], rows: int, each: int) -> tuple[Tensor, float]:
    """The sum of the parts of each row, of which there must be so many, and the mean number of evaluations."""
    total, count = torch.zeros(rows, dtype=torch.float64), torch.zeros(rows, dtype=torch.int64)
    evaluations = 0
    for part in parts:
        total[part.rows] += part.nats
        count[part.rows] += 1
        evaluations += part.evaluations * len(part.rows)
    if not rows or not bool((count == each).all()):
        raise ValueError("an image was left out, or scored twice")
    return total, evaluations / rows
