"""Algorithm 1 for people with parts of their own: any network, any iterable of batches, any optimiser.

All randomness but that of the batches is a function of (seed, step). A run that must survive a crash is `ddpm.run`'s.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm.checks import check_images
from ddpm.data.batches import rows_at
from ddpm.diffusion.objective import Objective
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.errors import Diverged, UsageError
from ddpm.models.dropout import place
from ddpm.seeds import by_place, generator, key, normal
from ddpm.training.optimizer import ema_decay, update_ema
from ddpm.training.trainer import ALLOWED, uniform

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


class Average:
    """The moving average of a network's weights, and the network read with it."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise UsageError(f"the decay of the moving average must be in 0..1, 1 excluded: {decay}")
        self._network, self._decay = network, decay
        self.weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    def update(self, step: int) -> None:
        """After `step` steps, counted from 0."""
        update_ema(self.weights, self._network, ema_decay(step, self._decay))

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The network's output with these weights, as in evaluation."""
        was_training = self._network.training
        self._network.eval()
        try:
            return functional_call(self._network, self.weights, inputs)
        finally:
            self._network.train(was_training)


def repeated(data: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of an iterable, again and again.

    Raises:
        UsageError: it has none.
    """
    while True:
        empty = True
        for batch in data:
            empty = False
            yield batch
        if empty:
            raise UsageError("the data have no batch")


def batches_of(x_0: Tensor, labels: Tensor | None, batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches of a tensor (N, ...), in a new order for each epoch; every example is seen equally often."""
    step = 0
    while True:
        rows = rows_at(step, batch_size, len(x_0), seed)
        yield x_0[rows], None if labels is None else labels[rows]
        step += 1


def train(
    p: ReverseProcess,
    batches: Iterator[Batch],
    steps: int,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    seed: int,
    clip: float = 1.0,
) -> Iterator[Progress]:
    """Algorithm 1: `steps` gradient steps on `objective`; changes the network of `p` in place, yields after every step.

    Args:
        p: its network is an `nn.Module`.
        batches: x_0, or (x_0, labels); images in [-1, 1], or points.
        steps: how many.
        objective: (p, x_0, t, eps) -> a number for each example.
        optimizer: of the network's parameters; its learning rate is left alone.
        average: of the weights, if one is kept.
        seed: of times, noise and dropout.
        clip: the gradient's norm is at most this.

    Raises:
        Diverged: more than `ALLOWED` steps in a row were not finite; such steps change nothing.
        UsageError: a batch is none.
    """
    network = p.network
    assert isinstance(network, nn.Module)
    p, parameters = replace(p, limit=unlimited), list(network.parameters())
    device, T, in_a_row = parameters[0].device, p.schedule.T, 0
    averaged = None if average is None else replace(p, network=average)
    for step in range(steps):
        x_0, label = _checked(next(batches), device)  # x_0 ~ q(x_0)
        t = uniform(T, len(x_0), generator(seed, "t", step, device=device))  # t ~ Uniform({1, ..., T})
        eps = by_place(x_0, 0, normal, seed, "eps", step)  # eps ~ N(0, I)
        network.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(key(seed, "dropout", step))
            place(network, key(seed, "dropout", step), 0)
            loss = objective(p.given(label), x_0, t, eps).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, clip)
        if bool(torch.stack([loss.detach(), norm]).isfinite().all()):
            optimizer.step()
            in_a_row = 0
        else:
            in_a_row += 1
        if in_a_row > ALLOWED:
            raise Diverged(f"loss or gradient was not finite in {in_a_row} steps in a row, up to step {step + 1}")
        if average is not None and not in_a_row:
            average.update(step)
        yield Progress(step + 1, float(loss), float(norm), optimizer.param_groups[0]["lr"], averaged)


def _checked(batch: object, device: torch.device) -> tuple[Tensor, Tensor | None]:
    x_0, label = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (batch, None)
    if not isinstance(x_0, Tensor) or not x_0.is_floating_point() or not len(x_0):
        kind = x_0.dtype if isinstance(x_0, Tensor) else type(x_0).__name__
        raise UsageError(f"a batch is a float tensor (batch, ...), or that and labels (batch,): got {kind}")
    if x_0.ndim == 4:
        check_images(x_0)
    return x_0.to(device, torch.float32), None if label is None else torch.as_tensor(label).to(device)
