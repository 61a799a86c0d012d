"""Another schedule under the same network: its tables, and what the bound would be, from the network's measured error."""

import math
from collections.abc import Generator
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor

from ddpm.data.imageset import ImageSet, to_levels
from ddpm.diffusion.bound import bits_per_dim, prior
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import SCHEDULES, Schedule, from_log_snr
from ddpm.diffusion.variance import FixedSmall
from ddpm.errors import UsageError, chosen
from ddpm.evaluation.curve import curve, errors, some_steps
from ddpm.explorer.asks.asked import Parameters
from ddpm.explorer.subject import Subject
from ddpm.explorer.worker import Steps
from ddpm.sampling.optimal import Curve, best_steps, jumps
from ddpm.trained.measured_curve import kept_curve

MOST = 1000
"""Steps of a schedule."""
KEPT = 20
"""Steps that are sought among them: each more takes some milliseconds of all pages."""
SEEN = 32
"""Images on which the network's error is measured, where nobody did it before."""


class Asked(Parameters):
    """A schedule by name, or its log-SNR at t = 1..T, which falls; and of how many steps the best ones are sought."""

    name: str | None = None
    T: Annotated[int, Field(ge=2, le=MOST)] | None = None
    log_snr: Annotated[list[float], Field(min_length=2, max_length=MOST)] | None = None
    keep: Annotated[int, Field(ge=1, le=KEPT)] = 10


def schedule(subject: Subject, asked: Asked) -> Steps:
    """Its tables; then, by the network's measured error, the bound on it, and the best steps to keep."""
    found = schedule_of(subject, asked)
    yield {"T": found.T, **tables(found)}
    known = subject.curve or kept_curve(subject.model.loaded)
    if known is None:
        known = yield from measured(subject)
    subject.curve = known
    dims = subject.x_0[0].numel()
    prior_bits = float(bits_per_dim(prior(ForwardProcess(found), subject.x_0[:SEEN]), dims).mean())
    yield {**bound_on(found, subject.model.schedule, known, asked.keep), "L_T": prior_bits, "done": True}


def measured(subject: Subject) -> Generator[dict[str, Any] | None, None, Curve]:
    """The network's error on the subject's own images, at some t; says how far it is. What was measured before is kept."""
    model, at = subject.model, some_steps(subject.model.schedule)
    seen = subject.x_0[:SEEN]
    images = ImageSet("explored", to_levels(seen, model.levels), model.levels)
    labels = subject.labels[:SEEN] if model.classes else None
    while missing := [t for t in at if t not in subject.errors]:
        (row,) = errors(model.process, images, 0, SEEN, model.device, labels, missing[:1])
        subject.errors[row.t] = row
        yield {"measured": len(subject.errors), "of": len(at)}
    return curve(iter(subject.errors.values()), model.schedule)


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
    columns = {"beta": found.beta, "alpha_bar": found.alpha_bar, "log_snr": found.log_snr}
    return {name: table[1:].tolist() for name, table in columns.items()} | {
        "weights": [None, *weights(found, FixedSmall())[2:].tolist()]
    }


def bound_on(found: Schedule, own: Schedule, measured: Curve, keep: int) -> dict[str, Any]:
    r"""Bits/dim of the terms at t = 1..T with the best variance (E45), their sum without L_T, and the best steps.

    The error of the network depends on the log-SNR alone, whatever the schedule is called: between the measured ones it is
    interpolated as `evaluation.curve` does, and beyond them it is that of the nearest.
    """
    moved = moved_to(found, own, measured)
    steps = torch.arange(1, found.T)
    costs = torch.cat([moved.L_0[1:2], jumps(found, moved.mse_x_0)[steps, steps + 1]]) / math.log(2)
    kept, cheapest = best_steps(found, moved, min(keep, found.T))
    return {"bits": costs.tolist(), "total": float(costs.sum()), "kept": kept, "kept_total": cheapest / math.log(2)}


def moved_to(found: Schedule, own: Schedule, measured: Curve) -> Curve:
    """The curve at the times of another schedule."""
    x, at = own.log_snr[1:].numpy()[::-1], found.log_snr[1:].numpy()

    def moved(table: Tensor) -> Float64[np.ndarray, " T"]:
        return np.interp(at, x, table[1:].numpy()[::-1])

    error = np.minimum(np.exp(moved(measured.mse_x_0.log())), np.minimum(1.0, np.exp(-at)))
    values = error, np.exp(moved(measured.sigma2_1.log())), moved(measured.L_0)
    return Curve(*(torch.cat([torch.zeros(1, dtype=torch.float64), torch.from_numpy(table)]) for table in values))
