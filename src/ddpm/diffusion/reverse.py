"""The reverse process p_theta: any network, read as a Markov chain (Eq. 1, 11; section 3.2).

A frozen value: wrap the network (EMA, autocast, DDP, an exact denoiser) and build the process again for nothing.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from ddpm.diffusion.decoder import Decoder, log_likelihood
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import Epsilon, Prediction
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, Variance
from ddpm.errors import UsageError
from ddpm.tensors import ImageBatch, Times

Network = Callable[..., Tensor]
"""(x_t, timestep) -> output, or (x_t, timestep, label) for one that can be told what it is to draw."""


def unit_clamp(x_0: ImageBatch) -> ImageBatch:
    """Estimates of x_0 stay in [-1, 1], where images live (the authors' code; P-5)."""
    return x_0.clamp(-1, 1)


def unlimited(x_0: ImageBatch) -> ImageBatch:
    """Estimates of x_0 as they come: Algorithm 2 to the letter, and data that are not images."""
    return x_0


LIMITS: Mapping[str, Callable[[Tensor], Tensor]] = {"unit-clamp": unit_clamp, "unlimited": unlimited}


def named(part: object) -> str:
    """What was given, in a message: a name, a class or function by its name, else of which kind it is."""
    return repr(part) if isinstance(part, str | None) else getattr(part, "__name__", type(part).__name__)


def takes(network: Network, count: int) -> bool:
    """Whether a network can be called with so many arguments; true of one that does not say it."""
    try:
        signature = inspect.signature(network.forward if isinstance(network, nn.Module) else network)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class ReverseProcess:
    """p_theta (Eq. 1). `network` maps (x_t, timestep), shapes (batch, ...) and (batch,), to its output for every image.

    The output has x_t's shape, or twice its channels where the variance is learned (E54). `decoder` turns the last
    Gaussian into probabilities of pixels: `log_likelihood` (256 levels), `discretised(levels)`, or `log_density`. `label` is
    what the network is told of each image (`given`); `project` changes the limited estimates of x_0 (`sampling.inverse`).

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear())
        >>> x_t = torch.randn(2, 3, 8, 8)
        >>> gaussian, x_0 = p(x_t, 1000)  # p(x_999|x_1000), and the estimate of x_0
        >>> gaussian.mean.shape, x_0.shape, p.score(x_t, 1000).shape
        (torch.Size([2, 3, 8, 8]), torch.Size([2, 3, 8, 8]), torch.Size([2, 3, 8, 8]))

    Raises:
        UsageError: a part is of another kind, such as a name, or a network takes other arguments; or the prediction cannot be
            inverted at T because the schedule leaves no signal there.
    """

    network: Network
    schedule: Schedule
    prediction: Prediction = Epsilon()
    variance: Variance = FixedLarge()
    limit: Callable[[Tensor], Tensor] = unit_clamp
    decoder: Decoder = log_likelihood
    label: Int[Tensor, " batch"] | None = None
    project: Callable[[Tensor], Tensor] = unlimited

    def __post_init__(self) -> None:
        for name, kind, like in (
            ("schedule", Schedule, "ddpm.linear()"),
            ("prediction", Prediction, "ddpm.Epsilon() or ddpm.PREDICTIONS[name]"),
            ("variance", Variance, "ddpm.FixedLarge() or ddpm.VARIANCES[name](first)"),
        ):
            if not isinstance(part := getattr(self, name), kind):
                raise UsageError(f"the {name} of a process is a {kind.__name__}, such as {like}, not {named(part)}")
        for name in ("network", "limit", "decoder", "project"):
            if not callable(part := getattr(self, name)):
                raise UsageError(f"the {name} of a process is a function, not {named(part)}")
        if not any(takes(self.network, count) for count in (2, 3)):
            raise UsageError(f"a network is called with (x_t, timestep), and labels third: {named(self.network)}")
        if self.prediction.needs_signal and self.schedule.alpha_bar[-1] == 0:
            raise UsageError(
                f"{type(self.prediction).__name__} cannot be predicted where alpha_bar_T = 0: x_T says nothing of x_0; "
                "predict x0, the mean or v with this schedule"
            )

    def __repr__(self) -> str:
        network, limit = (getattr(part, "__name__", type(part).__name__) for part in (self.network, self.limit))
        prediction, variance = type(self.prediction).__name__, type(self.variance).__name__
        return f"ReverseProcess({network}, {self.schedule!r}, {prediction}, {variance}, {limit})"

    @cached_property
    def q(self) -> ForwardProcess:
        """The forward process that p_theta reverses."""
        return ForwardProcess(self.schedule)

    def __call__(self, x_t: ImageBatch, t: Times) -> tuple[Gaussian, ImageBatch]:
        r""":math:`p_\theta(x_{t-1}|x_t) = \mathcal N(\tilde\mu_t(x_t, \hat x_0), \sigma_t^2 I)` (Eq. 11), and :math:`\hat x_0`.

        Raises:
            ValueError: t is outside 1..T (on an accelerator, where reading it back would stall, outside 0..T raises in
                `at`, and t = 0 is not noticed).
            UsageError: the network's output has the wrong shape.
        """
        output, *rest = self.outputs(x_t, t)
        x_0 = self.project(self.limit(self.prediction.x_0(self.schedule, x_t, output, t)))
        mean = self.q.posterior_mean(x_t, x_0, t)
        return Gaussian(mean, self.variance.log_var(self.schedule, x_t, t, *rest)), x_0

    def estimate(self, x_t: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\hat x_0` alone: what the deterministic samplers need; t and errors as in a call."""
        return self.project(self.limit(self.prediction.x_0(self.schedule, x_t, self.outputs(x_t, t)[0], t)))

    def outputs(self, x_t: ImageBatch, t: Times) -> tuple[Tensor, ...]:
        """One evaluation of the network: the prediction, then what the variance needs, each of x_t's shape."""
        self.schedule.check(t)
        return self.at_timestep(x_t, self.timestep(t, x_t))

    def at_timestep(self, x_t: ImageBatch, timestep: Tensor) -> tuple[Tensor, ...]:
        """The same, by what the network is told, (batch,): a real number where x_t lies between two steps.

        What is infinite becomes NaN: a limit would make an image of it, and nobody would see that there is none.

        Raises:
            UsageError: the network's output is no tensor, or has the wrong shape.
        """
        told = () if self.label is None else (self.label.expand(len(x_t)),)
        output: Any = self.network(x_t, timestep, *told)  # anybody may have written it
        parts = 1 + self.variance.outputs
        expected = (x_t.shape[0], parts * x_t.shape[1], *x_t.shape[2:])
        if not isinstance(output, Tensor) or output.shape != expected:
            given = tuple(output.shape) if isinstance(output, Tensor) else named(output)
            raise UsageError(f"{type(self.variance).__name__} needs an output of shape {expected}, not {given}")
        output = output.nan_to_num(torch.nan, torch.nan, torch.nan)
        return output.chunk(parts, dim=1) if parts > 1 else (output,)

    def timestep(self, t: Times, like: ImageBatch) -> Tensor:
        """What the network is told at step t: (batch,) int64, or float32 where it is told real numbers; on `like`'s device."""
        told = self.schedule.timestep_map
        told = told.float() if told.is_floating_point() else told
        if isinstance(t, int):
            return torch.full((len(like),), told[t].item(), dtype=told.dtype, device=like.device)
        return told.to(t.device)[t]

    def score(self, x_t: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\nabla_{x_t}\log q(x_t) \approx -\epsilon_\theta/\sqrt{1-\bar\alpha_t}`, epsilon by Eq. 4 from the estimate (E56)."""
        return self.q.score(x_t, self.estimate(x_t, t), t)

    def respace(self, kept: Sequence[int]) -> "ReverseProcess":
        """The same network on the chain of only the steps `kept`, ascending (`Schedule.respace`, E13)."""
        return replace(self, schedule=self.schedule.respace(kept), variance=self.variance.respace(kept))

    def given(self, label: Int[Tensor, " batch"] | None) -> "ReverseProcess":
        """p_theta(x_{t-1}|x_t, label): the network is called with the labels third; -1 says nothing. None changes nothing."""
        return self if label is None else replace(self, label=label)

    def row(self, i: int) -> "ReverseProcess":
        """For image i of the batch alone."""
        return self.given(None if self.label is None else self.label[i : i + 1])
