"""How fast a training is, and when its time is over: what a budget and a forecast follow from.

Nothing here changes a step: time decides only which step is the last, and how many pictures its look draws.
"""

import itertools
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ddpm.experiment.config import Experiment
from ddpm.training.trainer import Recipe

PREVIEW_STEPS = 50
"""Evaluations of the network for each image of a picture in RUN/samples."""
BACKWARD = 3
"""A step of training costs so many evaluations of the network for each of its images."""
PILOT = 17 / 16
"""Evaluations of the held-out bound, its pilot included, for each that is asked for."""
FIRST, ENOUGH, PATIENCE = 2, 12, 20.0
"""A forecast comes after so many steps at least, after so many at most, or after so many seconds."""
LOOK_SHARE = 0.2
"""The last look of a run with a budget takes no more of it: if all its pictures would, it draws fewer."""
ALMOST = 0.95
"""Of the steps to do, in a time that is too short for more: a plan is not known better, and the learning rate is all but down."""
FAR = 2**53
"""A last step that is never reached."""


def look_in_steps(experiment: Experiment, held_out: int) -> float:
    """What the held-out bound and a picture cost, in steps of training."""
    rhythm, T = experiment.rhythm, experiment.schedule.T
    bound = min(rhythm.images, held_out) * rhythm.evaluations * PILOT if rhythm.evaluate else 0
    picture = rhythm.samples * min(PREVIEW_STEPS, T) if rhythm.sample else 0
    return (bound + picture) / (BACKWARD * experiment.training.batch_size)


def with_looks(experiment: Experiment, held_out: int, steps: float) -> float:
    """So many steps and the looks on their way, in steps."""
    looks = max(steps / max(experiment.rhythm.evaluate, experiment.rhythm.sample, 1), 1)
    return steps + looks * look_in_steps(experiment, held_out)


def steps_within(experiment: Experiment, held_out: int, total: float) -> int:
    """How many steps fit with their looks into the time of `total` steps; at least one. The last look has its share at most."""
    look, every = look_in_steps(experiment, held_out), max(experiment.rhythm.evaluate, experiment.rhythm.sample, 1)
    return max(int(min(total - min(look, LOOK_SHARE * total), total / (1 + look / every))), 1)


@dataclass
class Clock:
    """The time that a run may take: `budget` seconds in all, of which `spent` were before this session; None: as it takes.

    `began` is when this session did.
    """

    budget: float | None
    began: float = field(default_factory=time.monotonic)
    spent: float = 0.0

    @classmethod
    def going_on(cls, budget: float | None, began: float, numbers: Mapping[str, Any]) -> "Clock":
        """That of a run of which a checkpoint holds these numbers; before it had a budget, its log says what was spent."""
        return cls(budget, began, float(numbers.get("spent", numbers.get("ledger", {}).get("seconds", 0.0))))

    @property
    def total(self) -> float:
        """Seconds that were spent, over all sessions."""
        return self.spent + time.monotonic() - self.began

    @property
    def left(self) -> float | None:
        """Seconds until the end; negative after it."""
        return None if self.budget is None else self.budget - self.total

    def stop(self) -> None:
        """The time is over: what was left for the last look counts as spent, and the same budget has no more steps."""
        if self.budget is not None and self.total < self.budget:
            self.spent += self.budget - self.total

    def over(self, reserve: float = 0.0) -> bool:
        """Whether no more than `reserve` seconds are left."""
        left = self.left
        return left is not None and left <= reserve


def ends_by_time(experiment: Experiment) -> bool:
    """Whether only time says which step is the last: the learning rate does not ask how many there are."""
    return experiment.rhythm.budget is not None and experiment.training.decay == "constant"


def recipe_of(experiment: Experiment) -> Recipe:
    """The recipe, without a last step where only time ends the run."""
    return replace(experiment.training, steps=FAR) if ends_by_time(experiment) else experiment.training


@dataclass
class Pace:
    """How long steps take lately, and what a look took."""

    look_steps: float
    look_seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _last: float | None = None
    _spans: deque[float] = field(default_factory=lambda: deque(maxlen=ENOUGH))
    _told: bool = False

    def stepped(self) -> None:
        """A step is done; the first one, which is slow, does not count."""
        now = time.monotonic()
        if self._last is not None:
            self._spans.append(now - self._last)
        self._last = now

    def looked(self) -> None:
        """What was done since the step is no step but a look."""
        if self._last is not None:
            now = time.monotonic()
            self.look_seconds, self._last = now - self._last, now

    @property
    def per_step(self) -> float:
        """Seconds; 0 as long as it is not known."""
        return statistics.median(self._spans) if self._spans else 0.0

    @property
    def look(self) -> float:
        """Seconds that a look may take."""
        return max(self.look_seconds, self.look_steps * self.per_step)

    def known(self) -> bool:
        """Whether this is the moment to say how long all will take: once, after a few steps."""
        count = len(self._spans)
        ready = count >= ENOUGH or (count >= FIRST and time.monotonic() - self._began > PATIENCE)
        if self._told or not ready:
            return False
        self._told = True
        return True


def median_step(steps: Iterable[object], warm_up: int, count: int, enough: Callable[[float], bool]) -> float:
    """Seconds of a step: the median of `count` after the first `warm_up`; of fewer once `enough` (seconds spent) says so.

    The first step, which is slow, never counts: at least two are made.
    """
    times = [time.monotonic()]
    for done, _ in enumerate(steps, start=1):
        times.append(time.monotonic())
        if done >= warm_up + count or (done >= FIRST and enough(times[-1] - times[0])):
            break
    spans = [b - a for a, b in itertools.pairwise(times)]
    return statistics.median(spans[min(warm_up, len(spans) - 1) :])
