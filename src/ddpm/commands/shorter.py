"""A trained model on fewer steps, and with the best variances: for samples and for the bound alike."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from ddpm.commands.files import write_json
from ddpm.commands.labels import NONE, OWN
from ddpm.commands.trained import Trained
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_source
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import DataError, Failure, NotFound, UsageError, chosen
from ddpm.evaluation.curve import At, curve, errors
from ddpm.sampling.optimal import Curve, best_steps
from ddpm.sampling.timesteps import SPACINGS, up_to
from ddpm.seeds import generator

OPTIMAL = "optimal"
UNKNOWN = Curve(torch.empty(0), torch.empty(0), torch.empty(0))
TABLES = [field.name for field in fields(Curve)]
IMAGES = 128
"""On how many images of the training data the curve is measured; each counts at every t."""


@dataclass(frozen=True)
class Shorter:
    """Which steps to keep (0: all) and which variance to use ("": the one that it was trained for)."""

    steps: int = 0
    spacing: str = "uniform"
    variance: str = ""

    @property
    def needs_curve(self) -> bool:
        """Whether the model has to be measured first."""
        return OPTIMAL in (self.variance, self.spacing)

    def of(self, p: ReverseProcess, measured: Curve = UNKNOWN, t: int | None = None) -> ReverseProcess:
        """The process, shorter: on `steps` of its T steps, or of those up to `t`, where a chain is to begin, and T.

        Raises:
            UsageError: an unknown spacing, t outside 1..T, or more steps than there are.
        """
        schedule = p.schedule
        top = schedule.T if t is None else t
        if not 1 <= top <= schedule.T:
            raise UsageError(f"--timestep must be in 1..{schedule.T}: {t}")
        if self.variance == OPTIMAL:
            p = replace(p, variance=measured.variance(p.variance.outputs))
        spacings = {**SPACINGS, OPTIMAL: lambda part, count: best_steps(part, measured.below(part.T), count)[0]}
        spaced = chosen(spacings, self.spacing, "spacing")
        if self.steps in (0, top):
            return p
        try:
            kept = up_to(schedule, top, self.steps, spaced)
        except ValueError as error:
            raise UsageError(f"from t = {t} down: {error}" if t is not None else str(error)) from error
        return p.respace(kept if top == schedule.T else [*kept, schedule.T])

    def check(self, p: ReverseProcess, t: int | None = None) -> None:
        """Refuse what `of` would refuse, before a curve is measured.

        Raises:
            UsageError: as `of`.
        """
        some = torch.ones(p.schedule.T + 1, dtype=torch.float64)
        self.of(p, Curve(some, some, some), t)

    def place(self, t: int) -> int:
        """Where t of the whole chain is on the shorter one that `of` makes up to t."""
        return self.steps or t


def curve_file(trained: Trained, label: str = OWN) -> Path:
    """Where the curve of these weights is kept, beside the model; of another name where they are not told labels."""
    untold = "-unlabelled" if label == NONE and trained.experiment.model.classes else ""
    return trained.folder.curves / f"step-{trained.step:09d}-{trained.weights}{untold}.json"


def _about(trained: Trained) -> dict[str, Any]:
    """What a curve depends on, besides its file's name."""
    experiment = trained.experiment
    return {
        "images": IMAGES,
        "source": experiment.data.source,
        "limit": experiment.process.limit,
        "weights": trained.digest,
    }


def kept_curve(trained: Trained, label: str = OWN) -> Curve | None:
    """The curve that was measured before for these weights, read this way; None if there is none, or a damaged one."""
    try:
        values = json.loads(curve_file(trained, label).read_text())
        if any(values[name] != value for name, value in _about(trained).items()):
            return None
        tables = [torch.tensor([0.0, *values[name]], dtype=torch.float64) for name in TABLES]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(len(table) == trained.process.schedule.T + 1 and bool(table.isfinite().all()) for table in tables)
    found = Curve(*tables)
    return found if whole and bool(((found.mse_x_0 > 0) & (found.sigma2_1 > 0))[1:].all()) else None


def images_for_curve(trained: Trained) -> ImageSet:
    """Some of the images that the model was trained on, from anywhere among them: a folder is in the order of its classes.

    Raises:
        NotFound: the training data are no longer where they were.
        DataError: they are not what they were.
    """
    data = trained.experiment.data
    try:
        images = open_source(data.source, "train", data.options())
    except Failure as error:
        raise NotFound(
            f"the best steps and variances are measured on the training data: {error}",
            "--set data.source=SOURCE says where they are now",
        ) from error
    if images.shape != data.shape or images.levels != data.levels:
        raise DataError(f"not the training data: {images.shape} of {images.levels} levels in {data.source!r}")
    return images.take(
        torch.randperm(len(images), generator=generator(0, "images of the curve"))[:IMAGES].sort().values
    )


def measured_curve(trained: Trained, watched: Callable[[Iterator[At]], Iterator[At]], label: str = OWN) -> Curve:
    """Measure the curve, and keep it beside the model where that can be written; `watched` shows the progress.

    A model with classes is told the labels, unless `label` is NONE; what guidance makes of it is not measured.
    """
    images = images_for_curve(trained)
    labels = None if label == NONE else trained.experiment.labels(images)
    measured = errors(trained.process, images, 0, 64, trained.device, labels)
    found = curve(watched(measured), trained.process.schedule.T)
    tables = {name: getattr(found, name)[1:].tolist() for name in TABLES}
    with suppress(Failure):  # where nothing can be written it is measured again the next time
        write_json(curve_file(trained, label), _about(trained) | tables)
    return found
