"""Are samples closer to training images than chance? The nearest of them to each, judged by the same of images never seen.

A sample is near in how far it is from the nearest training image in units of the mean over the k nearest (Carlini et al. 2023): a
blurred image is near to all of them, a copy to one alone. How small is suspicious nobody sets by eye: so small that few held-out
images are nearer. If the model does not copy, samples and held-out images of the same classes (`alike`) could be exchanged.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.errors import UsageError
from ddpm.evaluation.images.neighbours import squared

Features = Callable[[Tensor, int], Float[Tensor, "images D"]]
"""Takes integers 0..levels-1 (n, C, H, W) and the number of levels; distances are Euclidean ones of what it gives."""
NEIGHBOURS = 50
"""k, or as many training images as there are."""
RATES = (0.01, 0.05)
"""The share of held-out images that may be suspected: the first for which there are enough of them."""
BLOCK = 2**25
"""Bytes of a block of distances, or of features of training images."""
CONFIDENCE = 0.95
SIGNIFICANT = 0.01
"""Below such a p-value the text says that samples are closer to training images than chance."""
ALIKE = 1e-6
"""Ratios of images drawn from data differ by more."""
FEWEST = 10
"""Training images: of one alone every ratio is 1, and of a few the mean over the nearest says little."""


def pixels(values: Tensor, levels: int) -> Float[Tensor, "images D"]:
    """All pixels, scaled so that a distance is the RMSE on 0..255."""
    return values.flatten(1).double() * (255 / (levels - 1) / math.sqrt(values[0].numel() if len(values) else 1))


@dataclass(frozen=True, eq=False)
class Nearest:
    """Of some images their nearest training images.

    Args:
        rows: of the nearest one, (N,).
        mirrored: whether its mirror image was it, (N,).
        nearest: distances to the k nearest, ascending, (N, k) float64.
    """

    rows: Int[Tensor, " images"]
    mirrored: Bool[Tensor, " images"]
    nearest: Float[Tensor, "images k"]

    @property
    def distance(self) -> Float[Tensor, " images"]:
        """To the nearest, (N,)."""
        return self.nearest[:, 0]

    @property
    def ratio(self) -> Float[Tensor, " images"]:
        """The distance in units of the mean over the k nearest, 0..1: 0 is a copy."""
        return (self.distance / self.nearest.mean(1)).nan_to_num(0.0)

    def take(self, rows: slice) -> "Nearest":
        """Of some of the images."""
        return Nearest(self.rows[rows], self.mirrored[rows], self.nearest[rows])


def search(
    queries: Float[Tensor, "images D"], train: ImageSet, features: Features = pixels, *, mirrors: int = 1
) -> Iterator[Nearest]:
    """Look through the training images, block by block; the last of what it yields is the answer.

    Args:
        queries: features of the images to be judged.
        train: the training images, in memory or in their files.
        features: what distances are of.
        mirrors: 2 where training mirrored images: then each has two places, and the nearer one counts.

    Raises:
        Lost: a training image can no longer be read.
    """
    queries = queries.float().double()  # rounded as the training images are: what is equal is at distance 0
    k = min(NEIGHBOURS, len(train))
    near = torch.full((len(queries), k), torch.inf, dtype=torch.float64)
    rows = torch.zeros(len(queries), k, dtype=torch.int64)
    flipped = torch.zeros(len(queries), k, dtype=torch.bool)
    size = max(1, BLOCK // (8 * max(1, queries.shape[1])))
    for block in torch.arange(len(train)).split(size):
        values = train.images[block].cpu()
        places = [features(values, train.levels).float().double()]
        places += [features(values.flip(-1), train.levels).float().double()] if mirrors == 2 else []
        for part in torch.arange(len(queries)).split(max(1, BLOCK // (8 * len(block)))):
            here, side = torch.stack([squared(queries[part], place) for place in places]).min(0)
            every = torch.cat([near[part], here], 1)
            near[part], at = every.topk(k, largest=False)
            rows[part] = torch.cat([rows[part], block.expand(len(part), -1)], 1).gather(1, at)
            flipped[part] = torch.cat([flipped[part], side == 1], 1).gather(1, at)
        yield Nearest(rows[:, 0], flipped[:, 0], near.sqrt())


def blocks(train: ImageSet, D: int) -> int:
    """How many blocks `search` goes through, for features of D numbers."""
    return math.ceil(len(train) / max(1, BLOCK // (8 * max(1, D))))


def featured(images: ImageSet, features: Features = pixels) -> Float[Tensor, "images D"]:
    """Features of images, read some at a time."""
    size = max(1, BLOCK // (8 * math.prod(images.shape)))
    parts = torch.arange(len(images)).split(size)
    return torch.cat([features(images.images[rows].cpu(), images.levels).float() for rows in parts])


def distinct(images: ImageSet) -> Int[Tensor, " kept"]:
    """Rows of the images without those that are there already, pixel for pixel, in their order.

    A draw of the data that is counted twice weighs twice, and says no more: of thirty equal images no share can be judged.
    """
    size = max(1, BLOCK // (4 * math.prod(images.shape)))
    known: dict[bytes, int] = {}
    for rows in torch.arange(len(images)).split(size):
        values = images.images[rows].cpu().numpy()
        for row, one in zip(rows.tolist(), values, strict=True):
            known.setdefault(hashlib.sha256(one.tobytes()).digest(), row)
    return torch.tensor(list(known.values()), dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Closeness:
    """What was found of samples, beside the same of held-out images.

    Args:
        samples: their nearest training images.
        held_out: those of images that the model never saw.
        training: how many training images there are.
        mirrors: 2 where their mirror images count too.
        rate: which share of held-out images may be suspected.
    """

    samples: Nearest
    held_out: Nearest
    training: int
    mirrors: int
    rate: float

    @property
    def neighbours(self) -> int:
        """K."""
        return self.samples.nearest.shape[1]

    @property
    def rank(self) -> int:
        """The threshold is this smallest of the held-out ratios."""
        return _rank(self.rate, len(self.held_out.rows))

    @property
    def threshold(self) -> float:
        """A sample is suspected whose ratio is below it."""
        return float(self.held_out.ratio.sort().values[self.rank - 1])

    @cached_property
    def suspected(self) -> Bool[Tensor, " samples"]:
        """Which samples are nearer than all but `rate` of held-out images are; ties are none."""
        return self.samples.ratio < self.threshold

    @property
    def count(self) -> int:
        """How many."""
        return int(self.suspected.sum())

    @property
    def expected(self) -> float:
        """How many would be by chance, on average."""
        return len(self.suspected) * self.rank / (len(self.held_out.rows) + 1)

    @property
    def share(self) -> float:
        """Of the samples."""
        return self.count / len(self.suspected)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share of all samples that are below the threshold, 95 % (Clopper and Pearson 1934)."""
        return clopper_pearson(self.count, len(self.suspected))

    @property
    def p_value(self) -> float:
        """The chance of as many or more, if samples are draws of what the held-out images are of.

        Exact for any distribution: of the common order of all, the number of samples below the r-th of m held-out images is
        beta-binomial with r and m + 1 - r. (Where each class has its share on both sides, chance varies less, and this is no
        smaller than the truth.) The tail is summed: one less what is before it would be 0 where it is small.
        """
        n, m = len(self.suspected), len(self.held_out.rows)
        tail = scipy.stats.betabinom.logpmf(np.arange(self.count, n + 1), n, self.rank, m + 1 - self.rank)
        return min(1.0, float(np.exp(scipy.special.logsumexp(tail))))

    @property
    def p_values(self) -> Float[Tensor, " samples"]:
        """For each sample alone: its rank among the held-out images and itself, over how many these are."""
        held_out = self.held_out.ratio.sort().values
        below = torch.searchsorted(held_out, self.samples.ratio, right=True)
        return (below + 1) / (len(held_out) + 1)

    @property
    def closer(self) -> bool:
        """Whether samples are closer to training images than chance explains."""
        return self.p_value < SIGNIFICANT

    def worst(self, count: int) -> Int[Tensor, " count"]:
        """The samples of the smallest ratios, the smallest first."""
        return self.samples.ratio.argsort(stable=True)[:count]


