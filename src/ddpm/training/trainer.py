"""Algorithm 1, as a generator that hands out every step.

All randomness of step n is a function of (seed, n): stopping and going on changes nothing, to the bit.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Lt, MaxLen
from torch import Tensor, nn

from ddpm.diffusion.objective import Objective
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import Diverged, UsageError
from ddpm.models.dropout import place
from ddpm.parallel.world import ALONE, World, full
from ddpm.seeds import by_place, generator, key, normal
from ddpm.training.optimizer import DECAYS, OPTIMIZERS, average_name, ema_decay, learning_rate, update_ema


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
    `label_dropout` is how often the label of an image is hidden from a network with classes (Ho & Salimans 2022, algorithm 1):
    so it also learns the images of all classes together, which guidance needs. Each of `more_ema_decays` is one more average: as
    much memory again as the weights, a quarter more of a checkpoint, and a pass over the weights in every step.
    """

    steps: Annotated[int, Ge(1)] = 800_000
    batch_size: Annotated[int, Ge(1)] = 128
    accumulate: Annotated[int, Ge(1)] = 1
    optimizer: str = "adam"
    lr: Annotated[float, Gt(0), Lt(math.inf)] = 2e-4
    warmup: Annotated[int, Ge(0)] = 5000
    decay: str = "constant"
    clip: Annotated[float, Gt(0), Lt(math.inf)] = 1.0
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.9999
    more_ema_decays: Annotated[tuple[Annotated[float, Ge(0), Lt(1)], ...], MaxLen(16)] = ()
    timesteps: str = "uniform"
    label_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        decays = [self.ema_decay, *self.more_ema_decays]
        if twice := [decay for decay in decays if decays.count(decay) > 1]:
            raise UsageError(f"an average of the weights is asked for twice: decay {twice[0]}")

    @property
    def averages(self) -> Mapping[str, Callable[[int], float]]:
        """The averages of the weights by name, "ema" first: the decay of each after so many steps."""
        more = {average_name(decay): partial(ema_decay, decay=decay) for decay in self.more_ema_decays}
        return {"ema": partial(ema_decay, decay=self.ema_decay), **more}


ALLOWED = 10
"""Steps in a row whose loss or gradient is not finite: one more, and training has diverged."""


LearningRate = Callable[[torch.optim.Optimizer, Recipe, int], float]
"""Sets the learning rate of a step (from 0), if that is for the recipe to say, and returns it."""


