"""`ddpm verify`: what each checkpoint of a run is worth, and from which one training would go on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ddpm import checkpoints
from ddpm.checkpoints import Damaged
from ddpm.errors import DataError, Failure, Mismatch, NotFound, quoted
from ddpm.run.folder import RunFolder, folder_of
from ddpm.run.validate import require_numbers

WHOLE, DAMAGED, UNSOUND, UNFIT = "whole", "damaged", "unsound", "unfit"
"""What a checkpoint is worth. Its files are what was written also where its state is unsound, or it is unfit: not this run's, or
a later version's. Training passes over what is damaged, and stops at these."""
FAILURES: Mapping[str, type[Failure]] = {DAMAGED: DataError, UNSOUND: DataError, UNFIT: Mismatch}


@dataclass(frozen=True)
class Verdict:
    """A checkpoint: its folder, its step, what is wrong with it (nothing if it is whole), and the bytes of its tensors."""

    path: Path
    step: int
    damage: str
    bytes: int
    worth: str = WHOLE

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path), "whole": self.worth == WHOLE}


def verify(path: Path) -> Iterator[Verdict]:
    """The verdict on a checkpoint, or on each of a run, oldest first; every byte is read, nothing is changed.

    Raises:
        NotFound: there is no run or no checkpoint.
        DataError: the run's configuration is damaged.
    """
    if not path.is_dir():
        raise NotFound(f"{'not a run folder' if path.exists() else 'no such run'}: {str(path)!r}")
    whole = path.resolve()
    one = folder_of(path).path != path
    folder = RunFolder(whole.parent.parent if one else path)
    found = [path] if one else checkpoints.found(folder.checkpoints)
    if not found and not folder.config.exists():
        raise NotFound(f"no run in {str(path)!r}: it has no config.json")
    if not found:
        raise NotFound(f"no checkpoint in {str(path)!r}")
    accept = folder.accept()
    for each in found:
        step = checkpoints.step_of(each) if checkpoints.NAMED.fullmatch(each.name) else -1
        try:
            content = checkpoints.read(each, accept)
        except Damaged as error:
            if each.exists():  # a run that goes on may have retired it meanwhile
                where = "" if error.place == each else f"{error.place.name}: "
                yield Verdict(each, step, f"{where}{error.reason}", 0, DAMAGED)
            continue
        except Mismatch as error:
            yield Verdict(each, step, str(error), 0, UNFIT)
            continue
        try:
            require_numbers(content, each)
        except Damaged as error:
            yield Verdict(each, step, error.reason, 0, UNSOUND)
            continue
        yield Verdict(each, content.numbers["step"], "", content.size)


def resumable(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The newest that is not damaged, if training would go on from it; empty where it would not, or there is none.

    Of a single checkpoint of several nothing is known: training would look at the others too.
    """
    if _are_some(verdicts):
        return []
    return [verdict for verdict in [v for v in verdicts if v.worth != DAMAGED][-1:] if verdict.worth == WHOLE]


def require_whole(verdicts: Sequence[Verdict]) -> None:
    """All of them are. The hint says what training would do.

    Raises:
        DataError: one is damaged, or unsound.
        Mismatch: none is, but one is unfit.
    """
    for worth, failure in FAILURES.items():
        found = [verdict for verdict in verdicts if verdict.worth == worth]
        if found:
            verb = "is" if len(found) == 1 else "are"
            raise failure(f"{len(found)} of {len(verdicts)} {verb} {worth}: {found[-1].path}", _outlook(verdicts))


def _are_some(verdicts: Sequence[Verdict]) -> bool:
    """Whether the run has more checkpoints than these."""
    return bool(verdicts) and len(checkpoints.found(verdicts[-1].path.resolve().parent)) > len(verdicts)


def _outlook(verdicts: Sequence[Verdict]) -> str:
    """What ddpm train would make of these checkpoints, if they are all of a run."""
    if _are_some(verdicts):
        return f"ddpm verify {quoted(str(verdicts[-1].path.resolve().parents[1]))} looks at the other checkpoints of the run too"
    whole = [verdict.path.name for verdict in verdicts if verdict.worth == WHOLE]
    if not whole and verdicts[-1].worth == UNFIT:
        return "ddpm train has nothing to go on from: bring back config.json as it was, or begin anew with another --output-dir"
    if not whole:
        return "ddpm train has nothing to go on from: bring back a copy, or begin anew with another --output-dir"
    if not resumable(verdicts):
        stop = [verdict.path.name for verdict in verdicts if verdict.worth in (UNSOUND, UNFIT)][-1]
        return f"ddpm train stops at {stop}; once it is moved elsewhere, an older one is tried"
    if verdicts[-1].worth == WHOLE:
        return f"ddpm train goes on from {whole[-1]}, the newest; what is older stays as it is"
    return f"ddpm train renames what is newer than {whole[-1]} to .bad-..., and goes on from there"