def judged(samples: Nearest, held_out: Nearest, training: int, mirrors: int) -> Closeness:
    """What the distances say.

    Args:
        samples: the nearest training images of each.
        held_out: the same of images that the model never saw.
        training: how many training images there are.
        mirrors: 2 where their mirror images count too.

    Raises:
        UsageError: too few training images, or held-out ones for any rate; or too many of these are among the training images.
    """
    require_training(training)
    found = Closeness(samples, held_out, training, mirrors, rate_for(len(held_out.rows)))
    if found.threshold == 0:
        same = int((held_out.distance == 0).sum())
        raise UsageError(
            f"{same} of {len(held_out.rows)} images that should be held out are among the training images, and cannot be compared "
            "with them",
            "`split=test` takes those that a run does not train on",
        )
    nearest, farthest = held_out.ratio.min(), held_out.ratio.max()
    if farthest - nearest < ALIKE:
        raise UsageError(
            f"all {len(held_out.rows)} held-out images are equally close to the training images ({float(nearest):.3f}): they are no "
            "sample of the data, and say nothing of how close its images are"
        )
    return found


def require_training(images: int) -> None:
    """There are enough training images to be close to one of them and not to the others.

    Raises:
        UsageError: there are fewer than `FEWEST`.
    """
    if images < FEWEST:
        raise UsageError(
            f"being close to one of the training images needs at least {FEWEST} of them, not {images}",
            "so few images are compared with the samples by eye",
        )


