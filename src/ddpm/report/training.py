"""RUN/report.html: the page of a run, after training or, with samples and the bound, after a demo."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from ddpm.evaluation.rate import Bound
from ddpm.report import run_page
from ddpm.report.coded import coded
from ddpm.report.copies import copies
from ddpm.report.page import Fact, Figure
from ddpm.run.folder import RunFolder
from ddpm.run.log import read_metrics
from ddpm.sampling.images import Frame, evenly
from ddpm.storage.atomic import write_text
from ddpm.tensors import ImageBatch
from ddpm.trained.schedules import of_run

FILM_IMAGES, FILM_MOMENTS = 5, 11


def report_training(folder: RunFolder, language: str = "en") -> Path:
    """What there is to see after training: the last grid of samples, the curves and the schedule; in one of `LANGUAGES`."""
    grids = sorted(folder.samples.glob("step-*.png"))
    sections: list[Figure] = []
    if grids:
        with Image.open(grids[-1]) as image:
            sections.append(run_page.preview(image.convert("RGB"), folder.read_experiment().classes, language))
    return _write(folder, run_page.estimated_bits(read_metrics(folder.metrics), language), sections, [], language)


def report_demo(
    folder: RunFolder, drawn: ImageBatch, frames: Sequence[Frame], moving: Path, bound: Bound, language: str = "en"
) -> Path:
    """The whole page."""
    levels = folder.read_experiment().levels
    pictures = [run_page.samples(drawn, moving, levels, language), run_page.film(_filmstrip(frames), levels, language)]
    return _write(folder, run_page.exact_bits(bound, language), pictures, run_page.bits(bound, language), language)


def _write(folder: RunFolder, bits: Fact, before: Sequence[Figure], after: Sequence[Figure], language: str) -> Path:
    experiment, rows = folder.read_experiment(), read_metrics(folder.metrics)
    schedule = of_run(str(folder.path), experiment)
    learned = [run_page.learning(experiment, rows, language)] if rows else []
    sections = [
        *before,
        *learned,
        *after,
        *coded(folder, language),
        *copies(folder, language),
        run_page.schedule(schedule, experiment.schedule.name, language),
    ]
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in experiment.network().parameters())
    write_text(folder.report, run_page.run_page(experiment, parameters, rows, bits, sections, language))
    return folder.report


def _filmstrip(frames: Sequence[Frame]) -> run_page.Filmstrip:
    """A few moments of a few chains, evenly spaced."""
    chosen = [frames[i] for i in evenly(len(frames), FILM_MOMENTS)]
    return run_page.Filmstrip(
        [frame.t for frame in chosen],
        [frame.x[:FILM_IMAGES] for frame in chosen],
        [frame.x_0[:FILM_IMAGES] for frame in chosen],
    )
