"""The U-Net of lucidrains/denoising-diffusion-pytorch, version 2.0 and later: not the paper's, for models that were trained with it.

Otherwise than in `unet`: a first convolution over 7x7 pixels, whose result is seen again at the end; sides are halved by putting
four pixels on top of each other; values are normalised over channels, after each convolution; and every level attends, by
linear attention where not by the usual one, both to learned positions ("memories") beside those of the image.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt, MaxLen, MinLen
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.errors import UsageError
from ddpm.models.dropout import Dropout
from ddpm.models.layers import doubled, time_embedding

Width = Annotated[int, Ge(1), Lt(2**20)]
PerLevel = Annotated[tuple[Width, ...], MinLen(1), MaxLen(16)]


@dataclass(frozen=True)
class LucidrainsShape:
    """The numbers that make a `LucidrainsUNet`; the defaults are those of its authors, with `dim` of 64.

    Args:
        kind: what tells it from other shapes in config.json.
        channels: what the first convolution gives.
        widths: of each level, which the level before it ends in.
        time_channels: width of the sinusoids of time, a quarter of the embedding's.
        attention: levels that attend in the usual way; the others by linear attention.
        heads: of each level's attention; the last one's are the middle's, too.
        head_channels: width of a head, in each level.
        memories: learned positions that are attended to.
        theta: the lowest frequency of the sinusoids is 1 / `theta`.
        dropout: probability, in each residual block.
        classes: none; its authors' network knows no classes.

    Raises:
        UsageError: there are not as many numbers of heads as levels, or the sinusoids are not in pairs.
    """

    kind: Literal["lucidrains"] = "lucidrains"
    channels: Width = 64
    widths: PerLevel = (64, 128, 256, 512)
    time_channels: Annotated[int, Ge(4), Lt(2**20)] = 64
    attention: tuple[int, ...] = (3,)
    heads: PerLevel = (4, 4, 4, 4)
    head_channels: PerLevel = (32, 32, 32, 32)
    memories: Annotated[int, Ge(0), Lt(2**20)] = 4
    theta: Annotated[float, Gt(1), Lt(1e30)] = 10000.0
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    classes: None = None

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.heads) == len(self.head_channels):
            raise UsageError(f"{len(self.widths)} levels have attention each, not {len(self.heads)} of them")
        if self.time_channels % 2:
            raise UsageError(f"the sinusoids of time are in pairs, not {self.time_channels} of them")

    @property
    def levels(self) -> list[tuple[int, int]]:
        """What comes into each level on the way down, and what it ends in."""
        return list(zip((self.channels, *self.widths[:-1]), self.widths, strict=True))

    @property
    def stride(self) -> int:
        """What sides of images must be multiples of."""
        return 2 ** (len(self.widths) - 1)


class LucidrainsUNet(nn.Module):
    """(x_t, timestep) -> output: (B, inputs, H, W), (B,) -> (B, outputs, H, W).

    `outputs` is twice `inputs` where the variance is learned.

    Example:
        >>> import ddpm, torch
        >>> shape = ddpm.LucidrainsShape(widths=(64, 128), attention=(1,), heads=(4, 4), head_channels=(32, 32))
        >>> ddpm.LucidrainsUNet(shape)(torch.randn(2, 3, 16, 16), torch.tensor([0, 999])).shape
        torch.Size([2, 3, 16, 16])

    Raises:
        UsageError: images of other channels, or of sides that cannot be halved so often.
        ValueError: there are labels; it knows no classes.
    """

    def __init__(self, shape: LucidrainsShape, inputs: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.shape = shape
        embedding = 4 * shape.time_channels
        self.time = nn.Sequential(nn.Linear(shape.time_channels, embedding), nn.GELU(), nn.Linear(embedding, embedding))
        self.first = nn.Conv2d(inputs, shape.channels, 7, padding=3)
        levels, last = list(enumerate(shape.levels)), len(shape.levels) - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (a, b) in levels:
            resample = nn.Conv2d(4 * a, b, 1) if level < last else nn.Conv2d(a, b, 3, padding=1)
            self.down.append(Level(a, a, shape, level, resample))
        bottom = shape.widths[-1]
        self.middle_1, self.middle_2 = Block(bottom, bottom, shape), Block(bottom, bottom, shape)
        self.middle_attention = Attention(bottom, shape, last)
        for level, (a, b) in reversed(levels):
            self.up.append(Level(a + b, b, shape, level, nn.Conv2d(b, a, 3, padding=1)))
        self.end = Block(2 * shape.channels, shape.channels, shape)
        self.last = nn.Conv2d(shape.channels, outputs, 1)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        if label_B is not None:
            raise ValueError("labels were given to a network without classes")
        shape, channels = self.shape, self.first.in_channels
        if x_BCHW.ndim != 4 or x_BCHW.shape[1] != channels or any(side % shape.stride for side in x_BCHW.shape[2:]):
            raise UsageError(
                f"the network takes images (batch, {channels}, height, width) of sides that are multiples of "
                f"{shape.stride}, got the shape {tuple(x_BCHW.shape)}"
            )
        x_BCHW = x_BCHW.to(self.first.weight.dtype)
        waves = time_embedding(t_B, shape.time_channels, theta=shape.theta)
        emb_BD = F.silu(self.time(waves.to(x_BCHW.dtype)))
        first_BCHW = h_BCHW = self.first(x_BCHW)
        skips: list[Tensor] = []
        for number, level in enumerate(self.down):
            assert isinstance(level, Level)
            for block in (level.block_1, level.attend_after_2):
                h_BCHW = block(h_BCHW, emb_BD)
                skips.append(h_BCHW)
            h_BCHW = level.resample(F.pixel_unshuffle(h_BCHW, 2) if number < len(self.down) - 1 else h_BCHW)
        h_BCHW = self.middle_1(h_BCHW, emb_BD)
        h_BCHW = self.middle_2(h_BCHW + self.middle_attention(h_BCHW), emb_BD)
        for number, level in enumerate(self.up):
            assert isinstance(level, Level)
            for block in (level.block_1, level.attend_after_2):
                h_BCHW = block(torch.cat([h_BCHW, skips.pop()], dim=1), emb_BD)
            h_BCHW = level.resample(doubled(h_BCHW) if number < len(self.up) - 1 else h_BCHW)
        return self.last(self.end(torch.cat([h_BCHW, first_BCHW], dim=1), emb_BD))


class Level(nn.Module):
    """Two residual blocks, attention after the second, and the convolution that leads to the next level.

    `inputs` are the channels that each block sees: on the way up those of a skip beside its own.
    """

    def __init__(self, inputs: int, width: int, shape: LucidrainsShape, level: int, resample: nn.Module) -> None:
        super().__init__()
        self.block_1, self.block_2 = Block(inputs, width, shape), Block(inputs, width, shape)
        self.attention = (Attention if level in shape.attention else LinearAttention)(width, shape, level)
        self.resample = resample

    def attend_after_2(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        """The second block, and attention on top of a residual."""
        h_BCHW = self.block_2(x_BCHW, emb_BD)
        return h_BCHW + self.attention(h_BCHW)


class Norm(nn.Module):
    r"""The values of a pixel divided by their root mean square, and scaled: :math:`g\sqrt C\, x / \lVert x\rVert`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.normalize(x_BCHW, dim=1) * self.scale[:, None, None] * len(self.scale) ** 0.5


