"""Whether a run may go on, and from where: never silently from the start, never with another experiment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.sources import hub
from ddpm.errors import CannotCreate, DataError, Mismatch
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import differences
from ddpm.run.folder import RunFolder, existing, find_checkpoint, folder_of
from ddpm.run.log import read_metrics
from ddpm.run.validate import require_newest

MAY_CHANGE = (
    *("preset", "training.steps", "training.accumulate", "rhythm.", "compile", "parallel"),
    *("data.source", "data.workers"),
)
"""What a resumed run may set anew: how far, how often, from where, by whom. (Where the learning rate decays towards the end of the
run, another end changes the steps that are left.)"""


def admit(folder: RunFolder, resume: str) -> None:
    """Refuse what can be refused before a data set is downloaded or looked through.

    Raises:
        CannotCreate: there is a run already ("never"), or the folder holds something else.
        NotFound: what is to be gone on from is not there, or is no run.
        DataError: there are checkpoints, and no experiment that they are of, or a damaged one.
    """
    if folder.config.exists():
        if resume == "never":
            raise CannotCreate(f"there is a run in {str(folder.path)!r} already", "--resume auto goes on with it")
    elif checkpoints.found(folder.checkpoints):
        raise DataError(f"{str(folder.path)!r} has checkpoints, but its config.json is missing: bring it back")
    elif strangers := folder.strangers():
        raise CannotCreate(
            f"{str(folder.path)!r} holds other files and no run: {strangers[0]}", "give a new --output-dir"
        )
    if resume not in ("auto", "never"):
        existing(Path(resume).expanduser()).read_experiment()


def check(experiment: Experiment, folder: RunFolder, resume: str) -> None:
    """Refuse, before anything is touched, to go on with what is another experiment.

    Raises:
        CannotCreate: as `admit`; or the run has gone further than the checkpoint that is named.
        Mismatch: the run, or the checkpoint's, is of another experiment.
        NotFound: no such checkpoint.
        DataError: as `admit`; or the named checkpoint is damaged.
    """
    admit(folder, resume)
    if folder.config.exists():
        _same(folder.read_experiment(), experiment, folder)
    if resume not in ("auto", "never"):
        origin, content, _ = find_checkpoint(Path(resume).expanduser())
        _same(origin.read_experiment(), experiment, origin)
        here = content.numbers["step"]
        later = [path.name for path in checkpoints.found(folder.checkpoints) if checkpoints.step_of(path) > here]
        if later:
            raise CannotCreate(
                f"{str(folder.path)!r} has gone further than {resume!r}: {later[-1]}",
                "use another --output-dir, or remove the later checkpoints",
            )


def origin(folder: RunFolder, resume: str) -> RunFolder:
    """The run that goes on: the one in `folder`, or that of the checkpoint that is named."""
    return folder if resume in ("auto", "never") else folder_of(Path(resume).expanduser())


def source(experiment: Experiment, folder: RunFolder, resume: str) -> str:
    """Where the images are: of a name on the hub, the commit that the run began with; of a new run, today's.

    Raises:
        Failure: as `hub.pinned`.
    """
    run, wanted = origin(folder, resume), experiment.data.source
    began = run.read_experiment().data.source if run.config.exists() else ""
    return began if hub.same(began, wanted) else hub.pinned(wanted)


def latest(folder: RunFolder, resume: str) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, if any, and why newer ones are not it; these are set aside.

    Raises:
        DataError: there are checkpoints, and all of them are damaged; or all of them are gone.
    """
    if resume not in ("auto", "never"):
        return find_checkpoint(Path(resume).expanduser())[1], []
    accept = folder.accept() if folder.config.exists() else checkpoints.anything
    content, damaged = checkpoints.newest(folder.checkpoints, accept)
    if content is None and damaged:
        raise DataError(
            f"no whole checkpoint in {str(folder.path)!r}: {damaged[0][1]}",
            "bring back a copy of one, or begin anew with another --output-dir",
        )
    if content is not None:
        require_newest(content, folder.checkpoints, damaged)
    begun_anew = _begun_anew(folder) if content is None else []
    checkpoints.tidy(folder.checkpoints, [path for path, _ in damaged])
    return content, [*begun_anew, *(f"passed over: {reason}" for _, reason in damaged)]


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
            "to begin anew, give a new --output-dir",
        )
    return [f"beginning anew: there was no checkpoint yet, though the log went to step {step:,}"]


def followed(folder: RunFolder, resume: str, step: int) -> Checkpoint:
    """What `latest` found in another process, of this step."""
    if resume not in ("auto", "never"):
        return find_checkpoint(Path(resume).expanduser())[1]
    return checkpoints.read(folder.checkpoints / checkpoints.folder_name(step))


def otherwise(content: Checkpoint | None, made_by: Mapping[str, Any]) -> list[str]:
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


def _same(old: Experiment, new: Experiment, folder: RunFolder) -> None:
    found = [line for line in differences(old, new) if not line.startswith(MAY_CHANGE)]
    if found:
        more = f" and {len(found) - 2} more" if len(found) > 2 else ""
        raise Mismatch(
            f"{str(folder.path)!r} holds another experiment: {'; '.join(found[:2])}{more}",
            "use another --output-dir for a new run",
            "to go on with it, give the flags it was started with",
        )
