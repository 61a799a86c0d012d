r"""A schedule with parameters: :math:`\log\mathrm{SNR}(t)` falls by a learned amount at each step (section 2; E89, Q11).

Trained jointly with the network through the bound, where the gradient reaches it by x_t, the weights, L_T and L_0. L_simple
would teach it nothing but to add noise. Afterwards it is an ordinary table.
"""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm.diffusion.schedule import Schedule, SignalRemains, from_log_snr


class LearnedSchedule(nn.Module):
    """T parameters in float64: log SNR(1), and the T - 1 drops from one step to the next, each positive by a softplus."""

    def __init__(self, start: Schedule) -> None:
        """Begin at `start`.

        Raises:
            ValueError: its alpha_bar_T is 0, so that log SNR(T) is not finite.
        """
        super().__init__()
        log_snr = start.log_snr[1:]
        if not bool(log_snr.isfinite().all()):
            raise ValueError("a learned schedule cannot begin where alpha_bar_T = 0")
        self.first = nn.Parameter(log_snr[:1].clone())
        self.drops = nn.Parameter(_softplus_inverse(log_snr[:-1] - log_snr[1:]))

    def forward(self) -> Schedule:
        """The schedule as it is now, with gradients to the parameters."""
        log_snr = torch.cat([self.first, self.first - nn.functional.softplus(self.drops).cumsum(0)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalRemains)  # L_T, a part of its loss, charges for signal that is left
            return from_log_snr(log_snr, "learned")


def _softplus_inverse(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))


class ScheduledNetwork(nn.Module):
    """A network and the schedule that is learned with it: called as the network alone, saved and averaged as one."""

    def __init__(self, network: nn.Module, schedule: LearnedSchedule) -> None:
        super().__init__()
        self.network, self.schedule = network, schedule

    def forward(self, x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        """The network's output."""
        return self.network(x_t, timestep, *label)


def schedule_at(module: ScheduledNetwork, weights: Mapping[str, Tensor]) -> Schedule:
    """The schedule as it would be with other weights of the module, such as their moving average; without gradients."""
    mine = {name.removeprefix("schedule."): value for name, value in weights.items() if name.startswith("schedule.")}
    with torch.no_grad():
        return functional_call(module.schedule, mine, ())
