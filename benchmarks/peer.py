"""The peer that we measure against: diffusers' UNet2DModel, in the shape that a `UNetShape` of ours has."""

from typing import Any

from diffusers import UNet2DModel
from torch import Tensor, nn

from ddpm.models.shape import UNetShape


class Peer(nn.Module):
    """UNet2DModel with a plain output, as published for google/ddpm-cifar10-32 (328 tensors, 35,746,307 parameters)."""

    def __init__(self, shape: UNetShape, side: int, channels: int) -> None:
        super().__init__()
        levels = len(shape.multipliers)
        down = ["AttnDownBlock2D" if level in shape.attention else "DownBlock2D" for level in range(levels)]
        up = ["AttnUpBlock2D" if level in shape.attention else "UpBlock2D" for level in reversed(range(levels))]
        options: dict[str, Any] = {
            "sample_size": side,
            "in_channels": channels,
            "out_channels": channels,
            "block_out_channels": tuple(shape.channels * multiplier for multiplier in shape.multipliers),
            "layers_per_block": shape.blocks,
            "down_block_types": tuple(down),
            "up_block_types": tuple(up),
            "attention_head_dim": None,
            "dropout": shape.dropout,
            "norm_num_groups": shape.groups,
            "downsample_padding": 0,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "norm_eps": 1e-6,
            "act_fn": "silu",
        }
        self.network = UNet2DModel(**options)

    def forward(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        """As a network of ours."""
        return self.network(x_t, timestep).sample
