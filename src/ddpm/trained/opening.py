"""A trained model by its name: what every call opens that is given a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ddpm.errors import RunWarning, UsageError, warn
from ddpm.models.precision import FULL
from ddpm.parallel.device import pick_device
from ddpm.trained.loaded import load_run
from ddpm.trained.model import TrainedModel


def load(
    path: str | Path,
    weights: str = "ema",
    device: str | torch.device = "auto",
    settings: Mapping[str, Any] | None = None,
    precision: str = FULL,
) -> TrainedModel:
    """Open a trained model.

    Args:
        path: a run folder (then its newest whole checkpoint is taken), or one of its checkpoints; or a model of another library
            that says all of itself, such as a folder of diffusers, here or on the hub: "hf:OWNER/NAME"; or "ddpm:mnist", a small
            model of MNIST that comes with the package. A folder of such a name is "./ddpm:mnist".
        weights: "ema", the moving average; "raw", the last ones; or another average of the run, such as "ema-0.999".
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".
        settings: how to read it, where that is to be other than in config.json: ``{"process.limit": "unlimited"}``, or
            ``{"data.source": ...}`` where the data have moved.
        precision: inside the network, for all that the model draws and scores: "fp32", "bf16", "fp16" (on a GPU), or "auto", which
            is bf16 where the device computes in it and fp32 elsewhere. With 16 bits a seed gives other pixels, and a bound has a
            bias: that of the same images and seed less that of the model in fp32.

    Warns:
        RunWarning: newer checkpoints are damaged, and were passed over; or the precision is slower here than fp32.

    Raises:
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
        UsageError: what is no path, a name of no model of the package, weights that the run does not have, no such device or
            precision, or a setting that cannot be changed any more.

    Example:
        >>> import ddpm
        >>> model = ddpm.load("runs/demo")
        >>> model.schedule.T, model.shape
        (12, (1, 8, 8))
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"a model is named by its folder, not by {type(path).__name__}", "ddpm.model takes a process")
    found = load_run(str(path), weights, pick_device(str(device)), settings or {}).in_precision(precision)
    for note in filter(None, (*found.notes, found.slow)):
        warn(note, RunWarning)
    return TrainedModel(found)


def opened(model: TrainedModel | str | Path) -> TrainedModel:
    """The model itself, or the one that lies there, as `load` gives it.

    Raises:
        NotFound, DataError, UsageError: as `load`.
    """
    return model if isinstance(model, TrainedModel) else load(model)
