"""What a page is about: a trained model, and some images for it; or a run that has no model yet."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import Failure
from ddpm.evaluation.curve import ErrorAt
from ddpm.experiment.config import Experiment
from ddpm.run.folder import RunFolder
from ddpm.run.log import GrowingLog
from ddpm.sampling.optimal import Curve
from ddpm.tensors import ImageBatch
from ddpm.trained.draw import How, drawn, samples_of
from ddpm.trained.evaluate import given_images
from ddpm.trained.model import TrainedModel
from ddpm.trained.training_images import source_of

MOST = 256
"""Images of the data that the pages may look at."""
DRAWN, STEPS = 16, 25
"""So many images are drawn, in so many steps, where there are no data."""
HELD_OUT, GIVEN, SAMPLES = "held out", "given", "samples"
"""Where the images are from: the run's own held-out ones, those of --data, or the model."""


@dataclass(eq=False)
class Subject:
    """A model and its images: x_0 (N, C, H, W) on the model's levels, and the label of each, -1 for none.

    `curve` is the network's error, once somebody asked for it, and `errors` what is measured of it so far; `files` are those of some
    images, by their values.
    """

    model: TrainedModel
    x_0: ImageBatch
    labels: Tensor
    images_are: str
    curve: Curve | None = None
    errors: dict[int, ErrorAt] = field(default_factory=dict)
    files: Mapping[bytes, Any] = field(default_factory=dict)

    def label(self, row: int) -> str | None:
        """The name of an image's class."""
        classes, label = self.model.experiment.classes, int(self.labels[row])
        return classes[label] if 0 <= label < len(classes) else None

    @cached_property
    def name(self) -> str:
        """Of the model."""
        return self.model.loaded.name

    @property
    def step(self) -> int:
        """At which the model was saved."""
        return self.model.step

    @property
    def folder(self) -> RunFolder:
        """Of its run."""
        return self.model.loaded.folder

    @cached_property
    def log(self) -> GrowingLog:
        """Of its run."""
        return GrowingLog(self.folder.metrics)

    def with_model(self, model: TrainedModel) -> "Subject":
        """The same images with a later model of the same run, of which nothing is measured yet; what is of the run stays known."""
        later = replace(self, model=model, curve=None, errors={}, files={})
        vars(later).update({name: vars(self)[name] for name in ("log", "has_training_images") if name in vars(self)})
        return later

    @cached_property
    def has_training_images(self) -> bool:
        """Whether the images that it was trained on can still be read."""
        try:
            open_source(source_of(self.model.loaded, "the images of"), "train", self.model.experiment.data.options())
        except Failure:
            return False
        return True

    @cached_property
    def seconds(self) -> float:
        """Of one call of the network on one image, the fastest of three."""
        p, x, times = self.model.process, torch.zeros(1, *self.model.shape, device=self.model.device), []
        for _ in range(3):
            begun = time.perf_counter()
            with torch.no_grad():
                p.estimate(x, p.schedule.T).cpu()  # waits for a GPU
            times.append(time.perf_counter() - begun)
        return min(times)


@dataclass(eq=False)
class Begun:
    """A run that has no checkpoint yet: its experiment and its log are all that is known."""

    folder: RunFolder
    experiment: Experiment
    step: ClassVar[None] = None

    @property
    def name(self) -> str:
        """Of the run."""
        return str(self.folder.path)

    @cached_property
    def log(self) -> GrowingLog:
        """As far as it is written."""
        return GrowingLog(self.folder.metrics)


def subject_of(model: TrainedModel, data: str | None, tell: Callable[[str], None]) -> Subject:
    """With the images of `data`, or else those that the run held out, or else some that the model draws.

    Args:
        model: the model.
        data: a source of images, as in `ddpm evaluate --data`.
        tell: is told what the images are where they are not the run's own.

    Raises:
        NotFound, DataError, Mismatch: `data` cannot be read, or is of another kind.
    """
    if data is not None:
        return _with(model, given_images(model.loaded, data, "test"), GIVEN)
    try:
        options = model.experiment.data.options()
        images = open_source(source_of(model.loaded, "the images of"), "test", options)
    except Failure as failure:
        tell(f"the images are drawn by the model, as its data cannot be read: {failure}")
        how = How(sampler="dpm-solver", steps=min(STEPS, model.schedule.T), progress=False)
        images = drawn(samples_of(model.loaded, DRAWN, how), "drawing", how)
        return Subject(model, images.tensor, torch.full((len(images),), -1), SAMPLES)
    return _with(model, images, HELD_OUT)


def _with(model: TrainedModel, images: ImageSet, are: str) -> Subject:
    few = images.take(torch.arange(min(MOST, len(images)))).in_memory()
    labels = few.labels if len(few.labels) else torch.full((len(few),), -1)
    return Subject(model, few.scaled(), labels, are)
