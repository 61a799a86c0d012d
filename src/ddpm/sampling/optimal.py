r"""The best steps and variances for a network that is already trained, from one curve: its error at every t.

With the best variance (E45) a jump from x_t to x_s costs :math:`\frac12\log(1 + (\mathrm{SNR}_s-\mathrm{SNR}_t)\,\mathrm{mse}_t)`
nats per coordinate: the divergence of Eq. 5 on the chain that keeps s and t. So the table of all jumps follows from the mean
squared error of the estimate of x_0, and the best chain of K steps is a shortest path (Watson et al. 2021).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Optimal
from ddpm.tensors import PerStep


@dataclass(frozen=True, eq=False)
class Curve:
    """What a network is worth at each t = 1..T, measured on some images; entry 0 has no meaning. float64.

    `mse_x_0[t]` is the mean squared error of its estimate of x_0. For a chain whose first step is t, `sigma2_1[t]` is the
    best variance of its decoder, and `L_0[t]` what remains with it, nats per coordinate.
    """

    mse_x_0: PerStep
    sigma2_1: PerStep
    L_0: PerStep

    def below(self, t: int) -> "Curve":
        """That of the steps 1..t."""
        return Curve(self.mse_x_0[: t + 1], self.sigma2_1[: t + 1], self.L_0[: t + 1])

    def variance(self, outputs: int = 0) -> Optimal:
        """The best variance for a network of so many `Variance.outputs`."""
        return Optimal(self.mse_x_0, self.sigma2_1, outputs)


def jumps(schedule: Schedule, mse_x_0: PerStep) -> Float64[Tensor, "T_plus_1 T_plus_1"]:
    """What the jump from x_t to x_s costs, nats per coordinate, at [s, t] for 1 <= s < t; infinite elsewhere."""
    gain = (schedule.snr[:, None] - schedule.snr[None, :]).clamp(min=0)
    costs = 0.5 * torch.log1p(gain * mse_x_0)
    steps = torch.arange(schedule.T + 1)
    return costs.where(
        (steps[:, None] >= 1) & (steps[:, None] < steps[None, :]), torch.tensor(math.inf, dtype=torch.float64)
    )


def best_steps(schedule: Schedule, curve: Curve, count: int) -> tuple[list[int], float]:
    """The `count` steps with the smallest bound, T among them, and what they cost without L_T, nats per coordinate.

    Raises:
        ValueError: count is not in 1..T.
    """
    T = schedule.T
    if not 1 <= count <= T:
        raise ValueError(f"a chain of {T} steps can keep 1..{T} of them, not {count}")
    costs = jumps(schedule, curve.mse_x_0)
    cheapest = curve.L_0.clone()  # from x_t to the image, by one step, by two, ...
    cheapest[0] = math.inf
    ways: list[Tensor] = []
    for _ in range(count - 1):
        cheapest, below = (cheapest[:, None] + costs).min(0)
        ways.append(below)
    steps = [T]
    for below in reversed(ways):
        steps.append(int(below[steps[-1]]))
    return steps[::-1], float(cheapest[T])
