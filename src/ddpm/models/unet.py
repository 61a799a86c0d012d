"""The U-Net of Appendix B: residual blocks with a time embedding, attention at chosen levels, skips across.

Level i works on sides divided by 2^i. Sides that 2^(levels-1) does not divide are padded with zeros at the far edges on
entry and cropped on exit, inside the network: any height and width is a valid image.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.errors import UsageError
from ddpm.models.layers import (
    Attention,
    Downsample,
    ResidualBlock,
    Upsample,
    conv,
    doubled,
    fast_channels_last,
    halved,
    linear,
    norm,
    time_embedding,
    zeroed,
)
from ddpm.models.shape import UNetShape, class_number


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
        width, embedding = shape.channels, shape.embedding
        self.time = nn.Sequential(linear(shape.sinusoids, embedding), nn.SiLU(), linear(embedding, embedding))
        classes = class_number(shape)
        self.label = nn.Embedding(classes, embedding) if classes else None
        self.first = conv(inputs, width)

        self.down = nn.ModuleList()
        skips = [width]
        for level, wide in enumerate(shape.widths):
            for _ in range(shape.blocks):
                self.down.append(Stage(width, wide, shape, attend=level in shape.attention))
                width = wide
                skips.append(width)
            if level < len(shape.widths) - 1:
                self.down.append(_halving(width, shape))
                skips.append(width)
        self.middle = nn.ModuleList()
        if shape.middle != "none":
            attend = shape.middle == "attention"
            self.middle.append(Stage(width, width, shape, attend=attend, normalised=shape.middle_norm))
            self.middle.append(Stage(width, width, shape, attend=False))
        self.up = nn.ModuleList()
        for level, wide in reversed(list(enumerate(shape.widths))):
            for _ in range(shape.blocks + 1):
                self.up.append(Stage(width + skips.pop(), wide, shape, attend=level in shape.going_up))
                width = wide
            if level > 0:
                self.up.append(_doubling(width, shape))
        self.norm, self.last = norm(width, shape.groups, shape.norm_eps), zeroed(conv(width, outputs))
        norms = [part for part in self.modules() if isinstance(part, nn.GroupNorm)]
        self.channels_last = all(fast_channels_last(part) for part in norms)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        if x_BCHW.ndim != 4 or x_BCHW.shape[1] != self.first.in_channels:
            expected = f"(batch, {self.first.in_channels}, height, width)"
            raise UsageError(f"the network takes images {expected}, got the shape {tuple(x_BCHW.shape)}")
        shape = self.shape
        stride = 2 ** (len(shape.multipliers) - 1)
        below, right = (-side % stride for side in x_BCHW.shape[2:])
        x_BCHW = x_BCHW.to(self.first.weight.dtype)
        waves = time_embedding(t_B, shape.sinusoids, shape.freq_shift, cosines_first=shape.cosines_first)
        emb_BD = self.time(waves.to(x_BCHW.dtype))
        if label_B is not None:
            emb_BD = emb_BD + self._class_embedding(label_B)
        emb_BD = F.silu(emb_BD)

        h_BCHW = self.first(F.pad(x_BCHW, (0, right, 0, below)))
        if self.channels_last and h_BCHW.device.type == "cpu" and h_BCHW.dtype == torch.bfloat16:
            h_BCHW = h_BCHW.contiguous(memory_format=torch.channels_last)
        skips = [h_BCHW]
        for layer in self.down:
            h_BCHW = layer(h_BCHW, emb_BD)
            skips.append(h_BCHW)
        for layer in self.middle:
            h_BCHW = layer(h_BCHW, emb_BD)
        for layer in self.up:
            if isinstance(layer, Stage):
                h_BCHW = torch.cat([h_BCHW, skips.pop()], dim=1)
            h_BCHW = layer(h_BCHW, emb_BD)
        return F.pad(self.last(F.silu(self.norm(h_BCHW))), (0, -right, 0, -below)).contiguous()

    def _class_embedding(self, label_B: Tensor) -> Tensor:
        if self.label is None:
            raise ValueError("labels were given to a network without classes")
        emb_BD = self.label(label_B.clamp(min=0))
        return torch.where((label_B >= 0)[:, None], emb_BD, torch.zeros_like(emb_BD))


class Stage(nn.Module):
    """A residual block, and attention where asked for."""

    def __init__(self, inputs: int, outputs: int, shape: UNetShape, *, attend: bool, normalised: bool = True) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, shape)
        self.attention = Attention(outputs, shape, normalised=normalised) if attend else nn.Identity()

    def forward(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        return self.attention(self.block(x_BCHW, emb_BD))


def is_channels_last(shape: UNetShape) -> bool:
    """Whether a network of this shape is computed channels last in bf16 on a CPU."""
    with torch.device("meta"):
        return UNet(replace(shape, classes=None), 1, 1).channels_last


def _halving(width: int, shape: UNetShape) -> nn.Module:
    if shape.resample == "block":
        return ResidualBlock(width, width, shape, halved)
    return Downsample(width, shape.padding)


def _doubling(width: int, shape: UNetShape) -> nn.Module:
    return ResidualBlock(width, width, shape, doubled) if shape.resample == "block" else Upsample(width)
