"""The peer that we measure against: diffusers' UNet2DModel, in the shape that a `UNetShape` of ours has."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
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


def peer_training(
    network: nn.Module, called: Callable[[Tensor, Tensor], Tensor], images: Tensor, batch: int, *, bf16: bool
) -> Callable[[], None]:
    """A step as in diffusers' own examples/unconditional_image_generation/train_unconditional.py, with --use_ema.

    `called` is the network as it is asked, such as compiled; `images` are (N, C, H, W) in [-1, 1] on the CPU.
    """
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    scheduler = DDPMScheduler(num_train_timesteps=1000)

    def step() -> None:
        clean = images[torch.randint(0, len(images), (batch,))].to(device)
        noise = torch.randn(clean.shape, device=device)
        t = torch.randint(0, 1000, (batch,), device=device)
        noisy = scheduler.add_noise(clean, noise, t)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = called(noisy, t)
        torch.nn.functional.mse_loss(output.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    return step
