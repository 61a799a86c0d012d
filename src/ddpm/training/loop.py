"""Algorithm 1 for people with parts of their own: any network, any iterable of batches, any optimiser.

All randomness but that of the batches is a function of (seed, step). A run that must survive a crash is `ddpm.run`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm.checks import BYTES, check_images
from ddpm.data.batches import rows_at
from ddpm.diffusion.objective import Objective
from ddpm.diffusion.reverse import Network, ReverseProcess, unlimited
from ddpm.errors import UsageError
from ddpm.models.mode import evaluating
from ddpm.seeds import by_place, generator, key, normal
from ddpm.training.trainer import TIMESTEPS, Part, Recipe, State, backward, update

Batch = Tensor | tuple[Tensor, Tensor | None]
"""x_0 (batch, ...), or x_0 and labels (batch,)."""


@dataclass(frozen=True)
class Progress:
    """One step: `step` steps are done. `loss` is the mean over the batch, `grad_norm` that of its gradient, before clipping.

    `average` is the process on the moving average of the weights as it is now: sample from it, or score it; None without one.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float
    average: ReverseProcess | None = field(default=None, repr=False, compare=False)


def read_with(network: nn.Module, weights: Mapping[str, Tensor]) -> Network:
    """The network as it is in evaluation, with other weights than its own, which are not copied."""

    def averaged(*inputs: Tensor) -> Tensor:
        with evaluating(network):
            return functional_call(network, dict(weights), inputs)

    return averaged


def repeated(data: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of an iterable, again and again.

    Raises:
        UsageError: it has none, or can be gone through only once, and that is done.
    """
    seen = 0
    while True:
        before = seen
        for batch in data:
            seen += 1
            yield batch
        if not seen:
            raise UsageError("the data have no batch")
        if seen == before:
            raise UsageError(
                f"the data have ended after {seen} batches, and cannot be gone through again",
                "give a list or a DataLoader; or an iterator that does not end",
            )


def batches_of(x_0: Tensor, labels: Tensor | None, batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches of a tensor (N, ...), in a new order for each epoch; every example is seen equally often."""
    step = 0
    while True:
        rows = rows_at(step, batch_size, len(x_0), seed)
        yield x_0[rows], None if labels is None else labels[rows]
        step += 1


def train(
    p: ReverseProcess, batches: Iterator[Batch], objective: Objective, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> Iterator[Progress]:
    """Algorithm 1: gradient steps on `objective`; changes the network of `p` in place, yields after every step.

    Args:
        p: its network is an `nn.Module`.
        batches: x_0, or (x_0, labels); images in [-1, 1], or points.
        objective: (p, x_0, t, eps) -> a number for each example.
        optimizer: of the network's parameters; its learning rate is left alone.
        recipe: how many steps, the seed, the decay of the moving average (0: none), and at what norm gradients are clipped.

    Raises:
        Diverged: more than `trainer.ALLOWED` steps in a row were not finite; such steps change nothing.
        UsageError: a batch is none.
    """
    network = p.network
    assert isinstance(network, nn.Module)
    state = State.with_optimizer(network, optimizer, ("ema",) if recipe.ema_decay else ())
    average = replace(p, network=read_with(network, state.ema)) if recipe.ema_decay else None
    p, device = replace(p, limit=unlimited), next(network.parameters()).device
    for step in range(recipe.steps):
        x_0, label = _checked(next(batches), device)  # x_0 ~ q(x_0)
        t = TIMESTEPS[recipe.timesteps](p.schedule.T, len(x_0), generator(recipe.seed, "t", step, device=device))
        eps = by_place(x_0, 0, normal, recipe.seed, "eps", step)  # eps ~ N(0, I)
        network.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(key(recipe.seed, "dropout", step))
            part, this = Part(0, x_0, t, eps, label), replace(recipe, batch_size=len(x_0))
            loss = backward(state, p, objective, part, this, step, 1)
        done = update(state, float(loss.detach()), recipe, step)
        yield Progress(done.step, done.loss, done.grad_norm, done.lr, average)


def _checked(batch: object, device: torch.device) -> tuple[Tensor, Tensor | None]:
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    x_0, label = (*parts, None) if len(parts) == 1 else parts if len(parts) == 2 else (batch, None)
    if not isinstance(x_0, Tensor) or not x_0.is_floating_point() or not len(x_0):
        kind = x_0.dtype if isinstance(x_0, Tensor) else type(x_0).__name__
        hint = BYTES if isinstance(x_0, Tensor) else ""
        raise UsageError(f"a batch is a float tensor (batch, ...), or that and labels (batch,): got {kind}", hint)
    if x_0.ndim == 4:
        check_images(x_0)
    if label is None:
        return x_0.to(device, torch.float32), None
    told = torch.as_tensor(label)
    if told.shape != (len(x_0),):
        raise UsageError(
            f"there must be one label for each of the {len(x_0)} images, got the shape {tuple(told.shape)}"
        )
    return x_0.to(device, torch.float32), told.to(device)
