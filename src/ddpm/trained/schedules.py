"""`ddpm schedule`: every table of a schedule: by name, of a run, or from a file."""

import math
from typing import Any

import torch

from ddpm.diffusion.bound import constants, prior_table
from ddpm.diffusion.objective import weights
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.errors import NotFound, UsageError, chosen
from ddpm.experiment.config import LEARNED, TABLE, Experiment, ScheduleConfig
from ddpm.experiment.request import read_table
from ddpm.run.folder import folder_of
from ddpm.run.imported import is_name, place, read_run
from ddpm.trained.loaded import load_run


def find(name: str, steps: int | None = None) -> tuple[str, Schedule]:
    """A schedule by name with `steps` steps (None: 1000), that of a run, or that of a file of `read_table`.

    Raises:
        UsageError: none of these, or no schedule at all.
        DataError: the file holds no schedule.
        Mismatch: the run's checkpoints were trained with another one than its config.json says.
    """
    if name in SCHEDULES:
        return name, ScheduleConfig(name, 1000 if steps is None else steps).build(256)
    path = place(name)
    if path.suffix == ".json":
        beta = tuple(read_table(path))
        if steps is not None:
            raise UsageError(f"--steps is for a schedule by name; {name!r} has T = {len(beta)}")
        return path.stem, ScheduleConfig(TABLE, len(beta), beta=beta).build(256)
    if name == LEARNED:
        raise UsageError(
            "a learned schedule is that of a run: name the run folder",
            "ddpm train --schedule learned --objective variational makes one",
        )
    if not path.is_dir() and not is_name(path):
        chosen(SCHEDULES, name, "schedule, run or file", "a run folder", "a file that ddpm schedule --json wrote")
    folder = folder_of(read_run(path))
    experiment = folder.read_experiment()
    if steps is not None:
        raise UsageError(f"--steps is for a schedule by name; {name!r} is a run of T = {experiment.schedule.T}")
    if experiment.data.levels is None:
        raise NotFound(f"the run in {name!r} has not started")
    folder.require_read_as_trained(experiment)
    return experiment.schedule.name, of_run(name, experiment)


def of_run(run: str, experiment: Experiment) -> Schedule:
    """The schedule of a run that has started: from its weights where it is learned."""
    if experiment.schedule.learned:
        return load_run(run, "ema", torch.device("cpu")).process.schedule
    return experiment.schedule.build(experiment.levels)


def tables(schedule: Schedule) -> dict[str, Any]:
    """All tables for t = 1..T as lists, and what follows from the last entry.

    `w_eps` are the weights of Eq. 12 for both fixed variances, `C` what the large one costs whatever the network does.
    """
    large, small = FixedLarge(), FixedSmall()
    per_t = {
        "t": torch.arange(schedule.T + 1),
        "beta": schedule.beta,
        "alpha_bar": schedule.alpha_bar,
        "one_minus_alpha_bar": schedule.one_minus_alpha_bar,
        "beta_tilde": schedule.beta_tilde,
        "snr": schedule.snr,
        "posterior_x_0": schedule.posterior_x_0,
        "posterior_x_t": schedule.posterior_x_t,
        "w_eps_fixed_large": weights(schedule, large),
        "w_eps_fixed_small": weights(schedule, small),
        "C_fixed_large_nats_per_dim": constants(schedule, large),
    }
    return {
        "T": schedule.T,
        **{name: table[1:].tolist() for name, table in per_t.items()},
        "L_T_bits_per_dim": {
            f"x_0^2={square}": prior_table(schedule, math.sqrt(square)) / math.log(2) for square in (0.0, 0.25, 1.0)
        },
    }