def alike(
    held_out: Int[Tensor, " images"], shown: Int[Tensor, " samples"], names: Sequence[str], random: torch.Generator
) -> Int[Tensor, " kept"]:
    """Rows of held-out images among which each class is as frequent as among the samples, to within one image.

    As many as there can be, chosen at random in each class, in their order. Close pairs are frequent in some classes and rare in
    others: with other shares of the classes, samples and held-out images could not be exchanged.

    Args:
        held_out: the class of each held-out image.
        shown: the class of each sample.
        names: of the classes.
        random: chooses.

    Raises:
        UsageError: too few are held out of a class for any rate.
    """
    classes, wanted = shown.unique(return_counts=True)
    there = torch.stack([(held_out == one).sum() for one in classes])
    rarest = int((there / wanted).argmin())
    kept = []
    for one, number in zip(classes.tolist(), wanted.tolist(), strict=True):
        rows = (held_out == one).nonzero()[:, 0]
        count = number * int(there[rarest]) // int(wanted[rarest])
        kept.append(rows[torch.randperm(len(rows), generator=random)[:count]])
    found = torch.cat(kept).sort().values
    if not any(_rank(rate, len(found)) for rate in RATES):
        raise UsageError(
            f"each class must be as frequent among the held-out images as among the samples: {int(there[rarest])} of the "
            f"class {names[int(classes[rarest])]!r} leave {len(found)} to compare with, and at least {_least()} are needed",
            "more images of this class are needed, or another `label`",
        )
    return found


def rate_for(held_out: int) -> float:
    """The first of `RATES` for which there are enough held-out images.

    Raises:
        UsageError: for none.
    """
    for rate in RATES:
        if _rank(rate, held_out):
            return rate
    raise UsageError(
        f"whether a model copies is judged by at least {_least()} held-out images that differ from each other, not {held_out}"
    )


def _least() -> int:
    return math.ceil(1 / RATES[-1]) - 1


def _rank(rate: float, held_out: int) -> int:
    return math.floor(rate * (held_out + 1) + 1e-9)


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a share of which `count` of `of` were found: it covers the truth at least so often."""
    out = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(scipy.stats.beta.ppf(out, count, of - count + 1))
    return low, 1.0 if count == of else float(scipy.stats.beta.ppf(1 - out, count + 1, of - count))
