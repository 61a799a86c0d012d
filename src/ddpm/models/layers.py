"""The parts that the paper's network is made of (Appendix B), in the paper's initialisation.

Shapes are suffixes: B batch, C channels, H and W sides, N = H W positions, D width of the time embedding.
"""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.models.dropout import Dropout

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def time_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of a timestep, (batch,) -> (batch, width): sines, then cosines, of frequencies 1 to 1e-4 (E81).

    The published form: frequencies divide by width/2 - 1, so `width` must be at least 4; an odd one is padded with 0.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10000) / (half - 1) * torch.arange(half, device=t.device, dtype=torch.float32))
    angles = t.float()[:, None] * frequencies
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, width % 2))


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


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """Group normalisation, with as many groups as asked for, or as divide the channels."""
    return nn.GroupNorm(math.gcd(groups, channels), channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around the time embedding, and dropout before the second (zero-initialised) one."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = norm(inputs, groups), conv(inputs, outputs)
        self.time = linear(embedding, outputs)
        self.norm_2, self.conv_2 = norm(outputs, groups), zeroed(conv(outputs, outputs))
        self.dropout = Dropout(dropout)
        self.skip = nn.Identity() if inputs == outputs else conv(inputs, outputs, kernel=1)

    def forward(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        h_BCHW = self.conv_1(F.silu(self.norm_1(x_BCHW))) + self.time(emb_BD)[:, :, None, None]
        h_BCHW = self.conv_2(self.dropout(F.silu(self.norm_2(h_BCHW))))
        return self.skip(x_BCHW) + h_BCHW


class Attention(nn.Module):
    """Self-attention over all positions, one head, on top of a residual."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = norm(channels, groups)
        self.query, self.key, self.value = (conv(channels, channels, kernel=1) for _ in range(3))
        self.out = zeroed(conv(channels, channels, kernel=1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.norm(x_BCHW)
        q_BCN, k_BCN, v_BCN = (layer(h_BCHW).flatten(2) for layer in (self.query, self.key, self.value))
        weights_BNN = ((q_BCN * x_BCHW.shape[1] ** -0.5).transpose(1, 2) @ k_BCN).softmax(dim=2)
        h_BCN = v_BCN @ weights_BNN.transpose(1, 2)
        return x_BCHW + self.out(h_BCN.reshape(x_BCHW.shape))


class Downsample(nn.Module):
    """Halve the sides by a strided convolution, padded at the far side only, as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(F.pad(x_BCHW, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the sides: nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))
