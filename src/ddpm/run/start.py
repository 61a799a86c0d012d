"""How a run starts: anew, going on, or from a named checkpoint; never silently anew, never with another experiment."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.sources import hub
from ddpm.errors import CannotCreate, DataError, Mismatch, quoted
from ddpm.experiment.binding import experiment_in, unlike
from ddpm.experiment.config import Experiment
from ddpm.run.folder import RunFolder, existing, find_checkpoint, folder_of
from ddpm.run.log import read_metrics
from ddpm.run.validate import require_newest


ANOTHER = "use another `output_dir` for a new run"
WITHOUT = "without `resume` a new run begins"


class Start(ABC):
    """How a run in a folder starts: whether it may, and from which checkpoint. One of `Fresh`, `Continue` and `From`."""

    @abstractmethod
    def admit(self, folder: RunFolder) -> None:
        """Refuse what can be refused before a data set is downloaded or looked through.

        Raises:
            CannotCreate: there is a run already (`Fresh`), or the folder holds something else.
            NotFound: the checkpoint to go on from is not there, or is of no run (`From`).
            DataError: there are checkpoints, and no experiment that they are of, or a damaged one.
        """

    @abstractmethod
    def check(self, experiment: Experiment, folder: RunFolder) -> None:
        """Refuse, before anything is touched, to go on with what is another experiment.

        Raises:
            CannotCreate: as `admit`; or the run has gone further than the checkpoint to go on from.
            Mismatch: the run, or the checkpoint's, is of another experiment.
            NotFound: no such checkpoint.
            DataError: as `admit`; or the checkpoint is damaged.
        """

    def source(self, experiment: Experiment, folder: RunFolder) -> str:
        """Where the images are: of a name on the hub, the commit that the run began with; of a new run, today's.

        Raises:
            Failure: as `hub.pinned`.
        """
        run, wanted = self.origin(folder), experiment.data.source
        if run.config.exists() and hub.same(before := run.read_experiment().data.source, wanted):
            return before
        return hub.pinned(wanted)

    @abstractmethod
    def origin(self, folder: RunFolder) -> RunFolder:
        """The folder of the run that goes on."""

    @abstractmethod
    def latest(self, folder: RunFolder) -> tuple[Checkpoint | None, list[str]]:
        """The checkpoint to go on from, if any, and why newer ones are not it; these are set aside.

        Raises:
            DataError: there are checkpoints, and all of them are damaged; or all of them are gone.
        """

    @abstractmethod
    def read_again(self, folder: RunFolder, step: int) -> Checkpoint:
        """In another process: the checkpoint of this step, which `latest` found in the first one."""


class _InItsFolder(Start):
    """With the newest whole checkpoint of the folder, if there is one."""

    def check(self, experiment: Experiment, folder: RunFolder) -> None:
        """The run in the folder is the same experiment."""
        self.admit(folder)
        _require_same_if_there(folder, experiment)

    def origin(self, folder: RunFolder) -> RunFolder:
        """The folder itself."""
        return folder

    def latest(self, folder: RunFolder) -> tuple[Checkpoint | None, list[str]]:
        """The newest that is whole."""
        accept = folder.accept() if folder.config.exists() else checkpoints.anything
        content, damaged = checkpoints.newest(folder.checkpoints, accept)
        if content is None and damaged:
            raise DataError(
                f"no whole checkpoint in {str(folder.path)!r}: {damaged[0][1]}",
                "bring back a copy of one, or begin anew with another `output_dir`",
            )
        if content is not None:
            require_newest(content, folder.checkpoints, damaged)
        begun_anew = _begun_anew(folder) if content is None else []
        checkpoints.tidy(folder.checkpoints, [path for path, _ in damaged])
        return content, [*begun_anew, *(f"passed over: {reason}" for _, reason in damaged)]

    def read_again(self, folder: RunFolder, step: int) -> Checkpoint:
        """That of the step."""
        return checkpoints.read(folder.checkpoints / checkpoints.folder_name(step))


@dataclass(frozen=True)
class Fresh(_InItsFolder):
    """A new run: refused where there is one."""

    def admit(self, folder: RunFolder) -> None:
        """There is no run yet."""
        if folder.config.exists():
            raise CannotCreate(f"there is a run in {str(folder.path)!r} already", "`resume=auto` goes on with it")
        _require_run_or_nothing(folder)


@dataclass(frozen=True)
class Continue(_InItsFolder):
    """The run that is in the folder goes on; where there is none, a new one begins."""

    def admit(self, folder: RunFolder) -> None:
        """There is a run, or nothing else."""
        _require_run_or_nothing(folder)


@dataclass(frozen=True)
class From(Start):
    """From a checkpoint, or from the newest one of a run, which may lie in another folder."""

    path: Path

    def admit(self, folder: RunFolder) -> None:
        """The checkpoint is there, and of a run."""
        _require_run_or_nothing(folder)
        existing(self.path).read_experiment()

    def check(self, experiment: Experiment, folder: RunFolder) -> None:
        """The checkpoint is of the same experiment, and the folder has no later one."""
        self.admit(folder)
        _require_same_if_there(folder, experiment)
        origin, content, _ = find_checkpoint(self.path)
        _require_same(origin.read_experiment(), experiment, origin, _with_its_own(origin), WITHOUT)
        here = content.numbers["step"]
        later = [path.name for path in checkpoints.found(folder.checkpoints) if checkpoints.step_of(path) > here]
        if later:
            raise CannotCreate(
                f"{str(folder.path)!r} has gone further than {str(self.path)!r}: {later[-1]}",
                "use another `output_dir`, or remove the later checkpoints",
            )

    def origin(self, folder: RunFolder) -> RunFolder:
        """That of the checkpoint."""
        return folder_of(self.path)

    def latest(self, folder: RunFolder) -> tuple[Checkpoint | None, list[str]]:
        """The one that is named."""
        return find_checkpoint(self.path)[1], []

    def read_again(self, folder: RunFolder, step: int) -> Checkpoint:
        """The one that is named."""
        return find_checkpoint(self.path)[1]


def start_of(text: str) -> Start:
    """What is typed: "auto" goes on if there is a run, "never" begins one, anything else is the path of a checkpoint."""
    named: Mapping[str, Start] = {"auto": Continue(), "never": Fresh()}
    return named.get(text) or From(Path(text).expanduser())


def _require_run_or_nothing(folder: RunFolder) -> None:
    """A folder with a run, an empty one, or none: what else it holds is not to be mixed with a run."""
    if folder.config.exists():
        return
    if checkpoints.found(folder.checkpoints):
        raise DataError(f"{str(folder.path)!r} has checkpoints, but its config.json is missing: bring it back")
    if strangers := folder.strangers():
        raise CannotCreate(
            f"{str(folder.path)!r} holds other files and no run: {strangers[0]}", "give a new `output_dir`"
        )


def _begun_anew(folder: RunFolder) -> list[str]:
    """A line for the user where a run that left a log has no checkpoint, and must do its steps again.

    Raises:
        DataError: it must have had one: with the second save under way, the first is on the disk.
    """
    rows = read_metrics(folder.metrics)
    if not (rows and folder.config.exists()):
        return []
    step, every = rows[-1]["step"], folder.read_experiment().rhythm.save
    if every and step > 2 * every:
        raise DataError(
            f"{str(folder.path)!r} has a log up to step {step:,}, but no checkpoint: bring one back",
            "to begin anew, give a new `output_dir`",
        )
    return [f"beginning anew: there was no checkpoint yet, though the log went to step {step:,}"]


def other_conditions(content: Checkpoint | None, made_by: Mapping[str, Any]) -> list[str]:
    """A line for the user where a run goes on under other conditions than those of its checkpoint."""
    before = content.numbers.get("made_by") if content is not None else None
    if not isinstance(before, dict):
        return []
    new = [
        f"{name} {made_by[name]} (before: {before[name]})"
        for name in made_by
        if before.get(name, made_by[name]) != made_by[name]
    ]
    return [f"not the same to the bit from here on: {', '.join(new)}"] if new else []


def _require_same_if_there(folder: RunFolder, experiment: Experiment) -> None:
    """A run in the folder is of this experiment."""
    if folder.config.exists():
        _require_same(folder.read_experiment(), experiment, folder, ANOTHER, _with_its_own(folder))


def _with_its_own(folder: RunFolder) -> str:
    return f"`config={quoted(str(folder.config))}` instead of other settings goes on with it"


def require_own(content: Checkpoint | None, experiment: Experiment, folder: RunFolder) -> None:
    """The checkpoint to go on from was written by this experiment; an older one does not say.

    Raises:
        Mismatch: it was written by another.
    """
    before = experiment_in(content.numbers) if content is not None else None
    if before is not None:
        _require_same(before, experiment, folder, ANOTHER, _with_its_own(folder))


def _require_same(old: Experiment, new: Experiment, folder: RunFolder, *hints: str) -> None:
    found = [f"{name}: {before} -> {after}" for name, (before, after) in unlike(old, new).items()]
    if found:
        more = f" and {len(found) - 2} more" if len(found) > 2 else ""
        raise Mismatch(
            f"{str(folder.path)!r} holds another experiment: {'; '.join(found[:2])}{more}",
            *hints,
        )
