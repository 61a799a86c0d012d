"""Which steps a shorter chain keeps: ascending steps of 1..T, always with T, from which N(0, I) is a fair start.

The last kept step always jumps to the clean image: no spacing stops early (`Schedule.respace` takes care). Positions are
rounded, never truncated or accumulated, so every number of steps from 1 to T gives exactly that many.
"""

import warnings
from collections.abc import Callable, Mapping

import torch

from ddpm.diffusion.schedule import Schedule, SignalRemains

Spacing = Callable[[Schedule, int], list[int]]
"""(schedule, how many) -> the steps to keep, ascending. Raises ValueError unless there are so many."""


def uniform(schedule: Schedule, count: int) -> list[int]:
    """Evenly from 1 to T, both kept (T alone if it is one)."""
    return _rounded(_line(1.0, float(schedule.T), count), schedule.T)


def quadratic(schedule: Schedule, count: int) -> list[int]:
    """Steps whose square roots are even, denser near the image (Song et al. 2021, appendix D)."""
    return _rounded([root**2 for root in _line(1.0, schedule.T**0.5, count)], schedule.T)


def trailing(schedule: Schedule, count: int) -> list[int]:
    """Back from T by T / count each (Lin et al. 2024): the first jump to the image is as long as the others."""
    return _rounded([schedule.T * (i + 1) / max(count, 1) for i in range(count)], schedule.T)


def leading(schedule: Schedule, count: int) -> list[int]:
    """From 1 on by T / count each (DDIM's and the Improved DDPM's code), but with T in the place of the last.

    Without T a chain starts from noise where x_t still carries the image, the more so the fewer the steps.
    """
    return _rounded(
        [1 + schedule.T * i / max(count, 1) for i in range(count - 1)] + [schedule.T] * (count > 0), schedule.T
    )


def log_snr(schedule: Schedule, count: int) -> list[int]:
    """Steps nearest to an even division of log SNR(1) ... log SNR(T) (Lu et al. 2022); T itself where it carries nothing."""
    values = schedule.log_snr[1:].detach()
    last = float(values[-1]) if bool(values[-1].isfinite()) else float(values[-2]) if len(values) > 1 else 0.0
    wanted = torch.tensor(_line(float(values[0]), last, count), dtype=torch.float64)
    found = (values[:, None] - wanted).abs().argmin(0) + 1
    return _rounded([float(t) for t in found[:-1]] + [float(schedule.T)] * (count > 0), schedule.T)


def up_to(schedule: Schedule, t: int, count: int, spacing: Spacing) -> list[int]:
    """`count` of the steps 1..t, with t: for a chain that begins at x_t, from an image, and not at x_T.

    Raises:
        ValueError: there are not so many, or t is outside 1..T.
    """
    schedule.check(t)
    if t == schedule.T:
        return spacing(schedule, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SignalRemains)  # x_t is to carry the image
        return spacing(schedule.respace(range(1, t + 1)), count)


def _line(first: float, last: float, count: int) -> list[float]:
    """`count` numbers evenly from first to last; the last alone if it is one."""
    return [first + (last - first) * i / (count - 1) for i in range(count)] if count > 1 else [last] * count


def _rounded(times: list[float], T: int) -> list[int]:
    """To distinct integers in 1..T: none below its place from the start, none above its place from the end."""
    count = len(times)
    if not 1 <= count <= T:
        raise ValueError(f"a chain of {T} steps can keep 1..{T} of them, not {count}")
    steps: list[int] = []
    for i, time in enumerate(times):
        previous = steps[-1] if steps else 0
        steps.append(min(max(round(time), previous + 1), T - (count - 1 - i)))
    return steps


SPACINGS: Mapping[str, Spacing] = {
    "uniform": uniform,
    "quadratic": quadratic,
    "trailing": trailing,
    "leading": leading,
    "log-snr": log_snr,
}
