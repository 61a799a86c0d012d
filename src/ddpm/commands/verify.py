"""`ddpm verify`: what each checkpoint of a run is worth, and from which one training would go on."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ddpm.commands.fit import require_numbers
from ddpm.commands.run import RunFolder
from ddpm.errors import DataError, Mismatch, NotFound
from ddpm.training import checkpoint


@dataclass(frozen=True)
class Verdict:
    """A checkpoint: its folder, its step, what is wrong with it (nothing if it is whole), and the bytes of its tensors."""

    path: Path
    step: int
    damage: str
    bytes: int

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path), "whole": not self.damage}


def verify(path: Path) -> Iterator[Verdict]:
    """The verdict on a checkpoint, or on each of a run, oldest first; every byte is read, nothing is changed.

    Raises:
        NotFound: there is no run or no checkpoint.
        DataError: the run's configuration is damaged.
    """
    if not path.is_dir():
        raise NotFound(f"{'not a run folder' if path.exists() else 'no such run'}: {str(path)!r}")
    whole = path.resolve()
    one = (whole / checkpoint.MANIFEST).exists() or whole.parent.name == "checkpoints"
    folder = RunFolder(whole.parent.parent if one else path)
    found = [path] if one else checkpoint.found(folder.checkpoints)
    if not found and not folder.config.exists():
        raise NotFound(f"no run in {str(path)!r}: it has no config.json")
    if not found:
        raise NotFound(f"no checkpoint in {str(path)!r}")
    accept = folder.accept()
    for each in found:
        step = checkpoint.step_of(each) if checkpoint.NAMED.fullmatch(each.name) else -1
        try:
            content = checkpoint.read(each, accept)
            require_numbers(content, str(each))
            yield Verdict(each, content.numbers["step"], "", content.size)
        except (DataError, Mismatch) as error:
            if not each.exists():  # a run that goes on has retired it meanwhile
                continue
            yield Verdict(each, step, str(error), 0)


def resumable(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The newest whole one, from which training would go on; empty where there is none."""
    return [verdict for verdict in verdicts if not verdict.damage][-1:]


def require_whole(verdicts: Sequence[Verdict]) -> None:
    """All of them are.

    Raises:
        DataError: one is damaged.
    """
    damaged = [verdict for verdict in verdicts if verdict.damage]
    if damaged:
        count = f"{len(damaged)} of {len(verdicts)} {'is' if len(damaged) == 1 else 'are'} damaged"
        hint = "ddpm train passes over damaged ones and sets them aside" if len(damaged) < len(verdicts) else ""
        raise DataError(f"{count}: {damaged[-1].path}", hint)
