"""Another schedule under the same network: its tables, and what the bound would be, from the network's measured error."""

from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor

from ddpm.diffusion.schedule import SCHEDULES, Schedule, from_log_snr
from ddpm.errors import Failure, UsageError, chosen
from ddpm.explorer.asks.asked import Parameters
from ddpm.explorer.subject import Subject
from ddpm.explorer.worker import Steps
from ddpm.sampling.optimal import Curve, best_steps, jumps
from ddpm.trained.measured_curve import kept_curve, measured_curve

MOST = 4000
"""Steps of a schedule."""
BITS = 1 / np.log(2)


class Asked(Parameters):
    """A schedule by name, or its log-SNR at t = 1..T, which falls; and of how many steps the best ones are sought."""

    name: str | None = None
    T: Annotated[int, Field(ge=2, le=MOST)] | None = None
    log_snr: Annotated[list[float], Field(min_length=2, max_length=MOST)] | None = None
    keep: Annotated[int, Field(ge=1, le=100)] = 10


def schedule(subject: Subject, asked: Asked) -> Steps:
    """Its tables; then, where the network's error was measured, the bound on it, and the best steps to keep."""
    found = schedule_of(subject, asked)
    yield {"T": found.T, **tables(found)}
    curve = kept_curve(subject.model.loaded)
    if curve is None:
        yield {"measuring": True}
        try:
            curve = measured_curve(subject.model.loaded, lambda errors, _: errors)
        except Failure as failure:
            yield {"unknown": str(failure), "done": True}
            return
    yield {**bound_on(found, subject.model.schedule, curve, asked.keep), "done": True}


def schedule_of(subject: Subject, asked: Asked) -> Schedule:
    """What was asked for; the model's own, if nothing was.

    Raises:
        UsageError: there is none of this name, or it does not fall.
    """
    if asked.log_snr is not None:
        try:
            return from_log_snr(torch.tensor(asked.log_snr, dtype=torch.float64))
        except ValueError as error:
            raise UsageError(f"no schedule: {error}") from error
    if asked.name is None:
        return subject.model.schedule
    return chosen(SCHEDULES, asked.name, "schedule")(asked.T or subject.model.schedule.T)


def tables(found: Schedule) -> dict[str, Any]:
    """For t = 1..T: beta, alpha-bar, log-SNR, and the weight that Eq. 12 gives to the error of epsilon, with sigma^2 = beta-tilde.

    Of t = 1 there is no such weight: beta-tilde is 0 there.
    """
    weights = found.beta[2:].square() / (2 * found.beta_tilde[2:] * found.alpha[2:] * found.one_minus_alpha_bar[2:])
    columns = {"beta": found.beta, "alpha_bar": found.alpha_bar, "log_snr": found.log_snr}
    return {name: table[1:].tolist() for name, table in columns.items()} | {"weights": [None, *weights.tolist()]}


def bound_on(found: Schedule, own: Schedule, curve: Curve, keep: int) -> dict[str, Any]:
    r"""Bits/dim of the terms at t = 1..T with the best variance (E45), their sum without L_T, and the best steps.

    The error of the network depends on the log-SNR alone, whatever the schedule is called: between the measured ones it is
    interpolated, and beyond them it is that of the nearest.
    """
    moved = moved_to(found, own, curve)
    steps = torch.arange(1, found.T)
    costs = torch.cat([moved.L_0[1:2], jumps(found, moved.mse_x_0)[steps, steps + 1]]) * BITS
    kept, cheapest = best_steps(found, moved, min(keep, found.T))
    return {"bits": costs.tolist(), "total": float(costs.sum()), "kept": kept, "kept_total": cheapest * BITS}


def moved_to(found: Schedule, own: Schedule, curve: Curve) -> Curve:
    """The curve at the times of another schedule."""
    x, at = own.log_snr[1:].numpy()[::-1], found.log_snr[1:].numpy()

    def moved(table: Tensor) -> Float64[Tensor, " T_plus_1"]:
        values = np.exp(np.interp(at, x, table[1:].log().numpy()[::-1]))
        return torch.from_numpy(np.concatenate([[0.0], values]))

    return Curve(moved(curve.mse_x_0), moved(curve.sigma2_1), moved(curve.L_0))
