"""What a model of another library is here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ddpm.errors import SHOWN, DataError, Mismatch
from ddpm.experiment.config import Experiment

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors by their names."""


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
    """

    format: str
    experiment: Experiment
    raw: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    step: int
    facts: Mapping[str, str]


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
        Mismatch: one is missing, one is left over, or one has another shape. None is passed over in silence.
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
        flat = tuple(side for side in shape[2:] if side != 1)
        if tuple(tensor.shape) != shape and not (not flat and tuple(tensor.shape) == shape[:2]):
            raise Mismatch(f"{theirs} has the shape {tuple(tensor.shape)}, and should have {shape}: {where}")
        found[ours] = tensor.reshape(shape).float()
    return found
