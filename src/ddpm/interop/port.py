"""The usual PyTorch port of the authors' weights: the layout of pesser/pytorch_diffusion and ermongroup/ddim.

It is the paper's network, so the shapes of the weights say all of its shape. The side of the images, and how the network is
read, are not in the file: what is not told is the paper's for CIFAR-10.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ddpm.experiment.config import DataConfig, Experiment
from ddpm.interop.foreign import (
    UNKNOWN,
    Foreign,
    Shapes,
    Told,
    counted,
    groups_with,
    multiple,
    network_of,
    require_resolution,
)
from ddpm.interop.layout import Layout, Part
from ddpm.models.shape import UNetShape

ANCHOR = "temb.dense.0.weight"
"""A weight that no other layout has."""


def layout(between: str, dense: str, **more: str) -> Layout:
    """The authors' names: in their TensorFlow checkpoints, and in the port.

    Args:
        between: a name and its number.
        dense: the two layers of the time embedding, without their number.
        more: names outside of the blocks, under ours.
    """

    def named(part: Part, one: str) -> str:
        return f"{part.side}{between}{part.level}.{one}{between}{part.number}"

    def block(part: Part) -> str:
        return f"mid.block_{part.number + 1}" if part.side == "middle" else named(part, "block")

    return Layout(
        outside={
            "time.0": f"{dense}0",
            "time.2": f"{dense}1",
            "first": "conv_in",
            "norm": "norm_out",
            "last": "conv_out",
            **more,
        },
        residual={
            "norm_1": "norm1",
            "conv_1": "conv1",
            "time": "temb_proj",
            "norm_2": "norm2",
            "conv_2": "conv2",
            "skip": "nin_shortcut",
        },
        attention={"norm": "norm", "query": "q", "key": "k", "value": "v", "out": "proj_out"},
        block=block,
        attend=lambda part: "mid.attn_1" if part.side == "middle" else named(part, "attn"),
        resample=lambda part: f"{part.side}{between}{part.level}.{part.side}sample.conv",
    )


LAYOUT = layout(".", "temb.dense.", label="label")


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether a network of this layout is in a file, alone or in a group."""
    return bool(groups_with(weights, ANCHOR))


def read(weights: Mapping[str, Tensor], told: Told, where: str) -> Foreign:
    """A file with a network, or with the weights and their average.

    Raises:
        UsageError: the side of the images is not told.
        Mismatch: the weights are not those of such a network.
        DataError: they have impossible shapes.
    """
    raw, *more = groups_with(weights, ANCHOR)
    ema = more[-1] if more else raw
    resolution = require_resolution(told, where)
    shapes = {name: tuple(tensor.shape) for name, tensor in raw.items()}
    channels = counted(shapes, "conv_in.weight", 1, where)
    data = DataConfig(source=UNKNOWN, shape=(channels, *resolution), levels=256)
    shape = _shape(shapes, where)
    experiment = Experiment(data=data, model=shape)
    first, second = (network_of(experiment, group, partial(LAYOUT.names, shape), where) for group in (raw, ema))
    facts = {
        "network": f"{experiment.size()[1]:,} parameters, each matched by name and shape",
        "images": f"{channels}x{resolution[0]}x{resolution[1]} in [-1, 1], 256 levels",
        "not in the file": "the paper's for CIFAR-10 are taken: linear schedule of T = 1000, eps, variance fixed-large; the "
        "authors' 256x256 models have fixed-small (--set process.variance=fixed-small)",
        "timesteps": "the network is told t - 1 at t = 1..T",
        "weights": "raw, and their moving average" if more else "as saved; nothing says whether they are an average",
    }
    return Foreign("port", experiment, first, second, 0, facts)


def _shape(shapes: Shapes, where: str) -> UNetShape:
    channels = counted(shapes, "conv_in.weight", 0, where)
    levels = range(sum(1 for level in range(16) if f"down.{level}.block.0.conv1.weight" in shapes))
    widths = [counted(shapes, f"down.{level}.block.0.conv1.weight", 0, where) for level in levels]
    blocks = sum(1 for number in range(len(shapes)) if f"down.0.block.{number}.conv1.weight" in shapes)
    return UNetShape(
        channels=channels,
        multipliers=tuple(multiple(width, channels) for width in widths),
        blocks=blocks,
        attention=tuple(level for level in levels if f"down.{level}.attn.0.q.weight" in shapes),
    )
