"""The networks that an experiment can hold, each by the shape that makes it: the paper's U-Net, and one of others.

In config.json a shape other than the paper's says which it is (`kind`).
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Discriminator, Tag
from torch import nn

from ddpm.models import shape as unet_shape
from ddpm.models.lucidrains import LucidrainsShape, LucidrainsUNet
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet

KINDS: Mapping[str, type[UNetShape] | type[LucidrainsShape]] = {"unet": UNetShape, "lucidrains": LucidrainsShape}
"""Shapes by what config.json calls them; "unet" is meant where it says nothing."""


def kind_of(values: object) -> str:
    """The name in `KINDS` of a shape, or of the fields of one."""
    found = values.get("kind", "unet") if isinstance(values, Mapping) else getattr(values, "kind", "unet")
    return found if isinstance(found, str) else repr(found)


AnyShape = Annotated[
    Annotated[UNetShape, Tag("unet")] | Annotated[LucidrainsShape, Tag("lucidrains")], Discriminator(kind_of)
]
"""One of `KINDS`."""


def new(shape: UNetShape | LucidrainsShape, inputs: int, outputs: int) -> nn.Module:
    """A network of a shape, initialised from torch's global generator."""
    if isinstance(shape, LucidrainsShape):
        return LucidrainsUNet(shape, inputs, outputs)
    return UNet(shape, inputs, outputs)


def size(shape: UNetShape | LucidrainsShape, inputs: int, outputs: int) -> tuple[int, int]:
    """How many tensors and how many numbers the parameters of its network are; nothing is allocated."""
    if isinstance(shape, UNetShape):
        return unet_shape.size(shape, inputs, outputs)
    with torch.device("meta"):
        parameters = list(LucidrainsUNet(shape, inputs, outputs).parameters())
    return len(parameters), sum(parameter.numel() for parameter in parameters)