def of_recipe(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> float:
    """Warmed up and decayed as the recipe says."""
    lr = learning_rate(step, recipe.steps, recipe.lr, recipe.warmup, DECAYS[recipe.decay])
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def of_optimizer(optimizer: torch.optim.Optimizer, _recipe: Recipe, _step: int) -> float:
    """That of the optimiser (of its first group), which whoever made it sets, or a scheduler of theirs."""
    return float(optimizer.param_groups[0]["lr"])


@dataclass
class State:
    """All that changes while training: weights, their moving averages, the optimiser, and the number of steps done.

    The optimiser may be any that steps without a closure; `lr` says who sets its learning rate. `skipped` steps were passed
    over because their loss or gradient was not finite, the last `in_a_row` of them together.
    """

    network: nn.Module
    averages: dict[str, dict[str, Tensor]]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    lr: LearningRate = of_recipe
    step: int = 0
    skipped: int = 0
    in_a_row: int = 0

    @classmethod
    def start(
        cls,
        network: nn.Module,
        lr: float,
        scaler: torch.amp.GradScaler,
        averages: Iterable[str] = ("ema",),
        optimizer: str = "adam",
    ) -> "State":
        """A new run by an optimiser of `OPTIMIZERS`, whose learning rate the recipe sets; the averages begin at the weights."""
        return cls(network, averages_of(network, averages), OPTIMIZERS[optimizer](network, lr), scaler)

    @classmethod
    def with_optimizer(
        cls, network: nn.Module, optimizer: torch.optim.Optimizer, averages: Iterable[str] = ("ema",)
    ) -> "State":
        """A new run in float32 by an optimiser of one's own, whose learning rate is left alone."""
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        return cls(network, averages_of(network, averages), optimizer, scaler, of_optimizer)

    @property
    def ema(self) -> dict[str, Tensor]:
        """The average that is evaluated."""
        return self.averages["ema"]


def averages_of(network: nn.Module, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Averages of the weights as they begin: each a copy of them."""
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return {average: {name: weight.clone() for name, weight in weights.items()} for average in names}


@dataclass(frozen=True)
class GradientStep:
    """What one gradient step did: `step` are done. `loss` and `grad_norm` (before clipping) are of the whole batch.

    Where one of them is not finite the step was `skipped`: weights, average and optimiser are as they were.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float

    @property
    def skipped(self) -> bool:
        """Whether it changed nothing."""
        return not (math.isfinite(self.loss) and math.isfinite(self.grad_norm))


@runtime_checkable
class TrainingBatches(Protocol):
    """Where the images of each step come from, such as `data.batches.Batches`."""

    @property
    def places(self) -> slice:
        """Which of the `recipe.batch_size` places of a batch this process computes; asked for after ``self[step]``."""
        ...

    def __getitem__(self, step: int, /) -> Tensor:
        """The images of a step (from 0): (places, C, H, W) float32 in [-1, 1]."""
        ...

    def labels_of(self, step: int, dropout: float, /) -> Tensor | None:
        """Their labels, (places,) int64, each -1 with probability `dropout`; None without labels."""
        ...


@dataclass(frozen=True)
class Part:
    """What one backward pass sees: images, with a time, noise and a label (if any) for each.

    `first` is the place of the first one in the whole batch.
    """

    first: int
    x_0: Tensor
    t: Tensor
    eps: Tensor
    label: Tensor | None


@dataclass(frozen=True)
class Team:
    """The processes that take a step together, and the context of a backward pass whose gradient is not exchanged yet."""

    world: World = ALONE
    apart: Callable[[], AbstractContextManager[None]] = nullcontext


SOLO = Team()


def train(
    state: State,
    process: Callable[[], ReverseProcess],
    objective: Objective,
    batches: TrainingBatches,
    recipe: Recipe,
    team: Team = SOLO,
) -> Iterator[GradientStep]:
    """Algorithm 1 from `state.step` to `recipe.steps`; changes `state` in place, yields after every step.

    `process` gives p_theta on `state.network` (wrapped as one likes), asked anew for each part of a batch: its schedule
    may change as the weights do. `batches` are this process' part of the whole batch. A network that draws from torch's
    global generator finds it seeded for each step; it is put back after it.

    Raises:
        Diverged: more than `ALLOWED` steps in a row were not finite.
    """
    state.network.train()
    device = next(state.network.parameters()).device
    T = process().schedule.T
    # As many parts in every process: where weights are in shards, all must take part in each.
    recipe = replace(recipe, accumulate=min(recipe.accumulate, recipe.batch_size // team.world.size))
    for step in range(state.step, recipe.steps):
        loss = torch.zeros((), device=device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(key(recipe.seed, "dropout", step))
            *before, last = draws(batches, T, recipe, step, device)
            for part in (*before, last):
                with nullcontext() if part is last else team.apart():
                    loss += backward(state, process(), objective, part, recipe, step, team.world.size)
        yield update(state, float(team.world.sum(loss)), recipe, step)


def draws(batches: TrainingBatches, T: int, recipe: Recipe, step: int, device: torch.device) -> list[Part]:
    """Lines 2-4 of Algorithm 1: x_0 ~ q(x_0), t ~ Uniform({1, ..., T}), eps ~ N(0, I), in `accumulate` parts.

    Time and noise of a place in the whole batch are the same whichever process computes it.
    """
    x_0, places = batches[step].to(device), range(recipe.batch_size)[batches.places]
    t = TIMESTEPS[recipe.timesteps](T, recipe.batch_size, generator(recipe.seed, "t", step, device=device))
    t, eps = t[batches.places], by_place(x_0, places.start, normal, recipe.seed, "eps", step)
    label = batches.labels_of(step, recipe.label_dropout)
    labels = repeat(None) if label is None else label.to(device).tensor_split(recipe.accumulate)
    parts, first = [], places.start
    for one, time, noise, known in zip(
        *(tensor.tensor_split(recipe.accumulate) for tensor in (x_0, t, eps)), labels, strict=False
    ):
        parts.append(Part(first, one, time, noise, known))
        first += len(one)
    return parts


def backward(
    state: State, p: ReverseProcess, objective: Objective, part: Part, recipe: Recipe, step: int, processes: int
) -> Tensor:
    """Add the gradient of the part's share of the mean over the whole batch; returns that share."""
    place(state.network, key(recipe.seed, "dropout", step), part.first)
    loss = objective(p.given(part.label), part.x_0, part.t, part.eps).sum() / recipe.batch_size
    state.scaler.scale(loss * processes).backward()  # the exchange takes the mean over processes: the sum is wanted
    return loss.detach()


def update(state: State, loss: float, recipe: Recipe, step: int) -> GradientStep:
    """Line 5: the gradient step, then the moving average; nothing, if loss or gradient are not finite."""
    lr = state.lr(state.optimizer, recipe, step)
    state.scaler.unscale_(state.optimizer)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    progress = GradientStep(step + 1, loss, float(full(norm)), lr)
    if progress.skipped:
        halving = state.scaler.is_enabled() and state.scaler.get_scale() > 1  # fp16 finds its scale by overflowing
        state.skipped, state.in_a_row = state.skipped + 1, state.in_a_row + (not halving)
    else:
        state.in_a_row = 0
        state.scaler.step(state.optimizer)
        for name, average in state.averages.items():
            update_ema(average, state.network, recipe.averages[name](step))
    state.scaler.update()
    state.optimizer.zero_grad()
    state.network.zero_grad()  # the optimiser may have but some of the parameters
    state.step = step + 1
    if state.in_a_row > ALLOWED:
        raise Diverged(
            f"loss or gradient was not finite in {state.in_a_row} steps in a row, up to step {state.step}: "
            f"loss {loss}, gradient {progress.grad_norm}",
            "begin anew with a smaller `lr`, or with `precision=fp32` if it was another, in another `output_dir`",
        )
    return progress
