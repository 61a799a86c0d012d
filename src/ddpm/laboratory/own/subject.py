r"""What is asked: a trained network on real images, and beside it the exact model on the same chain, images and noise.

The exact model is the best network for Gaussian images with the mean and covariance of the training images: all that can be
known without looking beyond pairs of pixels. On real images no linear estimate does better, so a network that does has learned
more than covariances.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from ddpm.analytic.bound import mmse_of_gaussian
from ddpm.analytic.mixture import Mixture, mixture
from ddpm.analytic.process import Diffused
from ddpm.codec.codec import Codec
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Fixed, Optimal
from ddpm.errors import NotFound
from ddpm.evaluation.rate import Bound, images_of, in_float64, measure, summarise
from ddpm.laboratory.answer import Setting
from ddpm.language import Text
from ddpm.sampling.few_steps import FewSteps
from ddpm.tensors import ImageBatch, PerStep
from ddpm.trained.coded import NO_RUN, codec_or_why
from ddpm.trained.labels import told_when_scored
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measured_curve import images_for_curve

BATCH = 64
MANY, PIXELS = 4096, 2**24
"""How many training images the Gaussian is taken from (fewer, where they have more pixels in all), and up to how many coordinates."""

Followed = Callable[[Iterable[Any], int, str], Iterator[Any]]
"""(parts, how many, what is done) -> the parts, with progress."""


def unfollowed(parts: Iterable[Any], _total: int, _label: str) -> Iterator[Any]:
    """Without progress."""
    return iter(parts)


@dataclass(frozen=True, eq=False)
class Found:
    """The bound of the images, and each image's terms (images, T + 2), nats, and squared errors of x_0, at index t."""

    bound: Bound
    nats: Tensor
    mse_x_0: Tensor


