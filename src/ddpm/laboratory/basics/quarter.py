"""N(0, 1/4), of which everything is known in closed form (E85): the data of most of these questions."""

import math

from ddpm.analytic.mixture import gaussian
from ddpm.analytic.process import Diffused
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Optimal
from ddpm.tensors import PerStep

V = 0.25
ENTROPY = 0.5 * math.log(2 * math.pi * math.e * V)
"""H(x_0), nats: no model has a smaller negative log-likelihood."""


def variances(schedule: Schedule) -> PerStep:
    """Var(x_t) at t = 0..T."""
    return 1 + schedule.alpha_bar * (V - 1)


def least_errors(schedule: Schedule) -> PerStep:
    """Var(x_0|x_t) at t = 0..T: what the best estimate of x_0 is still off by, squared."""
    return V * schedule.one_minus_alpha_bar / variances(schedule)


def exact(schedule: Schedule) -> ReverseProcess:
    """p_theta with the true reverse kernels, which are Gaussian here: the best mean, and the optimal variance."""
    return Diffused(gaussian(V), schedule).process(Optimal(least_errors(schedule)))


def few(schedule: Schedule, count: int) -> Schedule:
    """The same process in at most `count` steps, evenly spaced in t, the last one T."""
    T = schedule.T
    return schedule.respace(sorted({max(1, round(T * part / count)) for part in range(1, count + 1)}))
