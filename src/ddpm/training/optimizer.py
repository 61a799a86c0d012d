"""How a step is taken: the optimisers by name, the learning rate over time, the moving average of the weights (E82-E83)."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ddpm.training.adam import adam
from ddpm.training.muon import muon


def constant(_fraction: float) -> float:
    """The paper's: the learning rate stays."""
    return 1.0


def cosine(fraction: float) -> float:
    """Down to 0 along half a cosine: for runs whose end is known, worth more than any other switch."""
    return 0.5 * (1 + math.cos(math.pi * fraction))


DECAYS: Mapping[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}

OPTIMIZERS: Mapping[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {"adam": adam, "muon": muon}
"""(network, learning rate) -> what takes the steps."""


def learning_rate(step: int, steps: int, peak: float, warmup: int, decay: Callable[[float], float]) -> float:
    """The rate of step `step` (from 0) of `steps`: linear from peak/warmup over `warmup` steps, times the decay."""
    return peak * min(1.0, (step + 1) / max(warmup, 1)) * decay(step / steps)


def ema_decay(step: int, decay: float) -> float:
    """The decay after `step` steps (from 0), warmed up so that early weights are forgotten: at most (1+n)/(10+n)."""
    return min(decay, (1 + step) / (10 + step))


def average_name(decay: float) -> str:
    """What another average than "ema" is called, in checkpoints and by --weights: ema-0.999."""
    return f"ema-{decay}"


@torch.no_grad()
def update_ema(ema: Mapping[str, Tensor], network: nn.Module, decay: float) -> None:
    r""":math:`\bar\theta \leftarrow d\,\bar\theta + (1-d)\,\theta`, in place (E82)."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    torch._foreach_lerp_([ema[name] for name in names], list(parameters), 1 - decay)
