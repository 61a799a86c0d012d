"""Gradient checkpointing (Chen et al. 2016): what a block computes inside is not kept for the gradient but computed again.

A step takes longer, and keeps less; no bit of the gradient changes.
"""

from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ddpm.models import lucidrains
from ddpm.models.layers import ResidualBlock
from ddpm.models.unet import Stage


def recompute(network: nn.Module) -> None:
    """From now on the blocks of a network keep only what goes in, wherever a gradient is wanted."""
    inside = {block for stage in network.modules() if isinstance(stage, Stage) for block in stage.modules()} - {network}
    for module in network.modules():
        whole = isinstance(module, Stage | lucidrains.Block | lucidrains.Attention)
        if whole or (isinstance(module, ResidualBlock) and module not in inside):
            module.forward = MethodType(_again(type(module)), module)


def _again(kind: type[nn.Module]) -> Any:  # noqa: ANN401
    @wraps(kind.forward)
    def twice(module: nn.Module, *inputs: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return kind.forward(module, *inputs)
        found = checkpoint(kind.forward, module, *inputs, use_reentrant=False)
        assert isinstance(found, Tensor)
        return found

    return twice
