"""The U-Net of Appendix B: residual blocks with a time embedding, attention at chosen levels, skips across.

Level i works on sides divided by 2^i. Sides that 2^(levels-1) does not divide are padded with zeros at the far edges on
entry and cropped on exit, inside the network: any height and width is a valid image.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import torch
from annotated_types import Ge, Lt, MaxLen, MinLen
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.errors import UsageError
from ddpm.models.layers import (
    Attention,
    Downsample,
    ResidualBlock,
    Upsample,
    conv,
    linear,
    norm,
    time_embedding,
    zeroed,
)

ALL_CLASSES: Final = "all"
"""As many classes as the data have, until they are known."""


@dataclass(frozen=True)
class UNetShape:
    """The numbers that make a U-Net; the defaults are the paper's for 32x32.

    `attention` lists the levels that attend (the middle always does). A number of `classes` adds a class embedding; None is a
    network that knows no classes.
    """

    channels: Annotated[int, Ge(4)] = 128
    multipliers: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1), MaxLen(16)] = (1, 2, 2, 2)
    blocks: Annotated[int, Ge(1)] = 2
    attention: tuple[int, ...] = (1,)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    groups: Annotated[int, Ge(1)] = 32
    classes: Annotated[int, Ge(1)] | Literal["all"] | None = None


class UNet(nn.Module):
    """(x_t, timestep[, label]) -> output: (B, inputs, H, W), (B,)[, (B,)] -> (B, outputs, H, W).

    A class is a vector that is added to the time embedding. A label of -1 says nothing of its image: it adds 0, and so do
    all where no labels are given. Any height and width will do; `outputs` is twice `inputs` where the variance is learned.
    At first the output is 0.

    Example:
        >>> import ddpm, torch
        >>> network = ddpm.UNet(ddpm.UNetShape(channels=32, multipliers=(1, 2)), inputs=1, outputs=1)
        >>> network(torch.randn(2, 1, 28, 28), torch.tensor([0, 999])).shape
        torch.Size([2, 1, 28, 28])
        >>> p = ddpm.ReverseProcess(network, ddpm.linear())

    Raises:
        ValueError: there are labels for a network without classes.
        IndexError: a label is not below `classes`.
    """

    def __init__(self, shape: UNetShape, inputs: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.shape = shape
        width = shape.channels
        embedding = 4 * width
        self.time = nn.Sequential(linear(width, embedding), nn.SiLU(), linear(embedding, embedding))
        classes = class_number(shape)
        self.label = nn.Embedding(classes, embedding) if classes else None
        self.first = conv(inputs, width)

        def stage(inputs: int, outputs: int, level: int) -> Stage:
            return Stage(inputs, outputs, embedding, shape, attend=level in shape.attention)

        self.down = nn.ModuleList()
        skips = [width]
        for level, multiplier in enumerate(shape.multipliers):
            for _ in range(shape.blocks):
                self.down.append(stage(width, multiplier * shape.channels, level))
                width = multiplier * shape.channels
                skips.append(width)
            if level < len(shape.multipliers) - 1:
                self.down.append(Downsample(width))
                skips.append(width)
        self.middle = nn.ModuleList(
            [
                Stage(width, width, embedding, shape, attend=True),
                Stage(width, width, embedding, shape, attend=False),
            ]
        )
        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(shape.multipliers))):
            for _ in range(shape.blocks + 1):
                self.up.append(stage(width + skips.pop(), multiplier * shape.channels, level))
                width = multiplier * shape.channels
            if level > 0:
                self.up.append(Upsample(width))
        self.norm, self.last = norm(width, shape.groups), zeroed(conv(width, outputs))

    def forward(self, x_BCHW: Tensor, t_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        if x_BCHW.ndim != 4 or x_BCHW.shape[1] != self.first.in_channels:
            expected = f"(batch, {self.first.in_channels}, height, width)"
            raise UsageError(f"the network takes images {expected}, got the shape {tuple(x_BCHW.shape)}")
        stride = 2 ** (len(self.shape.multipliers) - 1)
        below, right = (-side % stride for side in x_BCHW.shape[2:])
        x_BCHW = x_BCHW.to(self.first.weight.dtype)
        emb_BD = self.time(time_embedding(t_B, self.shape.channels).to(x_BCHW.dtype))
        if label_B is not None:
            emb_BD = emb_BD + self._class_embedding(label_B)
        emb_BD = F.silu(emb_BD)

        h_BCHW = self.first(F.pad(x_BCHW, (0, right, 0, below)))
        skips = [h_BCHW]
        for layer in self.down:
            h_BCHW = layer(h_BCHW, emb_BD) if isinstance(layer, Stage) else layer(h_BCHW)
            skips.append(h_BCHW)
        for layer in self.middle:
            h_BCHW = layer(h_BCHW, emb_BD)
        for layer in self.up:
            if isinstance(layer, Stage):
                h_BCHW = layer(torch.cat([h_BCHW, skips.pop()], dim=1), emb_BD)
            else:
                h_BCHW = layer(h_BCHW)
        return F.pad(self.last(F.silu(self.norm(h_BCHW))), (0, -right, 0, -below))

    def _class_embedding(self, label_B: Tensor) -> Tensor:
        if self.label is None:
            raise ValueError("labels were given to a network without classes")
        emb_BD = self.label(label_B.clamp(min=0))
        return torch.where((label_B >= 0)[:, None], emb_BD, torch.zeros_like(emb_BD))


class Stage(nn.Module):
    """A residual block, and attention where asked for."""

    def __init__(self, inputs: int, outputs: int, embedding: int, shape: UNetShape, attend: bool) -> None:  # noqa: FBT001
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, embedding, shape.groups, shape.dropout)
        self.attention = Attention(outputs, shape.groups) if attend else nn.Identity()

    def forward(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        return self.attention(self.block(x_BCHW, emb_BD))


def class_number(shape: UNetShape) -> int:
    """How many classes a network is built for; 0 if it knows none.

    Raises:
        ValueError: that depends on data that are not known yet.
    """
    if shape.classes == ALL_CLASSES:
        raise ValueError("how many classes the network has is known once the data are")
    return shape.classes or 0


def size(shape: UNetShape, inputs: int, outputs: int) -> tuple[int, int]:
    """How many tensors and how many numbers the parameters of a U-Net are, without building it: 16 levels take no time."""
    embedding, C = 4 * shape.channels, shape.channels
    widths = [multiplier * C for multiplier in shape.multipliers]
    before = [C, *widths]  # of level i: what comes from above on the way down, and from its last skip on the way up

    def stage(a: int, b: int, attends: int) -> tuple[int, int]:
        block = 2 * a + 9 * a * b + b + (embedding + 1) * b + 2 * b + 9 * b * b + b
        skip = 0 if a == b else (a + 1) * b
        return 10 + 2 * (a != b) + 10 * attends, block + skip + attends * (2 * b + 4 * (b + 1) * b)

    def layer(a: int, b: int, kernel: int = 3) -> tuple[int, int]:
        return 2, (kernel**2 * a + 1) * b

    parts = [(1, layer(C, embedding, 1)), (1, layer(embedding, embedding, 1)), (1, layer(inputs, C))]
    classes = class_number(shape)
    parts += [(1, (1, classes * embedding))] if classes else []
    for level, width in enumerate(widths):
        attends = int(level in shape.attention)
        parts += [(1, stage(before[level], width, attends)), (shape.blocks - 1, stage(width, width, attends))]
        deeper = widths[min(level + 1, len(widths) - 1)]
        parts += [(1, stage(deeper + width, width, attends)), (shape.blocks - 1, stage(2 * width, width, attends))]
        parts += [(1, stage(width + before[level], width, attends))]
        parts += [(1, layer(width, width))] * ((level > 0) + (level < len(widths) - 1))
    parts += [(1, stage(widths[-1], widths[-1], 1)), (1, stage(widths[-1], widths[-1], 0))]
    parts += [(1, (2, 2 * widths[0])), (1, layer(widths[0], outputs))]
    return sum(n * tensors for n, (tensors, _) in parts), sum(n * numbers for n, (_, numbers) in parts)
