"""What a model of another library is here."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddpm.errors import SHOWN, DataError, Mismatch, UsageError
from ddpm.experiment.config import Experiment

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors by their names."""
Names = Callable[[Iterable[str]], Mapping[str, str]]
"""Of our parameters: what they are called elsewhere, by their names here."""
UNKNOWN = "unknown"
"""The source of the data of a model that does not say it."""


@dataclass(frozen=True)
class Told:
    """What a file does not say, and whoever reads it does.

    Args:
        resolution: the side of the images, or height and width.
        flags: those that OpenAI's scripts trained it with, or arguments of lucidrains' classes, as flags.
    """

    resolution: tuple[int, ...] | None = None
    flags: str | None = None


@dataclass(frozen=True)
class Foreign:
    """A model as it was read.

    Args:
        format: its name, such as "diffusers".
        experiment: how it is read: network, schedule, prediction, variance, shape of images.
        raw: the weights under the names of our network.
        ema: their moving average, where there is one beside them; else the same.
        step: of the training, 0 where nothing says it.
        facts: what was found, in a few words for each: what `ddpm import` prints.
        beside: files that its run has beside the weights, by their names in its folder.
    """

    format: str
    experiment: Experiment
    raw: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    step: int
    facts: Mapping[str, str]
    beside: Mapping[str, bytes] = field(default_factory=dict)


def require_size(experiment: Experiment, shapes: Shapes, where: str) -> None:
    """A network of this configuration is not far larger than the weights, so it may be built: a hostile one is not.

    Raises:
        DataError: it is.
    """
    tensors, numbers = experiment.size()
    found = sum(math.prod(shape) for shape in shapes.values())
    if tensors > 2 * len(shapes) + 64 or numbers > 2 * found + 2**16:
        raise DataError(
            f"its configuration asks for {numbers:,} parameters in {tensors:,} tensors, the weights are {found:,} in "
            f"{len(shapes):,}: {where}"
        )


def require_resolution(told: Told, where: str) -> tuple[int, int]:
    """Height and width of the images.

    Raises:
        UsageError: they are not told.
    """
    if told.resolution is None:
        raise UsageError(f"the file does not say how large its images are: {where}", "`resolution=32` says it")
    return told.resolution[0], told.resolution[-1]


def counted(shapes: Shapes, name: str, side: int, where: str) -> int:
    """A side of a tensor.

    Raises:
        DataError: it is not there.
    """
    if name not in shapes or len(shapes[name]) <= side or shapes[name][side] < 1:
        raise DataError(
            f"the weights are not those of a whole network: {name} is missing, or has an odd shape: {where}"
        )
    return shapes[name][side]


def multiple(width: int, first: int) -> int | float:
    """A level's width in times that of the first: a whole number where it is one."""
    return width // first if width % first == 0 else width / first


def network_of(experiment: Experiment, weights: Mapping[str, Tensor], names: Names, where: str) -> Mapping[str, Tensor]:
    """The weights of its network, all of them, under our names; `names` are theirs by these.

    Raises:
        DataError: the network would be far larger than the weights, or a number is not finite.
        Mismatch: as `renamed`.
    """
    require_size(experiment, {name: tuple(tensor.shape) for name, tensor in weights.items()}, where)
    shapes = parameters_of(experiment)
    return renamed(weights, names(shapes), shapes, where)


def parameters_of(experiment: Experiment) -> Shapes:
    """The parameters of the network of an experiment; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(parameter.shape) for name, parameter in experiment.network().named_parameters()}


def renamed(
    weights: Mapping[str, Tensor], names: Mapping[str, str], shapes: Shapes, where: str
) -> Mapping[str, Tensor]:
    """Weights under our names, in our shapes, float32.

    Args:
        weights: under theirs.
        names: theirs by ours.
        shapes: of our network's parameters. A dense layer's matrix is also a 1x1 convolution's.
        where: the file, for messages.

    Raises:
        Mismatch: one is missing, one is left over, or one has another shape or whole numbers. None is passed over in silence.
        DataError: a number is infinite, or none.
    """
    missing = [theirs for theirs in names.values() if theirs not in weights]
    left = [name for name in weights if name not in set(names.values())]
    if missing or left:
        what = [f"{len(missing)} that it should have, such as {missing[0]}"] if missing else []
        what += [f"{len(left)} that its configuration does not explain, such as {left[0][:SHOWN]}"] if left else []
        raise Mismatch(f"the weights do not fit their configuration: {' and '.join(what)}: {where}")
    found = {}
    for ours, theirs in names.items():
        tensor, shape = weights[theirs], shapes[ours]
        if _bare(tuple(tensor.shape)) != _bare(shape):
            raise Mismatch(f"{theirs} has the shape {tuple(tensor.shape)}, and should have {shape}: {where}")
        if not tensor.is_floating_point():
            raise Mismatch(
                f"{theirs} holds whole numbers ({str(tensor.dtype).removeprefix('torch.')}), no weights: {where}"
            )
        found[ours] = tensor.reshape(shape).float()
        if not bool(found[ours].isfinite().all()):
            raise DataError(f"the weights have numbers that are not finite in float32: {theirs}: {where}")
    return found


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without sides of 1 at the end: a matrix is a convolution over one pixel."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def groups_with(weights: Mapping[str, Tensor], anchor: str) -> list[Mapping[str, Tensor]]:
    """The networks in a file, in its order: every group of weights in which there is one called `anchor`.

    A file of a training has more than one, such as the weights and their average, and the state of an optimiser beside them.
    """
    heads = [name.removesuffix(anchor) for name in weights if name == anchor or name.endswith(f".{anchor}")]
    return [
        {name.removeprefix(head): tensor for name, tensor in weights.items() if name.startswith(head)}
        if head
        else dict(weights)
        for head in heads
    ]
