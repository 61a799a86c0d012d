"""`ddpm demo`: train on the embedded digits for a few minutes, then sample, evaluate and report."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from ddpm.commands.sample import Frame
from ddpm.commands.train import new_state, training_process
from ddpm.data.sources import open_source
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.experiment import Experiment
from ddpm.report.pictures import save_animation, square, to_pictures
from ddpm.report.run_page import Filmstrip
from ddpm.training.trainer import train

WARM_UP, TIMED = 5, 15
FILM_IMAGES, FILM_MOMENTS = 5, 11


def fitted_to(experiment: Experiment, budget: float, device: torch.device) -> Experiment:
    """The experiment with as many steps as this machine takes in `budget` seconds, found by taking a few (thrown away)."""
    images = open_source(experiment.data.source, "train", experiment.data.options())
    experiment = experiment.for_data(images)
    trial = replace(experiment.training, steps=WARM_UP + TIMED)
    state = new_state(experiment, device)
    steps = train(
        state,
        training_process(experiment, state, device),
        OBJECTIVES[experiment.objective],
        experiment.batches(images),
        trial,
    )
    times = [time.perf_counter() for _ in steps]
    per_step = (times[-1] - times[WARM_UP - 1]) / TIMED
    return replace(experiment, training=replace(experiment.training, steps=max(20, int(budget / per_step))))


def filmstrip(frames: list[Frame]) -> Filmstrip:
    """A few moments of a few chains, evenly spaced."""
    chosen = [frames[round(i * (len(frames) - 1) / (FILM_MOMENTS - 1))] for i in range(FILM_MOMENTS)]
    return Filmstrip(
        [frame.t for frame in chosen],
        [frame.x[:FILM_IMAGES] for frame in chosen],
        [frame.x_0[:FILM_IMAGES] for frame in chosen],
    )


def animate(frames: Iterable[Frame], levels: int, path: Path) -> None:
    """The chains as a moving grid."""
    save_animation([square(to_pictures(frame.x, levels)) for frame in frames], path)
