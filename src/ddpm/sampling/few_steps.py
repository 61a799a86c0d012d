"""A process on fewer steps, and with the best variances: for samples and for the bound alike."""

from dataclasses import dataclass, replace

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError, chosen
from ddpm.sampling.optimal import Curve, best_steps
from ddpm.sampling.timesteps import SPACINGS, up_to

OPTIMAL = "optimal"


@dataclass(frozen=True)
class FewSteps:
    """How many steps to keep (None: all), which ones, and which variance to use (None: the one that it was trained for).

    `exact`: where the model has to be measured for that, it is at every t, and not at some with lines between.
    """

    steps: int | None = None
    spacing: str = "uniform"
    variance: str | None = None
    exact: bool = False

    @property
    def needs_curve(self) -> bool:
        """Whether the model has to be measured first."""
        return OPTIMAL in (self.variance, self.spacing)

    def of(self, p: ReverseProcess, measured: Curve | None = None, t: int | None = None) -> ReverseProcess:
        """The process, shorter: on `steps` of its T steps, or of those up to `t`, where a chain is to begin, and T.

        Raises:
            UsageError: an unknown spacing, t outside 1..T, or more steps than there are.
        """
        schedule = p.schedule
        top = schedule.T if t is None else t
        if not 1 <= top <= schedule.T:
            raise UsageError(
                f"timestep must be in 1..{schedule.T}: {t}",
                f"`timestep={schedule.T}` leaves the least of the image"
                if top > 0
                else "`timestep=1` leaves the most of the image",
            )
        if self.variance == OPTIMAL:
            p = replace(p, variance=_required(measured).variance(p.variance.outputs))
        spacings = {
            **SPACINGS,
            OPTIMAL: lambda part, count: best_steps(part, _required(measured).below(part.T), count)[0],
        }
        spaced = chosen(spacings, self.spacing, "spacing")
        if self.steps in (None, top):
            return p
        try:
            kept = up_to(schedule, top, self.steps, spaced)
        except ValueError as error:
            raise UsageError(f"from t = {t} down: {error}" if t is not None else str(error)) from error
        return p.respace(kept if top == schedule.T else [*kept, schedule.T])

    def check(self, p: ReverseProcess, t: int | None = None) -> None:
        """Refuse what `of` would refuse, before a curve is measured.

        Raises:
            UsageError: as `of`.
        """
        some = torch.ones(p.schedule.T + 1, dtype=torch.float64)
        self.of(p, Curve(some, some, some), t)

    def place(self, t: int) -> int:
        """Where t of the whole chain is on the shorter one that `of` makes up to t."""
        return self.steps or t


def _required(measured: Curve | None) -> Curve:
    if measured is None:
        raise ValueError("the best steps and variances need the network's error at every t")
    return measured
