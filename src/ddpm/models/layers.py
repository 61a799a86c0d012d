"""The parts that the paper's network is made of (Appendix B), in the paper's initialisation.

Shapes are suffixes: B batch, C channels, H and W sides, N = H W positions, D width of the time embedding, M heads of K
channels.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.models.dropout import Dropout
from ddpm.models.shape import UNetShape

Resample = Callable[[Tensor], Tensor]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

LOG_10000 = float(Decimal(10000).ln())
"""It lies so close to the middle of two float64 that libraries may differ; this is the nearer one (`ddpm.codec.exact`)."""


def time_embedding(
    t: Tensor, width: int, freq_shift: int = 1, *, cosines_first: bool = False, theta: float = 10000
) -> Tensor:
    """Sinusoids of a timestep, (batch,) -> (batch, width): sines, then cosines, of frequencies 1 to 1e-4 (E81).

    The published form: frequencies divide by width/2 - 1, so `width` must be at least 4; an odd one is padded with 0. Others
    divide by width/2 (`freq_shift` 0), have the cosines first, or end at the frequency 1 / `theta`.
    """
    half = width // 2
    scale = -(LOG_10000 if theta == 10000 else math.log(theta)) / (half - freq_shift)
    frequencies = torch.exp(scale * torch.arange(half, device=t.device, dtype=torch.float32))
    angles = t.float()[:, None] * frequencies
    waves = [angles.cos(), angles.sin()] if cosines_first else [angles.sin(), angles.cos()]
    return F.pad(torch.cat(waves, dim=1), (0, width % 2))


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (or halves it: `Downsample` pads), initialised as published."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)
    return initialised(layer)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer, initialised as published."""
    return initialised(nn.Linear(inputs, outputs))


def initialised(layer: Layer) -> Layer:
    """Weights uniform with variance 2 / (fan_in + fan_out), biases 0."""
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def zeroed(layer: Layer) -> Layer:
    """All 0: the branch, or the network, starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def norm(channels: int, groups: int, eps: float = 1e-6) -> nn.GroupNorm:
    """Group normalisation, with as many groups as asked for, or as divide the channels."""
    return nn.GroupNorm(math.gcd(groups, channels), channels, eps=eps)


def fast_channels_last(layer: nn.GroupNorm) -> bool:
    """Whether a CPU normalises bf16 pixel by pixel (channels last in memory) as fast as channel by channel.

    Convolutions are faster that way: torch changes the layout before and after each in bf16. But its normalisation reads the
    channels of a group in vectors of 16, and with fewer is up to ten times slower, which costs more than is gained. In float32
    that kernel is less exact than the other, and nothing is computed channels last.
    """
    return layer.num_channels // layer.num_groups % 16 == 0


def unchanged(x_BCHW: Tensor) -> Tensor:
    """The sides as they are."""
    return x_BCHW


def halved(x_BCHW: Tensor) -> Tensor:
    """Half the sides: the mean of four pixels."""
    return F.avg_pool2d(x_BCHW, 2)


def doubled(x_BCHW: Tensor) -> Tensor:
    """Twice the sides: the nearest neighbour."""
    return F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around the time embedding, and dropout before the second (zero-initialised) one.

    Not in the paper: time may scale and shift (`shape.scale_shift`), and the first convolution and the skip may see
    `resample` of what comes in: halved or doubled sides.
    """

    def __init__(self, inputs: int, outputs: int, shape: UNetShape, resample: Resample = unchanged) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = norm(inputs, shape.groups, shape.norm_eps), conv(inputs, outputs)
        self.scale_shift, self.resample = shape.scale_shift, resample
        self.time = linear(shape.embedding, 2 * outputs if shape.scale_shift else outputs)
        self.norm_2, self.conv_2 = norm(outputs, shape.groups, shape.norm_eps), zeroed(conv(outputs, outputs))
        self.dropout = Dropout(shape.dropout)
        self.skip = nn.Identity() if inputs == outputs else conv(inputs, outputs, kernel=1)

    def forward(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        h_BCHW, x_BCHW = self.resample(F.silu(self.norm_1(x_BCHW))), self.resample(x_BCHW)
        h_BCHW, time_BC11 = self.conv_1(h_BCHW), self.time(emb_BD)[:, :, None, None]
        if self.scale_shift:
            scale_BC11, shift_BC11 = time_BC11.chunk(2, dim=1)
            h_BCHW = self.norm_2(h_BCHW) * (1 + scale_BC11) + shift_BC11
        else:
            h_BCHW = self.norm_2(h_BCHW + time_BC11)
        h_BCHW = self.conv_2(self.dropout(F.silu(h_BCHW)))
        return self.skip(x_BCHW) + h_BCHW


class Attention(nn.Module):
    """Self-attention over all positions, on top of a residual; one head in the paper's network."""

    def __init__(self, channels: int, shape: UNetShape, *, normalised: bool = True) -> None:
        super().__init__()
        self.heads = shape.heads_of(channels)
        self.norm = norm(channels, shape.groups, shape.norm_eps) if normalised else nn.Identity()
        self.query, self.key, self.value = (conv(channels, channels, kernel=1) for _ in range(3))
        self.out = zeroed(conv(channels, channels, kernel=1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.norm(x_BCHW)
        q_BMKN, k_BMKN, v_BMKN = (
            layer(h_BCHW).flatten(2).unflatten(1, (self.heads, -1)) for layer in (self.query, self.key, self.value)
        )
        weights_BMNN = ((q_BMKN * (1 / math.sqrt(q_BMKN.shape[2]))).transpose(2, 3) @ k_BMKN).softmax(dim=3)
        h_BMKN = v_BMKN @ weights_BMNN.transpose(2, 3)
        return x_BCHW + self.out(h_BMKN.reshape(x_BCHW.shape))


class Downsample(nn.Module):
    """Halve the sides by a strided convolution, padded at the far side only, as published; or all around."""

    def __init__(self, channels: int, padding: str = "far") -> None:
        super().__init__()
        self.conv = conv(channels, channels, stride=2)
        self.near = int(padding == "around")

    def forward(self, x_BCHW: Tensor, _emb_BD: Tensor) -> Tensor:
        return self.conv(F.pad(x_BCHW, (self.near, 1, self.near, 1)))


class Upsample(nn.Module):
    """Double the sides: nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels)

    def forward(self, x_BCHW: Tensor, _emb_BD: Tensor) -> Tensor:
        return self.conv(doubled(x_BCHW))
