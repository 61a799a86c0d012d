"""A trained model on fewer steps, and with the best variances: for samples and for the bound alike."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ddpm.commands.files import write_json
from ddpm.commands.run import Trained
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_source
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.variance import Optimal
from ddpm.errors import DataError, Failure, NotFound, UsageError, chosen
from ddpm.evaluation.curve import At, curve, errors
from ddpm.sampling.optimal import Curve, best_steps
from ddpm.sampling.timesteps import SPACINGS

OPTIMAL = "optimal"
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

    def of(self, p: ReverseProcess, measured: Curve | None = None) -> ReverseProcess:
        """The process, shorter.

        Raises:
            UsageError: an unknown spacing, more steps than there are, or the best of something without a curve.
        """
        if self.needs_curve and measured is None:
            raise ValueError("the best steps and variances follow from a curve")
        if measured is not None and self.variance == OPTIMAL:
            p = replace(p, variance=Optimal(measured.mse_x_0, p.variance.outputs))
        spaced = SPACINGS.get(self.spacing)
        if self.spacing != OPTIMAL:
            spaced = chosen(SPACINGS, self.spacing, "spacing", OPTIMAL)
        if self.steps in (0, p.schedule.T):
            return p
        try:
            if spaced is None:
                assert measured is not None
                return p.respace(best_steps(p.schedule, measured, self.steps)[0])
            return p.respace(spaced(p.schedule, self.steps))
        except ValueError as error:
            raise UsageError(str(error)) from error


def curve_file(trained: Trained) -> Path:
    """Where the curve of these weights is kept, beside the model."""
    return trained.folder.curves / f"step-{trained.step:09d}-{trained.weights}.json"


def kept_curve(trained: Trained) -> Curve | None:
    """The curve that was measured before for these weights, read this way; None if there is none, or a damaged one."""
    try:
        values = json.loads(curve_file(trained).read_text())
        if values["limit"] != trained.experiment.process.limit or values["images"] != IMAGES:
            return None
        tables = [torch.tensor([0.0, *values[name]], dtype=torch.float64) for name in ("mse_x_0", "first")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(len(table) == trained.process.schedule.T + 1 and bool(table.isfinite().all()) for table in tables)
    return Curve(*tables) if whole and bool((tables[0][1:] > 0).all()) else None


def images_for_curve(trained: Trained) -> ImageSet:
    """The first images that the model was trained on.

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
    return images.take(torch.arange(min(IMAGES, len(images))))


def measured_curve(trained: Trained, watched: Callable[[Iterator[At]], Iterator[At]]) -> Curve:
    """Measure the curve, and keep it beside the model where that can be written; `watched` shows the progress."""
    images = images_for_curve(trained)
    found = curve(watched(errors(trained.process, images, 0, 64, trained.device)), trained.process.schedule.T)
    about = {"limit": trained.experiment.process.limit, "images": IMAGES, "source": trained.experiment.data.source}
    tables = {"mse_x_0": found.mse_x_0[1:].tolist(), "first": found.first[1:].tolist()}
    with suppress(Failure):  # where nothing can be written it is measured again the next time
        write_json(curve_file(trained), about | tables)
    return found
