"""Which checkpoints stay: the newest, the best, and one every so often. Only whole ones count, damaged ones are not touched."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ddpm.checkpoints import reading
from ddpm.checkpoints.manifest import STATE
from ddpm.errors import Mismatch
from ddpm.storage import durable, plain, strict

NEWEST = 3
"""So many checkpoints always stay."""
MEASURE = "bits_per_dim"


def extra(measured: Mapping[int, float], every: int, newest: int = NEWEST) -> list[int]:
    """The steps that may go, oldest first.

    Args:
        measured: for the step of each whole checkpoint, its held-out bits/dim (infinite: not known).
        every: multiples of so many steps stay for ever (0: none).
        newest: so many of the latest stay; at least 1.
    """
    steps = sorted(measured)
    stay = set(steps[-max(newest, 1) :])
    known = [step for step in steps if math.isfinite(measured[step])]
    if known:
        stay.add(min(known, key=lambda step: (measured[step], step)))
    if every:
        stay |= {step for step in steps if step % every == 0}
    return [step for step in steps if step not in stay]


@dataclass
class Keeper:
    """The checkpoints of a run and its rule; remembers which ones it has read, so that each is read once."""

    checkpoints: Path
    every: int = 0
    _seen: dict[Path, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def retire(self, step: int, newest: int = NEWEST) -> None:
        """Remove what the rule lets go, up to `step`: each is renamed first, so a half-removed one is never taken for one.

        Raises:
            OSError: the disk fails.
        """
        whole = {reading.step_of(folder): folder for folder in self._whole(step)}
        measured = {found: self._measure(folder) for found, folder in whole.items()}
        for found in extra(measured, self.every, newest):
            trash = self.checkpoints / f".trash-{whole[found].name}"
            if trash.exists():
                durable.remove(trash)
            durable.rename(whole[found], trash)
            durable.sync_folder(self.checkpoints)  # or half of it might come back under its old name
            durable.remove(trash)

    def trust(self, folder: Path) -> None:
        """It was read back just now and is whole: it is not read again for as long as its files stay as they are."""
        with suppress(OSError):
            self._seen[folder] = _stamps(folder), ""

    def _whole(self, step: int) -> list[Path]:
        folders = [folder for folder in reading.found(self.checkpoints) if reading.step_of(folder) <= step]
        return [folder for folder in folders if not self._damage(folder)]

    def _damage(self, folder: Path) -> str:
        """As `reading.damage`, read anew only if a file has changed."""
        try:
            now = _stamps(folder)
            before, reason = self._seen.get(folder, ((), ""))
            if before != now:
                reason = reading.damage(folder)
                self._seen[folder] = now, reason
        except (OSError, Mismatch) as error:
            return str(error)
        return reason

    @staticmethod
    def _measure(folder: Path) -> float:
        try:
            value = strict.parse(plain.contents(folder / STATE, strict.BYTES)).get(MEASURE, math.inf)
        except (OSError, ValueError, AttributeError):
            return math.inf
        return float(value) if isinstance(value, int | float) else math.inf


def _stamps(folder: Path) -> tuple[int, ...]:
    """What changes when somebody writes to the files of a folder."""
    found = [path.lstat() for path in sorted(folder.iterdir())]
    return tuple(number for one in found for number in (one.st_ino, one.st_size, one.st_mtime_ns))