@dataclass(frozen=True, eq=False)
class Subject:
    """Two processes on one chain, and the images on which they are asked.

    Args:
        name: of the run, for captions.
        network: p_theta.
        law: the Gaussian of the training images.
        images: what is scored.
        others: other real images: those that the law was taken from.
        labels: (images,) what the network is told of the images.
        seed: of all noise.
        device: where the network is.
        followed: shows the progress of what takes longer.
        codec: opens the codec of the network's run, or says why there is none.
    """

    name: str
    network: ReverseProcess
    law: Mixture
    images: ImageSet
    others: ImageSet
    labels: Labels = None
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    followed: Followed = unfollowed
    codec: Callable[[], Codec | Text] = lambda: NO_RUN

    def __post_init__(self) -> None:
        Setting(self.name, self.schedule)  # refuses chains of which most questions make no sense
        if len(self.images) < 2:
            raise NotFound(f"an error needs at least two images, and there is {len(self.images)}: {self.images.name}")

    @property
    def schedule(self) -> Schedule:
        """Of both."""
        return self.network.schedule

    @property
    def T(self) -> int:
        """Steps of the chain."""
        return self.schedule.T

    @property
    def label(self) -> str:
        """For captions."""
        return f"{self.name}, T = {self.T}"

    @property
    def dims(self) -> int:
        """Coordinates of an image."""
        return self.images.images[:1].numel()

    @cached_property
    def diffused(self) -> Diffused:
        """The law on the chain."""
        return Diffused(self.law, self.schedule)

    @cached_property
    def mmse(self) -> PerStep:
        """The squared error of the exact model on images of its law, in closed form."""
        return mmse_of_gaussian(self.diffused)

    @cached_property
    def exact(self) -> ReverseProcess:
        """The exact model, read as the network is: the same limit and decoder; its variance, or the best one where that is learned."""
        fixed = isinstance(self.network.variance, Fixed) and not isinstance(self.network.variance, Optimal)
        variance = self.network.variance if fixed else Optimal(self.mmse)
        best = self.diffused.process(variance, self.network.prediction, self.network.decoder)

        def on_cpu(x_t: Tensor, timestep: Tensor) -> Tensor:
            return best.network(x_t.cpu(), timestep.cpu()).to(x_t)

        return replace(best, network=on_cpu, limit=self.network.limit)

    @cached_property
    def x_0(self) -> ImageBatch:
        """The images, where the network is."""
        return images_of(self.images, torch.arange(len(self.images)), self.device)

    def of_network(self, repeats: int = 1) -> ReverseProcess:
        """The network between float64 values, told the label of each image, `repeats` times in turn."""
        labels = None if self.labels is None else self.labels.repeat(repeats).to(self.device)
        return replace(self.network, network=in_float64(self.network.network)).given(labels)

    @cached_property
    def by_network(self) -> Found:
        """What the network makes of the images."""
        return self._found(self.network, self.labels, "evaluating the network")

    @cached_property
    def by_exact(self) -> Found:
        """What the exact model makes of them."""
        return self._found(self.exact, None, "evaluating the exact model")

    @property
    def both(self) -> tuple[Found, Found]:
        """The exact model's, then the network's."""
        return self.by_exact, self.by_network

    def _found(self, p: ReverseProcess, labels: Labels, what: str) -> Found:
        batches = -(-len(self.images) // BATCH)
        parts = measure(p, self.images, self.seed, BATCH, self.device, labels)
        measured = list(self.followed(parts, batches * (self.T + 1), what))
        nats, mse = torch.zeros(2, len(self.images), self.T + 2, dtype=torch.float64)
        for one in measured:
            nats[one.rows, one.t], mse[one.rows, one.t] = one.nats, one.mse_x_0
        bound = summarise(measured, self.schedule, len(self.images), self.dims)
        return Found(bound, nats[:, : self.T + 1], mse[:, : self.T + 1])


def subject(  # noqa: D417
    trained: LoadedModel,
    images: ImageSet,
    name: str | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    followed: Followed = unfollowed,
) -> Subject:
    """A trained model as it is asked: on these images, beside the Gaussian of the images that it was trained on.

    Where the training images are gone, the Gaussian is of the images given.

    Args:
        trained: the model, such as ``ddpm.load("runs/demo").loaded``.
        images: those to score.
        steps: of the chain that are used; None for all.

    Raises:
        UsageError: a chain of one step, or of more than there are.
        NotFound: fewer than two images.
        Mismatch: the model knows classes, and the images have none of them.
    """
    p = FewSteps(steps).of(trained.process)
    try:
        others = images_for_curve(trained, max(2, min(MANY, PIXELS // math.prod(images.shape))))
    except NotFound:
        others = images
    _, labels = told_when_scored(trained.experiment, images, None)
    return Subject(
        name or trained.folder.path.name,
        p,
        law_of(others),
        images,
        others,
        labels,
        seed,
        trained.device,
        followed,
        partial(codec_or_why, trained),
    )


def law_of(images: ImageSet) -> Mixture:
    """The Gaussian with the mean and covariance of images; as wide as a level where they do not vary (E85).

    Of images with more than `MANY` coordinates, whose covariance is too large: one Gaussian for every coordinate.
    """
    rows = images_of(images, torch.arange(len(images)), torch.device("cpu")).flatten(1)
    rows = rows if rows.shape[1] <= MANY else rows.reshape(-1, 1)
    mean = rows.mean(0, keepdim=True)
    rounding = (2 / (images.levels - 1)) ** 2 / 12
    covariance = (rows - mean).T @ (rows - mean) / len(rows) + rounding * torch.eye(rows.shape[1], dtype=rows.dtype)
    return mixture(torch.ones(1), mean, covariance[None])


def per_image(values: Tensor) -> tuple[float, float]:
    """Mean and standard error over images."""
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def early(T: int) -> int:
    """The last t of those that are counted as nearly clean, from t = 2 on: a tenth of the chain."""
    return max(2, T // 10)
