"""`ddpm demo`: as many steps as fit into a time, found by taking a few."""

import itertools
import statistics
import time
from dataclasses import replace

import torch

from ddpm.data.open import open_source
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.experiment.config import Experiment
from ddpm.run.session import new_state, training_process
from ddpm.training.trainer import train

WARM_UP, TIMED = 5, 15


def fitted_to(experiment: Experiment, budget: float, device: torch.device) -> Experiment:
    """The experiment with as many steps as this machine takes in `budget` seconds; the trial steps are thrown away."""
    images = open_source(experiment.data.source, "train", experiment.data.options())
    experiment = experiment.for_data(images)
    trial = replace(experiment.training, steps=WARM_UP + TIMED)
    state = new_state(experiment, device)
    process = training_process(experiment, state, device)
    steps = train(state, process, OBJECTIVES[experiment.objective], experiment.batches(images), trial)
    times = []
    for _ in steps:
        times.append(time.perf_counter())
    per_step = statistics.median(b - a for a, b in itertools.pairwise(times[WARM_UP - 1 :]))
    return replace(experiment, training=replace(experiment.training, steps=max(20, int(budget / per_step))))
