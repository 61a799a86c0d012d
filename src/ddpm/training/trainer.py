"""Algorithm 1, as a generator that hands out every step.

All randomness of step n is a function of (seed, n): stopping and going on changes nothing, to the bit.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from ddpm.data.batches import Batches
from ddpm.diffusion.objective import Objective
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.seeds import generator, key
from ddpm.training.optimizer import DECAYS, adam, ema_decay, learning_rate, update_ema


def uniform(T: int, count: int, random: torch.Generator) -> Tensor:
    """T ~ Uniform({1, ..., T}), independently for each image: line 3 of Algorithm 1."""
    return torch.randint(1, T + 1, (count,), generator=random, device=random.device)


def stratified(T: int, count: int, random: torch.Generator) -> Tensor:
    """One t in each `count`-th part of 1..T, shifted together at random: each t is still uniform, the batch is even.

    Less noise in the loss for nothing (Kingma et al. 2021, appendix I).
    """
    shift = torch.rand((), generator=random, device=random.device)
    places = (torch.arange(count, device=random.device) / count + shift) % 1
    return (places * T).long().clamp(max=T - 1) + 1


TIMESTEPS: Mapping[str, Callable[[int, int, torch.Generator], Tensor]] = {"uniform": uniform, "stratified": stratified}


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the paper's for CIFAR-10 (Appendix B and the authors' code).

    `accumulate` splits a batch into that many parts to save memory: the same images, times and noise, one step.
    `label_dropout` is how often a network with classes is not told an image's (Ho & Salimans 2022, algorithm 1): so it
    also learns the images of all classes together, which guidance needs.
    """

    steps: Annotated[int, Ge(1)] = 800_000
    batch_size: Annotated[int, Ge(1)] = 128
    accumulate: Annotated[int, Ge(1)] = 1
    lr: Annotated[float, Gt(0), Lt(math.inf)] = 2e-4
    warmup: Annotated[int, Ge(0)] = 5000
    decay: str = "constant"
    clip: Annotated[float, Gt(0), Lt(math.inf)] = 1.0
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.9999
    timesteps: str = "uniform"
    label_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    seed: int = 0


@dataclass
class State:
    """All that changes while training: weights, their moving average, the optimiser, and the number of steps done."""

    network: nn.Module
    ema: dict[str, Tensor]
    optimizer: torch.optim.Adam
    scaler: torch.amp.GradScaler
    step: int = 0

    @classmethod
    def start(cls, network: nn.Module, lr: float, scaler: torch.amp.GradScaler) -> "State":
        """A new run: the average begins at the weights."""
        ema = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        return cls(network, ema, adam(network, lr), scaler)


@dataclass(frozen=True)
class Progress:
    """One step: `step` steps are done. `loss` and `grad_norm` (before clipping) are scalars on the device."""

    step: int
    loss: Tensor
    grad_norm: Tensor
    lr: float


def train(
    state: State, process: Callable[[], ReverseProcess], objective: Objective, batches: Batches, recipe: Recipe
) -> Iterator[Progress]:
    """Algorithm 1 from `state.step` to `recipe.steps`; changes `state` in place, yields after every step.

    `process` gives p_theta on `state.network` (wrapped as one likes), asked anew for each part of a batch: its schedule
    may change as the weights do. Dropout uses torch's global generator, seeded for each step and put back after it.
    """
    state.network.train()
    device = next(state.network.parameters()).device
    T = process().schedule.T
    for step in range(state.step, recipe.steps):
        loss = torch.zeros((), device=device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(key(recipe.seed, "dropout", step))
            parts = draws(batches, T, recipe, step, device)
            for (x_0, t, eps), label in zip(parts, labels(batches, recipe, step, device), strict=False):
                part = objective(process().given(label), x_0, t, eps).sum() / recipe.batch_size
                state.scaler.scale(part).backward()
                loss += part.detach()
        yield Progress(step + 1, loss, *_update(state, recipe, step))


def draws(
    batches: Batches, T: int, recipe: Recipe, step: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Lines 2-4 of Algorithm 1: x_0 ~ q(x_0), t ~ Uniform({1, ..., T}), eps ~ N(0, I), in `accumulate` parts."""
    x_0 = batches[step].to(device)
    t = TIMESTEPS[recipe.timesteps](T, len(x_0), generator(recipe.seed, "t", step, device=device))
    eps = torch.randn(x_0.shape, generator=generator(recipe.seed, "eps", step, device=device), device=device)
    return zip(*(tensor.chunk(recipe.accumulate) for tensor in (x_0, t, eps)), strict=True)


def labels(batches: Batches, recipe: Recipe, step: int, device: torch.device) -> Iterable[Tensor | None]:
    """What the network is told of the images of `draws`, part by part: their labels less those dropped, or None."""
    told = batches.told(step, recipe.label_dropout)
    return repeat(None) if told is None else told.to(device).chunk(recipe.accumulate)


def _update(state: State, recipe: Recipe, step: int) -> tuple[Tensor, float]:
    """Line 5: the gradient step, then the moving average. Returns the gradient's norm and the learning rate."""
    lr = learning_rate(step, recipe.steps, recipe.lr, recipe.warmup, DECAYS[recipe.decay])
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    state.scaler.unscale_(state.optimizer)
    grad_norm = nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad()
    update_ema(state.ema, state.network, ema_decay(step, recipe.ema_decay))
    state.step = step + 1
    return grad_norm, lr