class Block(nn.Module):
    """Two 3x3 convolutions, each then normalised; time scales and shifts what the first one gives."""

    def __init__(self, inputs: int, outputs: int, shape: LucidrainsShape) -> None:
        super().__init__()
        self.time = nn.Linear(4 * shape.time_channels, 2 * outputs)
        self.conv_1, self.norm_1 = nn.Conv2d(inputs, outputs, 3, padding=1), Norm(outputs)
        self.conv_2, self.norm_2 = nn.Conv2d(outputs, outputs, 3, padding=1), Norm(outputs)
        self.dropout = Dropout(shape.dropout)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x_BCHW: Tensor, emb_BD: Tensor) -> Tensor:
        scale_BC11, shift_BC11 = self.time(emb_BD)[:, :, None, None].chunk(2, dim=1)
        h_BCHW = F.silu(self.norm_1(self.conv_1(x_BCHW)) * (1 + scale_BC11) + shift_BC11)
        return self.skip(x_BCHW) + F.silu(self.norm_2(self.conv_2(self.dropout(h_BCHW))))


class Attention(nn.Module):
    """Self-attention over all positions and the memories, M heads of K channels; without the residual."""

    def __init__(self, channels: int, shape: LucidrainsShape, level: int) -> None:
        super().__init__()
        heads, width = shape.heads[level], shape.head_channels[level]
        self.norm = Norm(channels)
        self.memory = nn.Parameter(torch.randn(2, heads, width, shape.memories))
        self.query, self.key, self.value = (nn.Conv2d(channels, heads * width, 1, bias=False) for _ in range(3))
        self.out = nn.Conv2d(heads * width, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW, (_, heads, width, _) = self.norm(x_BCHW), self.memory.shape
        q_BMKN, *rest = (
            layer(h_BCHW).flatten(2).unflatten(1, (heads, width)) for layer in (self.query, self.key, self.value)
        )
        k_BMKN, v_BMKN = (
            torch.cat([memory.expand(len(x_BCHW), -1, -1, -1), part], dim=3)
            for memory, part in zip(self.memory, rest, strict=True)
        )
        return self.out(self.mixed(q_BMKN, k_BMKN, v_BMKN).flatten(1, 2).unflatten(2, x_BCHW.shape[2:]))

    def mixed(self, q_BMKN: Tensor, k_BMKN: Tensor, v_BMKN: Tensor) -> Tensor:
        """For each position the mean of all values, weighted by how their keys match its query."""
        weights_BMNN = ((q_BMKN * q_BMKN.shape[2] ** -0.5).transpose(2, 3) @ k_BMKN).softmax(dim=3)
        return v_BMKN @ weights_BMNN.transpose(2, 3)


class LinearAttention(Attention):
    """Attention at a cost that grows with the positions and not with their square; normalised at its end.

    Queries are distributions over channels, keys over positions, so that keys and values meet first, in a K x K matrix.
    """

    def __init__(self, channels: int, shape: LucidrainsShape, level: int) -> None:
        super().__init__(channels, shape, level)
        self.out = nn.Sequential(self.out, Norm(channels))

    def mixed(self, q_BMKN: Tensor, k_BMKN: Tensor, v_BMKN: Tensor) -> Tensor:
        """As it says above."""
        context_BMKK = v_BMKN @ k_BMKN.softmax(dim=3).transpose(2, 3)
        return context_BMKK @ (q_BMKN.softmax(dim=2) * q_BMKN.shape[2] ** -0.5)
