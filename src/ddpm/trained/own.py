"""Any network as a trained model: whoever has a function and a schedule has all that a model of a run has."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ddpm.checks import check_whole
from ddpm.diffusion.decoder import levels_of
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import LIMITS, Network, ReverseProcess, named, takes
from ddpm.diffusion.variance import FIRST_VARIANCES, VARIANCES
from ddpm.errors import UsageError
from ddpm.experiment.config import TABLE, DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.experiment.settings import to_json
from ddpm.models.lucidrains import LucidrainsShape, LucidrainsUNet
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.parallel.device import pick_device
from ddpm.run.folder import RunFolder
from ddpm.storage.sealed import cache_folder
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.model import TrainedModel

CALLED = "called"
"""What the weights of such a model are called."""


def model(
    p: ReverseProcess,
    shape: tuple[int, ...],
    *,
    classes: int | Sequence[str] = 0,
    data: str = "unknown",
    device: str | torch.device | None = None,
) -> TrainedModel:
    """A network of one's own, read as a Markov chain, as a trained model: with `sample`, `bits_per_dim`, edits and the rest.

    Args:
        p: the process, such as ``ddpm.ReverseProcess(network, ddpm.linear(), ddpm.Velocity())`` or ``ddpm.from_denoiser(D, ...)``. Its
            decoder says how many levels the images have: 256, or those of ``ddpm.discretised(levels)``. A network that is an
            `nn.Module` is put into evaluation.
        shape: channels, height and width of an image.
        classes: how many the network can be told of, or their names; it is then called with the labels third, -1 for none.
        data: the source that it was trained on, which only "optimal" steps and variances ask.
        device: where to put the network and compute; None: where it is.

    Raises:
        UsageError: it is no process, or of a prediction, a variance, a limit or a decoder of one's own (`ddpm.sample` and
            `ddpm.bound` take these too); or the shape is none.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear(T=20, beta_T=0.5))
        >>> mine = ddpm.model(p, (1, 8, 8))
        >>> mine.sample(2, sampler="ddim", steps=5, progress=False)
        Images(2 of 1x8x8, 256 levels)
        >>> mine.edit(torch.ones(1, 8, 8), 1, timestep=5, progress=False)
        Images(1 of 1x8x8, 256 levels)
    """
    if not isinstance(p, ReverseProcess):
        raise UsageError(
            f"p is a ddpm.ReverseProcess, not {type(p).__name__}", "ddpm.ReverseProcess(network, schedule)"
        )
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
        raise UsageError(f"the shape of an image is (channels, height, width), not {shape!r}")
    sides = tuple(check_whole("a size", side, 1) for side in shape)
    names = () if isinstance(classes, int) else tuple(classes)
    count = classes if isinstance(classes, int) else len(names)
    if not takes(p.network, 3 if count else 2):
        called = "(x_t, timestep, label), as it is told of classes" if count else "(x_t, timestep), as classes=0"
        raise UsageError(f"the network of this model is called with {called}: {named(p.network)}")
    schedule = p.schedule.whole
    experiment = Experiment(
        preset=CALLED,
        data=DataConfig(source=data, shape=sides, levels=_levels(p), class_names=names or None),
        schedule=ScheduleConfig(TABLE, schedule.T, beta=tuple(schedule.beta[1:].tolist())),
        process=_names(p),
        model=_shape_of(p.network, count or None),
        objective="hybrid" if p.variance.outputs else "simple",
    )
    given = p.network
    network = p.network if isinstance(p.network, nn.Module) else _Function(p.network)
    if device is not None:
        place = device if isinstance(device, torch.device) else pick_device(str(device))
        network.to(place)
    else:
        place = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    p = replace(p, network=network.eval())
    loaded = LoadedModel(RunFolder(Path()), experiment, p, 0, CALLED, place, called=named(given))
    known = (
        loaded.digest if next(network.parameters(), None) is not None else uuid.uuid4()
    )  # no number tells functions apart
    read = hashlib.sha256(f"{known} {to_json(experiment)} {schedule.timestep_map.tolist()}".encode()).hexdigest()
    return TrainedModel(replace(loaded, folder=RunFolder(cache_folder(CALLED) / read[:32])))


def _shape_of(network: object, classes: int | None) -> UNetShape | LucidrainsShape:
    """Of a network of ours; of another the paper's, which says its classes alone (`ddpm.trained.export` refuses it)."""
    shape = getattr(network, "shape", None) if isinstance(network, UNet | LucidrainsUNet) else None
    return UNetShape(classes=classes) if shape is None else replace(shape, classes=classes)


class _Function(nn.Module):
    """A function that is no module, as one without weights."""

    def __init__(self, function: Network) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Tensor:
        return self.function(*given)


def _levels(p: ReverseProcess) -> int:
    levels = levels_of(p.decoder)
    if levels is None:
        raise UsageError(
            "a model is of images on levels: its decoder is ddpm.log_likelihood, or ddpm.discretised(levels)"
        )
    return levels


def _names(p: ReverseProcess) -> ProcessConfig:
    """What config.json would call the parts of a process.

    Raises:
        UsageError: one is of one's own.
    """
    predictions = [name for name, one in PREDICTIONS.items() if one == p.prediction]
    limits = [name for name, one in LIMITS.items() if one is p.limit]
    variances = [
        (name, first)
        for name, make in VARIANCES.items()
        for first, rule in FIRST_VARIANCES.items()
        if make(rule) == p.variance
    ]
    for what, found, there in (
        ("prediction", predictions, PREDICTIONS),
        ("variance", variances, VARIANCES),
        ("limit", limits, LIMITS),
    ):
        if not found:
            raise UsageError(
                f"a model has one of the usual kinds of {what}: {', '.join(there)}",
                "ddpm.sample and ddpm.bound take any process",
            )
    (variance, first), *_ = variances
    return ProcessConfig(predictions[0], variance, first, limits[0])
