"""The bound of images under a trained model, in one go (`ddpm evaluate` streams it: `evaluate`)."""

import math

import torch

from ddpm.checks import check_whole
from ddpm.data.imageset import ImageSet
from ddpm.errors import UsageError
from ddpm.evaluation.rate import Bound, measure, moves_of, summarise
from ddpm.figures.progress import followed
from ddpm.sampling.few_steps import FewSteps
from ddpm.trained.draw import on_few
from ddpm.trained.labels import NONE, OWN, label_of, told_when_scored
from ddpm.trained.loaded import LoadedModel


def scored(
    trained: LoadedModel,
    images: ImageSet,
    count: int | None,
    few: FewSteps,
    label: str | int | None,
    seed: int,
    batch_size: int,
    *,
    progress: bool,
) -> Bound:
    """The bound of the first `count` images (None: of all): what `TrainedModel.bits_per_dim` gives.

    Raises:
        UsageError: as that.
        Mismatch: the images have no labels for a model that needs them.
    """
    if count is not None and check_whole("num_images", count, 1) < len(images):
        images = images.take(torch.arange(count))
    if not len(images):
        raise UsageError("there are no images to score")
    experiment = trained.experiment
    named = label if isinstance(label, str | None) else experiment.classes[label_of(experiment, label)]
    _, labels = told_when_scored(experiment, images, named)
    untold = bool(experiment.classes) and labels is None
    p = on_few(trained, few, NONE if untold else OWN, None, progress).process
    measured = measure(p, images, seed, batch_size, trained.device, labels)
    total = moves_of(p.schedule, len(images), batch_size, trained.device)
    with followed(measured, total, "evaluating", progress) as steps_done:
        return summarise(steps_done, p.schedule, len(images), math.prod(images.shape))
