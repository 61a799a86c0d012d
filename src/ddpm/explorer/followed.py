"""What the pages are about now: the model of a run's newest checkpoint, or, before the first one, the run alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ddpm import checkpoints
from ddpm.errors import DataError
from ddpm.explorer.asks import answers
from ddpm.explorer.asks.about import Nothing
from ddpm.explorer.asks.asked import parameters
from ddpm.explorer.subject import Begun, Subject
from ddpm.explorer.worker import Steps
from ddpm.run.folder import RunFolder
from ddpm.run.imported import is_name, place

NEWS = "news"
"""The ask by which a page hears whether there is another model than the one that it shows."""


@dataclass(eq=False)
class Followed:
    """What the pages are about; `newer` opens the newest checkpoint of its run, and is None of what does not change."""

    now: Subject | Begun
    newer: Callable[[Subject | Begun], Subject] | None = None

    def __post_init__(self) -> None:
        self._seen = self.now.step

    def answers(self, name: str, given: Mapping[str, Any]) -> Steps:
        """As `ddpm.explorer.asks.answers`, about what is there now."""
        if name != NEWS:
            return answers(self.now, name, given)
        parameters(Nothing, given)
        return self._news()

    def _news(self) -> Steps:
        """The step of the model, None before the first checkpoint; a newer checkpoint is opened first.

        `gone` says that the run was deleted: the model is still there, in memory.
        """
        newest = self._newest() if self.newer else None
        if self.newer and newest is not None and newest != self._seen:
            try:
                self.now = self.newer(self.now)
            except DataError:
                self._seen = newest  # it stays damaged: that is said once; what else is wrong may pass
                raise
            self._seen = max(newest, self.now.step or 0)  # a newer one may have come while it was opened
        yield {"step": self.now.step, "gone": self.newer is not None and not self.now.folder.config.exists()}

    def _newest(self) -> int | None:
        """The step of the newest checkpoint; the checkpoint may still be damaged."""
        found = checkpoints.found(self.now.folder.checkpoints)
        return checkpoints.step_of(found[-1]) if found else None


def run_of(name: str) -> RunFolder | None:
    """The run that is named, which may still be training; None of a checkpoint, or of a model that is no run."""
    path = place(name)
    folder = RunFolder(path)
    return folder if not is_name(path) and folder.config.is_file() and folder.checkpoints.is_dir() else None


def begun(folder: RunFolder) -> Begun | None:
    """The run, if it has no checkpoint yet.

    Raises:
        DataError: its configuration is damaged.
    """
    if checkpoints.found(folder.checkpoints):
        return None
    return Begun(folder, folder.read_experiment())
