"""The error of a trained network at every t, measured once and kept beside the model: for the best steps and variances."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from ddpm.data.imageset import ImageSet
from ddpm.errors import Failure, RunWarning, warn
from ddpm.evaluation.curve import ErrorAt, curve, errors, some_steps
from ddpm.models.precision import FULL
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.optimal import Curve
from ddpm.seeds import generator
from ddpm.storage.atomic import write_json
from ddpm.trained.labels import NONE, OWN
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.training_images import are_same, training_images

TABLES = [field.name for field in fields(Curve)]
IMAGES = 128
"""On how many images of the training data the curve is measured; each counts at every t."""

Watched = Callable[[Iterator[ErrorAt], int], Iterator[ErrorAt]]
"""What shows the progress of a measurement of so many parts."""


def curve_file(trained: LoadedModel, label: str = OWN, *, exact: bool = True) -> Path:
    """Where the curve of these weights is kept, beside the model; of another name where they are not told labels.

    And of another one where it was not measured at every t.
    """
    untold = "-unlabelled" if label == NONE and trained.experiment.model.classes else ""
    some = "" if exact else "-some"
    return trained.folder.curves / f"step-{trained.step:09d}-{trained.weights}{untold}{some}.json"


def _about(trained: LoadedModel) -> dict[str, Any]:
    """What a curve depends on, besides its file's name."""
    experiment = trained.experiment
    return {
        "images": IMAGES,
        "source": experiment.data.source,
        "limit": experiment.process.limit,
        "weights": trained.digest,
    }


def kept_curve(trained: LoadedModel, label: str = OWN, *, exact: bool = False) -> Curve | None:
    """The curve that was measured before for these weights, read this way; None if there is none, or a damaged one.

    The one of every t comes first; only that one will do where `exact` is asked for.
    """
    found = _kept(trained, curve_file(trained, label))
    return found if found or exact else _kept(trained, curve_file(trained, label, exact=False))


def _kept(trained: LoadedModel, file: Path) -> Curve | None:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if any(values[name] != value for name, value in _about(trained).items()):
            return None
        tables = [torch.tensor([0.0, *values[name]], dtype=torch.float64) for name in TABLES]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(len(table) == trained.process.schedule.T + 1 and bool(table.isfinite().all()) for table in tables)
    found = Curve(*tables)
    return found if whole and bool(((found.mse_x_0 > 0) & (found.sigma2_1 > 0))[1:].all()) else None


def images_for_curve(trained: LoadedModel, count: int = IMAGES) -> ImageSet:
    """`count` of the images that the model was trained on, from anywhere among them: a folder is in the order of its classes.

    Warns:
        RunWarning: others lie there now.

    Raises:
        NotFound: the training data are no longer where they were.
        DataError: they are of another kind.
    """
    images = training_images(trained, "the best steps and variances are measured on")
    if not are_same(trained, images):
        warn(f"measured on other images than the model was trained on: {trained.experiment.data.source}", RunWarning)
    return images.take(torch.randperm(len(images), generator=generator(0, "images of the curve"))[:count].sort().values)


def measured_at(trained: LoadedModel, *, exact: bool) -> list[int]:
    """The t at which a curve is measured."""
    schedule = trained.process.schedule
    return list(schedule.steps) if exact else some_steps(schedule)


def measured_curve(trained: LoadedModel, watched: Watched, label: str = OWN, *, exact: bool = False) -> Curve:
    """Measure the curve, and keep it beside the model where that can be written; `watched` shows the progress.

    A model with classes is told the labels, unless `label` is NONE; what guidance makes of it is not measured. It is measured in
    float32 whatever the model's precision: there is one curve for its weights.
    """
    images = images_for_curve(trained)
    labels = None if label == NONE else trained.experiment.labels(images)
    at = measured_at(trained, exact=exact)
    measured = errors(trained.in_precision(FULL).process, images, 0, 64, trained.device, labels, at)
    found = curve(watched(measured, len(at)), trained.process.schedule)
    tables = {name: getattr(found, name)[1:].tolist() for name in TABLES}
    with suppress(Failure):  # where nothing can be written it is measured again the next time
        write_json(curve_file(trained, label, exact=len(at) == trained.process.schedule.T), _about(trained) | tables)
    return found


def on_chain(
    trained: LoadedModel,
    few: FewSteps,
    watched: Watched,
    t: int | None = None,
    label: str = OWN,
) -> LoadedModel:
    """The model on fewer steps, up to t; the curve that the best ones need is measured once and kept beside the model.

    Raises:
        UsageError: there is no such chain.
        NotFound: the curve is needed, and the training data are no longer where they were.
    """
    few.check(trained.process, t)
    measured = None
    if few.needs_curve:
        measured = kept_curve(trained, label, exact=few.exact)
        measured = measured or measured_curve(trained, watched, label, exact=few.exact)
    return replace(trained, process=few.of(trained.process, measured, t))
