"""What a training run tells as it goes: what the terminal shows, and a program may follow."""

from dataclasses import dataclass
from typing import Any

from ddpm.checkpoints import Outcome
from ddpm.experiment.config import Experiment


@dataclass(frozen=True)
class Started:
    """The run is ready, in so many `processes`.

    `notes` say what was passed over on the way, `data` how the data were understood, `told` what is as it was asked for.
    `left` are the seconds that are left of its budget, if it has one; negative where none are.
    """

    experiment: Experiment
    images: int
    held_out: int
    parameters: int
    step: int
    precision: str
    processes: int
    notes: tuple[str, ...]
    data: tuple[str, ...]
    left: float | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stepped:
    """One step is done."""

    step: int


@dataclass(frozen=True)
class Expected:
    """After a few steps: one takes `per_step` seconds, the run ends after about so many `steps`, and in `seconds`.

    `planned` are more steps, to the end of which the learning rate falls, where the time that is left is too short for them.
    """

    per_step: float
    steps: int
    seconds: float
    planned: int | None = None


@dataclass(frozen=True)
class Logged:
    """A line of metrics.jsonl."""

    row: dict[str, Any]


@dataclass(frozen=True)
class Halted:
    """Some process was asked to stop, and all have: the state of this step is saved."""

    step: int


Event = Started | Stepped | Expected | Logged | Outcome | Halted
