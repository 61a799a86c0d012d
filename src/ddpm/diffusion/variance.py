r"""The variance :math:`\sigma_t^2` of p_theta(x_{t-1}|x_t): fixed, learned or optimal (section 3.2; E43-E45, E54).

At t = 1 the posterior variance is 0, so the decoder needs a rule of its own: `beta_tilde_2` is what the authors' code
and the published likelihoods use, `beta_1` is what the paper's text says (P-3), `beta_tilde_1` is what others' code learns
from. Every reported bound names its rule.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ddpm.diffusion.schedule import Schedule
from ddpm.tensors import ImageBatch, PerStep, Times, at

FirstVariance = Callable[[Schedule], Tensor]


def beta_tilde_2(schedule: Schedule) -> Tensor:
    r""":math:`\sigma_1^2 = \tilde\beta_2`: the published rule (E44); :math:`\beta_1` where T = 1."""
    return schedule.beta_tilde[2] if schedule.T > 1 else schedule.beta[1]


def beta_1(schedule: Schedule) -> Tensor:
    r""":math:`\sigma_1^2 = \beta_1`: the rule of the paper's text."""
    return schedule.beta[1]


def beta_tilde_1(schedule: Schedule) -> Tensor:
    r""":math:`\sigma_1^2 = \max(\tilde\beta_1, 10^{-20}) = 10^{-20}`: lucidrains' rule.

    A fixed variance of it is far narrower than a bin, so that L_0 is finite and of no use; as the lower end of a learned one it counts.
    """
    return schedule.beta_tilde[1].clamp(min=1e-20)


FIRST_VARIANCES: Mapping[str, FirstVariance] = {
    "beta-tilde-2": beta_tilde_2,
    "beta-1": beta_1,
    "beta-tilde-1": beta_tilde_1,
}


class Variance(ABC):
    """A rule for the log-variance of the reverse process."""

    outputs: int = 0
    """How many tensors of x_t's shape the network gives for the variance: 0, or 1 if it is learned."""

    @abstractmethod
    def log_var(self, schedule: Schedule, x_t: ImageBatch, t: Times, *outputs: ImageBatch) -> Tensor:
        r""":math:`\log\sigma_t^2`, broadcasting against x_t. `outputs` are the network's, `Variance.outputs` of them."""

    def respace(self, kept: Sequence[int]) -> "Variance":
        """The rule for the chain of only the steps `kept` (see `Schedule.respace`)."""
        return self


class Fixed(Variance):
    """A variance that depends on t alone."""

    @abstractmethod
    def table(self, schedule: Schedule) -> PerStep:
        r""":math:`\sigma_t^2` at index t, (T+1,) float64; entry 0 has no meaning."""

    def log_var(self, schedule: Schedule, x_t: ImageBatch, t: Times, *outputs: ImageBatch) -> Tensor:
        """Looked up in the table."""
        return at(_log_table(self, schedule), t, x_t)


@lru_cache(maxsize=64)
def _log_table(variance: Fixed, schedule: Schedule) -> Tensor:
    return variance.table(schedule).log()


def _with_first(table: Tensor, first: Tensor) -> Tensor:
    """The table with entry 1 (and the meaningless entry 0) replaced."""
    table = table.clone()
    table[:2] = first
    return table


@dataclass(frozen=True)
class FixedLarge(Fixed):
    r""":math:`\sigma_t^2 = \beta_t`: optimal for x_0 ~ N(0, I); the paper's choice for CIFAR-10.

    `first` is the rule for t = 1, one of `FIRST_VARIANCES`.

    Example:
        >>> import ddpm, torch
        >>> schedule = ddpm.linear()
        >>> torch.equal(ddpm.FixedLarge().table(schedule)[2:], schedule.beta[2:])
        True
    """

    first: FirstVariance = beta_tilde_2

    def table(self, schedule: Schedule) -> PerStep:
        """Beta, with the rule for t = 1."""
        return _with_first(schedule.beta, self.first(schedule))


@dataclass(frozen=True)
class FixedSmall(Fixed):
    r""":math:`\sigma_t^2 = \tilde\beta_t`: optimal for x_0 a single point; the better code for images when T is small.

    `first` is the rule for t = 1, one of `FIRST_VARIANCES`.
    """

    first: FirstVariance = beta_tilde_2

    def table(self, schedule: Schedule) -> PerStep:
        """Beta tilde, with the rule for t = 1."""
        return _with_first(schedule.beta_tilde, self.first(schedule))


@dataclass(frozen=True, eq=False)
class Optimal(Fixed):
    r""":math:`\sigma_t^{*2} = \tilde\beta_t + c_t^2\,\tfrac1D E\|x_0 - \hat x_0\|^2`, c_t of x_0 in Eq. 7 (E45).

    The minimiser of every term of the bound for a given mean, where x_0 has a density; `mse_x_0[t]` is the mean squared
    error of the estimate of x_0 at t. It is fenced by that of :math:`x_t/\sqrt{\bar\alpha_t}`, an estimate that anyone has:
    so :math:`\tilde\beta_t \le \sigma_t^2 \le \beta_t/\alpha_t` (Bao et al. 2022, theorem 2). L_0 of pixels is the mass of a
    bin, which has a width of its own, and wants less: `first[t]` is the best variance of the decoder were t the first
    step, or None where it was not measured. `outputs` is what the network gives for a variance that it learned, and is not looked at.
    """

    mse_x_0: PerStep
    first: PerStep | None = None
    outputs: int = 0

    def table(self, schedule: Schedule) -> PerStep:
        """E45; at t = 1 `first`."""
        error = torch.minimum(self.mse_x_0, 1 / schedule.snr)
        table = schedule.beta_tilde + schedule.posterior_x_0**2 * error
        return table if self.first is None else _with_first(table, self.first[1])

    def respace(self, kept: Sequence[int]) -> "Optimal":
        """The same errors of the estimate, and decoders, at the kept steps."""
        there = [0, *kept]
        first = None if self.first is None else self.first[there]
        return Optimal(self.mse_x_0[there], first, self.outputs)


@dataclass(frozen=True)
class Learned(Variance):
    r""":math:`\log\sigma_t^2 = f\log\beta_t + (1-f)\log\tilde\beta_t,\ f = (v+1)/2` (Nichol & Dhariwal 2021, Eq. 15).

    v is the second half of the network's output, unconstrained; at t = 1 the lower end is `first`.
    """

    outputs = 1
    first: FirstVariance = beta_tilde_2

    def log_var(self, schedule: Schedule, x_t: ImageBatch, t: Times, *outputs: ImageBatch) -> Tensor:
        """Interpolated between the two fixed choices."""
        (v,) = outputs
        small = FixedSmall(self.first).log_var(schedule, x_t, t)
        large = FixedLarge(beta_1).log_var(schedule, x_t, t)
        fraction = (v + 1) / 2
        return fraction * large + (1 - fraction) * small


VARIANCES: Mapping[str, Callable[[FirstVariance], Variance]] = {
    "fixed-large": FixedLarge,
    "fixed-small": FixedSmall,
    "learned": Learned,
}
