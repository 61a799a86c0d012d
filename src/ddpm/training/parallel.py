"""The network on several processes: each computes the gradient of its part of the batch, torch adds them up (DDP)."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ddpm.distributed import World
from ddpm.training.trainer import SOLO, Team


def replicated(network: nn.Module, world: World, device: torch.device) -> tuple[nn.Module, Team]:
    """The network to train with, of which `network` stays the one that is saved, and who takes part."""
    if world.size == 1:
        return network, SOLO
    devices = [device] if device.type == "cuda" else []
    replica = DistributedDataParallel(network, device_ids=devices or None, gradient_as_bucket_view=True)
    return replica, Team(world, replica.no_sync)
