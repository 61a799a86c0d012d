"""From a model of ours to the folder of a `DDPMPipeline`."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment, ProcessConfig
from ddpm.interop.diffusers import network, scheduler
from ddpm.interop.diffusers.reading import LABEL, NETWORK, WEIGHTS
from ddpm.models.shape import UNetShape
from ddpm.storage import durable, tensorfile
from ddpm.storage.atomic import write_text

VERSION = "0.40.0"
"""Of diffusers, whose configurations these are; later ones read them."""


def write(experiment: Experiment, weights: Mapping[str, Tensor], folder: Path) -> list[str]:
    """Write model_index.json, unet/ and scheduler/ into a folder that is there.

    Args:
        experiment: how the model is read.
        weights: under our names.
        folder: where.

    Returns:
        What does not carry over, a line for each.

    Raises:
        UsageError: diffusers cannot express it; what is named.
        OSError: the disk is full or fails.
    """
    shape = experiment.model
    if not isinstance(shape, UNetShape):
        raise UsageError(f"diffusers' {NETWORK} cannot be this network: it is the one of {shape.kind}")
    channels, height, width = experiment.shape
    outputs = channels * (2 if experiment.process.variance == "learned" else 1)
    unet = network.config_of(shape, channels, outputs, (height, width))
    process = scheduler.config_of(experiment.schedule, experiment.process, experiment.levels)
    layout = network.layout(shape)
    theirs = {name: weights[ours] for ours, name in layout.names(shape, weights).items()}
    if shape.classes:
        (name,) = layout.names(shape, [LABEL]).values()
        theirs[name] = torch.cat([weights[LABEL], torch.zeros_like(weights[LABEL][:1])])
    two_dimensional = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")
    theirs = {name: tensor.flatten(1) if name.endswith(two_dimensional) else tensor for name, tensor in theirs.items()}
    index = {"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", NETWORK]}
    for part, values in (
        ("unet/config.json", {"_class_name": NETWORK, **unet}),
        ("scheduler/scheduler_config.json", process),
        ("model_index.json", index),
    ):
        file = folder / part
        file.parent.mkdir(exist_ok=True)
        write_text(file, json.dumps({"_diffusers_version": VERSION, **values}, indent=2, sort_keys=True) + "\n")
    durable.write(folder / "unet" / WEIGHTS[0], (piece for _, piece in tensorfile.written(theirs)))
    return _lost(experiment)


def _lost(experiment: Experiment) -> list[str]:
    lost = []
    if experiment.model.classes:
        lost.append(
            f"diffusers' DDPMPipeline gives a network no class: call it with class_labels yourself; label "
            f"{len(experiment.classes)} is no class"
        )
    if experiment.levels != 256:
        lost.append(f"the images have {experiment.levels} levels here; diffusers rounds to 256")
    if experiment.process.variance != "learned" or experiment.process.sigma_1 != ProcessConfig.sigma_1:
        lost.append(f"the variance at t = 1, {experiment.process.sigma_1}, which only the bound needs")
    return lost
