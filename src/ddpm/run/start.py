"""How a run starts: anew, going on, or from a named checkpoint; never silently anew, never with another experiment."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.sources import hub
from ddpm.errors import CannotCreate, DataError, Mismatch
from ddpm.experiment.binding import as_of, experiment_in, may_change, unlike
from ddpm.experiment.config import Experiment
from ddpm.experiment.history import CHANGEABLE, changed_after, changed_from
from ddpm.experiment.settings import NOTHING, changed, compared, flat, spelled
from ddpm.models.dropout import DREW
from ddpm.run.folder import RunFolder, existing, find_checkpoint, folder_of
from ddpm.run.imported import own_folder
from ddpm.run.log import read_metrics
from ddpm.run.validate import require_newest

ANOTHER = "use another `output_dir` for a new run"
WITHOUT = "without `resume` a new run begins"


@dataclass(frozen=True)
class Start(ABC):
    """How a run in a folder starts: whether it may, and from which checkpoint. One of `Fresh`, `Continue` and `From`.

    `change` are settings that have other values from that checkpoint on.
    """

    change: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

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

    def own(self, folder: RunFolder) -> Experiment | None:
        """The experiment of the run that goes on; None where a new one begins.

        Raises:
            NotFound: the checkpoint to go on from is not there, or is of no run (`From`).
            DataError: the run's config.json is damaged.
        """
        run = self.origin(folder)
        return run.read_experiment() if run.config.exists() else None

    def images(self, folder: RunFolder) -> str:
        """Where the images of the run that goes on are: in its folder, if they were handed over in memory."""
        run = self.origin(folder)
        return str(run.data) if run.data.exists() else run.read_experiment().data.source

    def command(self, folder: RunFolder) -> Sequence[str]:
        """What is typed to go on as the run is."""
        return ["ddpm", "train", "--output-dir", str(folder.path)]

    def changed(self, experiment: Experiment, content: Checkpoint | None, folder: RunFolder) -> Experiment:
        """The experiment with what is to be changed from the checkpoint on.

        Raises:
            Mismatch: it has been changed so already, from a later step on, and nobody named this checkpoint.
        """
        step = content.numbers["step"] if content is not None else 0
        read = flat(spelled(changed(experiment, self.change)))  # 64.0 is 64, as in any setting
        wanted = {name: read[name] for name in self.change if name in CHANGEABLE}
        self.require_clear(experiment, step, wanted, folder)
        recipe, changes = changed_from(experiment.training, experiment.changes, step, wanted)
        return replace(experiment, training=recipe, changes=changes)

    @abstractmethod
    def require_clear(self, experiment: Experiment, step: int, wanted: Mapping[str, Any], folder: RunFolder) -> None:
        """It is clear that a change is meant from this step on, where the same is on record from a later one.

        Raises:
            Mismatch: it is not.
        """

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
        if folder.config.exists():
            _require_same(folder.read_experiment(), experiment, folder, self.command(folder))

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

    def require_clear(self, experiment: Experiment, step: int, wanted: Mapping[str, Any], folder: RunFolder) -> None:
        """Nothing of it is on record from a later step on: else the newest checkpoint was lost, and who asks may not know."""
        later = {name: changed_after(experiment.changes, step, name) for name in wanted}
        known = {name: found[-1] for name, found in later.items() if found and found[-1].after == wanted[name]}
        if not known:
            return
        first, command = next(iter(known.values())), self.command(folder)
        read = flat(spelled(changed(experiment, self.change)))
        asked = {name: read.get(name, value) for name, value in self.change.items()}
        new = {name: value for name, value in asked.items() if name not in known}
        with_new = shlex.join([*command, *_typed("--change", new)])
        here = str(folder.checkpoints / checkpoints.folder_name(step))
        change = shlex.join([*command, "--resume", here, *_typed("--change", asked)])
        raise Mismatch(
            f"{first.setting} = {first.after} is on record from step {first.step:,} on, but the run goes on from step {step:,}, "
            f"as later checkpoints are damaged or gone: {str(folder.path)!r}",
            f"{with_new} goes on as it is on record{', with what is new' if new else ''}",
            f"{change} changes it from step {step:,} on instead" if step else "",
        )

    def read_again(self, folder: RunFolder, step: int) -> Checkpoint:
        """That of the step."""
        return checkpoints.read(folder.checkpoints / checkpoints.folder_name(step))


@dataclass(frozen=True)
class Fresh(_InItsFolder):
    """A new run: refused where there is one."""

    def own(self, folder: RunFolder) -> Experiment | None:
        """None: a new one begins, or is refused."""
        return None

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

    def own(self, folder: RunFolder) -> Experiment | None:
        """That of the checkpoint."""
        return existing(self.path).read_experiment()

    def command(self, folder: RunFolder) -> Sequence[str]:
        """From the checkpoint."""
        return [*super().command(folder), "--resume", str(self.path)]

    def admit(self, folder: RunFolder) -> None:
        """The checkpoint is there, and of a run."""
        _require_run_or_nothing(folder)
        existing(self.path).read_experiment()

    def check(self, experiment: Experiment, folder: RunFolder) -> None:
        """The checkpoint is of the same experiment, and the folder has no later one."""
        self.admit(folder)
        origin, content, _ = find_checkpoint(self.path)
        here = content.numbers["step"]
        if folder.config.exists():  # its config.json may have a change already that begins here
            before, now = (as_of(found, here) for found in (folder.read_experiment(), experiment))
            _require_same(before, now, folder, self.command(folder))
        _require_same(origin.read_experiment(), experiment, origin, self.command(folder), WITHOUT)
        later = [path.name for path in checkpoints.found(folder.checkpoints) if checkpoints.step_of(path) > here]
        if later:
            raise CannotCreate(
                f"{str(folder.path)!r} has gone further than {str(self.path)!r}: {later[-1]}",
                "use another `output_dir`, or remove the later checkpoints",
            )

    def origin(self, folder: RunFolder) -> RunFolder:
        """That of the checkpoint."""
        return folder_of(self.path)

    def require_clear(self, experiment: Experiment, step: int, wanted: Mapping[str, Any], folder: RunFolder) -> None:
        """It is: who names a checkpoint means from there on."""

    def latest(self, folder: RunFolder) -> tuple[Checkpoint | None, list[str]]:
        """The one that is named, or the newest whole one of the run that is."""
        _, content, passed = find_checkpoint(self.path)
        return content, list(passed)

    def read_again(self, folder: RunFolder, step: int) -> Checkpoint:
        """That one, though the run that is named may have gone on meanwhile."""
        run = folder_of(self.path)
        return checkpoints.read(self.path if run.path != self.path else run.checkpoints / checkpoints.folder_name(step))


def start_of(text: str, change: Mapping[str, Any] = NOTHING) -> Start:
    """What is typed: "auto" goes on if there is a run, "never" begins one, anything else is the path of a checkpoint.

    `change` are settings that a run gets anew from there on.
    """
    named: Mapping[str, Start] = {"auto": Continue(change=change), "never": Fresh(change=change)}
    return named.get(text) or From(own_folder(text), change=change)


def _require_run_or_nothing(folder: RunFolder) -> None:
    """A folder with a run, an empty one, or none: what else it holds is not to be mixed with a run."""
    if folder.config.exists():
        return
    if checkpoints.found(folder.checkpoints):
        raise DataError(
            f"{str(folder.path)!r} has checkpoints, but its config.json is missing: bring it back, as it says what the run is",
            "to begin anew, give a new `output_dir`",
        )
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


UNSAID = {"dropout": DREW, "layout": "channels first"}
"""What was so where a checkpoint does not say it."""


def other_conditions(content: Checkpoint | None, made_by: Mapping[str, Any]) -> list[str]:
    """A line for the user where a run goes on under other conditions than those of its checkpoint."""
    before = content.numbers.get("made_by") if content is not None else None
    if not isinstance(before, dict):
        return []
    before = {**made_by, **UNSAID, **before}
    new = [f"{name} {made_by[name]} (before: {before[name]})" for name in made_by if before[name] != made_by[name]]
    return [f"not the same to the bit from here on: {', '.join(new)}"] if new else []


def require_own(content: Checkpoint | None, experiment: Experiment, folder: RunFolder, start: Start) -> None:
    """The checkpoint to go on from was written by this experiment, as it was then; an older one does not say.

    Raises:
        Mismatch: it was written by another.
    """
    before = experiment_in(content.numbers) if content is not None else None
    if content is None or before is None:
        return
    step, config = content.numbers["step"], start.origin(folder).config
    odd = unlike(before, as_of(experiment, step))
    if odd:
        values = "; ".join(f"{name}: {was} -> {now}" for name, (was, now) in odd.items())
        was = ", ".join(f"{name} = {then}" for name, (then, _) in odd.items())
        changes = _typed("--change", {name: now for name, (_, now) in odd.items()})
        typed = shlex.join([*start.command(folder), *changes])
        raise Mismatch(
            f"{config} is not what the checkpoint of step {step:,} was trained with: {values}",
            f"put back into config.json what was: {was}",
            f"then {typed} changes it from here on" if set(odd) <= set(CHANGEABLE) else "",
        )


def _require_same(
    old: Experiment, new: Experiment, folder: RunFolder, command: Sequence[str], otherwise: str = ANOTHER
) -> None:
    odd = unlike(old, new)
    if odd:
        found = [f"{name}: {before} -> {after}" for name, (before, after) in odd.items()]
        more = f" and {len(found) - 6} more" if len(found) > 6 else ""
        asked = {name: after for name, (_, after) in compared(old, new).items()}
        raise Mismatch(
            f"{str(folder.path)!r} holds another experiment: {'; '.join(found[:6])}{more}",
            *ways_on(command, asked, changeable=set(odd) <= set(CHANGEABLE)),
            otherwise,
        )


def ways_on(command: Sequence[str], asked: Mapping[str, Any], *, changeable: bool) -> list[str]:
    """Commands that go on with a run: with all that is asked for, if it may be `changeable`; and with what may be anew."""
    free = {name: value for name, value in asked.items() if may_change(name) and name not in UNTYPED}
    typed = shlex.join([*command, *_typed("--set", {n: v for n, v in free.items() if n not in FLAGS}), *_flags(free)])
    as_it_is = f"{typed} goes on with it as it is"
    if not changeable:
        return [as_it_is]
    others = {name: value for name, value in asked.items() if name in CHANGEABLE}
    return [f"{typed} {shlex.join(_typed('--change', others))} changes it from here on", as_it_is]


FLAGS = {"training.steps": "--steps", "data.source": "--data"}
UNTYPED = ("preset", "init", "changes")
"""What is never asked for as a setting, or means nothing."""


def _flags(settings: Mapping[str, Any]) -> list[str]:
    return [word for name, flag in FLAGS.items() if name in settings for word in (flag, str(settings[name]))]


def _typed(flag: str, settings: Mapping[str, Any]) -> list[str]:
    return [
        word
        for name, value in settings.items()
        for word in (flag, f"{name}={str(value).lower() if isinstance(value, bool) else value}")
    ]


def other_end(own: Experiment | None, experiment: Experiment) -> list[str]:
    """A line where a run goes on to another end than it was started for, and its learning rate aims at the end."""
    steps = experiment.training.steps
    if own is None or own.training.steps == steps or own.training.decay == "constant":
        return []
    return [
        f"the learning rate decays towards the last step: with {steps:,} steps instead of {own.training.steps:,} it is another "
        "from here on, and not what it would have been from the start"
    ]
