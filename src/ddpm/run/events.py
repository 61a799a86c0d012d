"""What a training run tells as it goes: what the terminal shows, and a program may follow."""

from dataclasses import dataclass
from typing import Any

from ddpm.checkpoints import Outcome
from ddpm.experiment.config import Experiment


@dataclass(frozen=True)
class Started:
    """The run is ready, in so many `processes`. `notes` say what was passed over on the way."""

    experiment: Experiment
    images: int
    held_out: int
    parameters: int
    step: int
    precision: str
    processes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Stepped:
    """One step is done."""

    step: int


@dataclass(frozen=True)
class Logged:
    """A line of metrics.jsonl."""

    row: dict[str, Any]


@dataclass(frozen=True)
class Halted:
    """Some process was asked to stop, and all have: the state of this step is saved."""

    step: int


Event = Started | Stepped | Logged | Outcome | Halted
