r"""What the network predicts: epsilon, x_0, the posterior mean or v (section 3.2, Eq. 8-12).

A prediction answers two questions: what to regress on, and which estimate of x_0 an output stands for. The mean of
p_theta, epsilon and the score all follow from that estimate by Eq. 4 and 7, so all four express the same bound (E53).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddpm.diffusion.schedule import Schedule
from ddpm.tensors import ImageBatch, Times, at


class Prediction(ABC):
    """A reading of the network's output."""

    needs_signal: ClassVar[bool] = False
    """True where x_0 cannot be found from the output once alpha_bar = 0 (the schedule "jsd")."""

    @abstractmethod
    def target(self, schedule: Schedule, x_0: ImageBatch, eps: ImageBatch, t: Times) -> ImageBatch:
        """What the output should be for ``x_t = q.sample(x_0, t, eps)``."""

    @abstractmethod
    def x_0(self, schedule: Schedule, x_t: ImageBatch, output: ImageBatch, t: Times) -> ImageBatch:
        """The estimate of x_0 that `output` stands for."""


class PointwisePrediction(Prediction):
    r"""A prediction that speaks of one noise level alone: x = a x_0 + s eps, for any a and s with :math:`a^2 + s^2 = 1`.

    So it can be read between the steps too, where the flow goes (`ddpm.diffusion.flow`).
    """

    @abstractmethod
    def output(self, a: Tensor, s: Tensor, x_0: ImageBatch, eps: ImageBatch) -> ImageBatch:
        """What the output should be for ``x = a * x_0 + s * eps``."""

    @abstractmethod
    def origin(self, a: Tensor, s: Tensor, x: ImageBatch, output: ImageBatch) -> ImageBatch:
        """The estimate of x_0 that `output` stands for, at x."""

    def target(self, schedule: Schedule, x_0: ImageBatch, eps: ImageBatch, t: Times) -> ImageBatch:
        r"""At :math:`a = \sqrt{\bar\alpha_t}`."""
        return self.output(*_level(schedule, t, x_0), x_0, eps)

    def x_0(self, schedule: Schedule, x_t: ImageBatch, output: ImageBatch, t: Times) -> ImageBatch:
        r"""At :math:`a = \sqrt{\bar\alpha_t}`."""
        return self.origin(*_level(schedule, t, x_t), x_t, output)


def _level(schedule: Schedule, t: Times, like: ImageBatch) -> tuple[Tensor, Tensor]:
    """The weights a and s at step t."""
    return at(schedule.alpha_bar, t, like).sqrt(), at(schedule.one_minus_alpha_bar, t, like).sqrt()


@dataclass(frozen=True)
class Epsilon(PointwisePrediction):
    r"""The noise of Eq. 4: :math:`\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\epsilon_\theta)/\sqrt{\bar\alpha_t}` (Eq. 15).

    The paper's choice. It has no x_0 where alpha_bar = 0 (`needs_signal`).

    Example:
        >>> import ddpm, torch
        >>> schedule, x_0, eps = ddpm.linear(), torch.rand(2, 3), torch.randn(2, 3)
        >>> x_t = ddpm.ForwardProcess(schedule).sample(x_0, 500, eps)
        >>> torch.allclose(ddpm.Epsilon().x_0(schedule, x_t, eps, 500), x_0, atol=1e-4)
        True
    """

    needs_signal = True

    def output(self, a: Tensor, s: Tensor, x_0: ImageBatch, eps: ImageBatch) -> ImageBatch:
        """Epsilon itself."""
        return eps

    def origin(self, a: Tensor, s: Tensor, x: ImageBatch, output: ImageBatch) -> ImageBatch:
        """Eq. 15."""
        return torch.addcmul(x, s, output, value=-1) / a


@dataclass(frozen=True)
class X0(PointwisePrediction):
    """The image itself."""

    def output(self, a: Tensor, s: Tensor, x_0: ImageBatch, eps: ImageBatch) -> ImageBatch:
        """The image."""
        return x_0

    def origin(self, a: Tensor, s: Tensor, x: ImageBatch, output: ImageBatch) -> ImageBatch:
        """The output."""
        return output


@dataclass(frozen=True)
class Mean(Prediction):
    r"""The posterior mean :math:`\tilde\mu_t` of Eq. 7, the paper's baseline (Eq. 8).

    It speaks of two steps, t and t - 1 of the chain on which the network was trained: on a shorter chain it is read by the
    tables of the whole one.
    """

    def target(self, schedule: Schedule, x_0: ImageBatch, eps: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\tilde\mu_t(x_t, x_0) = \sqrt{\bar\alpha_{t-1}}\,x_0 + c_t\sqrt{1-\bar\alpha_t}\,\epsilon`, c_t of x_t in Eq. 7."""
        whole, t = schedule.whole, _kept(schedule, t)
        signal_before = at(whole.alpha_bar, t - 1, x_0).sqrt()
        noise = at(whole.one_minus_alpha_bar, t, x_0).sqrt()
        return signal_before * x_0 + at(whole.posterior_x_t, t, x_0) * noise * eps

    def x_0(self, schedule: Schedule, x_t: ImageBatch, output: ImageBatch, t: Times) -> ImageBatch:
        """Eq. 7 solved for x_0."""
        whole, t = schedule.whole, _kept(schedule, t)
        return (output - at(whole.posterior_x_t, t, x_t) * x_t) / at(whole.posterior_x_0, t, x_t)


def _kept(schedule: Schedule, t: Times) -> Times:
    """The step of the whole chain that is step t of this one."""
    return int(schedule.kept[t]) if isinstance(t, int) else schedule.kept.to(t.device)[t]


@dataclass(frozen=True)
class Velocity(PointwisePrediction):
    r""":math:`v = \sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0` (Salimans & Ho 2022)."""

    def output(self, a: Tensor, s: Tensor, x_0: ImageBatch, eps: ImageBatch) -> ImageBatch:
        """The velocity along the circle from x_0 to epsilon."""
        return a * eps - s * x_0

    def origin(self, a: Tensor, s: Tensor, x: ImageBatch, output: ImageBatch) -> ImageBatch:
        r""":math:`\sqrt{\bar\alpha_t}\,x_t - \sqrt{1-\bar\alpha_t}\,v`."""
        return a * x - s * output


PREDICTIONS: Mapping[str, Prediction] = {"eps": Epsilon(), "x0": X0(), "mean": Mean(), "v": Velocity()}
