"""What a training run writes down as it goes: metrics.jsonl and TensorBoard, with the mean loss since the last line.

Every process knows the running loss, the first one writes it down.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ddpm.checkpoints import MEASURE
from ddpm.errors import StorageError
from ddpm.run.folder import RunFolder
from ddpm.storage import durable
from ddpm.storage.atomic import atomically, to_strict_json
from ddpm.training.trainer import GradientStep

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MEASURES = (MEASURE,)
STEP = tuple(field.name for field in fields(GradientStep))
TAGS: Mapping[str, str | tuple[str, ...]] = {
    "loss": ("loss", "grad_norm"),
    "bound": "bits_per_dim",
    "time": ("seconds", "images"),
}
"""The groups of TensorBoard's curves, and how the names begin that are in them; others are in "training"."""
POSTPONED = "owed_"
"""In a checkpoint's numbers, before the name of each field of the postponed step."""


class RunningLoss:
    """The mean loss since the last line, over the steps that were not skipped, and the time spent.

    `postponed` is the last step, if the run was stopped before its log line, evaluation or picture was made; `logged` is the step
    of the last line.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._loss_sum, self._loss_count = float(kept.get("loss_sum", 0.0)), int(kept.get("loss_count", 0))
        self._measured = {name: kept[name] for name in MEASURES if name in kept}
        postponed = {name: kept[f"{POSTPONED}{name}"] for name in STEP if f"{POSTPONED}{name}" in kept}
        self.postponed = GradientStep(**postponed) if len(postponed) == len(STEP) else None
        self.logged = int(kept.get("logged", 0))
        self._clock = time.monotonic() - float(kept.get("seconds", 0.0))

    def add(self, progress: GradientStep) -> None:
        """Take note of a step: in float64, in order, so that a pause in between changes no digit."""
        if not progress.skipped:
            self._loss_sum += progress.loss
            self._loss_count += 1

    def postpone(self, progress: GradientStep) -> None:
        """Log, evaluate and sample after this step only when the run goes on."""
        self.postponed = progress

    def take_postponed(self) -> GradientStep | None:
        """The step that was postponed, if one was; it no longer is."""
        postponed, self.postponed = self.postponed, None
        return postponed

    def kept(self) -> dict[str, Any]:
        """What a checkpoint must hold so that the next line comes out the same."""
        sums = {
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "seconds": self.seconds,
            "logged": self.logged,
        }
        postponed = asdict(self.postponed) if self.postponed else {}
        return {**sums, **self._measured, **{f"{POSTPONED}{name}": value for name, value in postponed.items()}}

    def keep(self, row: Mapping[str, Any]) -> None:
        """Remember what was measured."""
        self._measured |= {name: row[name] for name in MEASURES if name in row and math.isfinite(row[name])}

    def measured(self) -> dict[str, float]:
        """The last held-out measure, by which the best checkpoint is known; empty before the first."""
        return dict(self._measured)

    @property
    def seconds(self) -> float:
        """Time spent on the run, over all its sessions."""
        return time.monotonic() - self._clock

    def row(self, progress: GradientStep, images: int, skipped: int) -> dict[str, Any]:
        """The next line: the mean loss since the last one (NaN if all was skipped), and the state of things at this step."""
        loss = self._loss_sum / self._loss_count if self._loss_count else math.nan
        self._loss_sum, self._loss_count, self.logged = 0.0, 0, progress.step
        return {
            "step": progress.step,
            "images": images,
            "seconds": round(self.seconds, 3),
            "loss": loss,
            "grad_norm": progress.grad_norm,
            "lr": progress.lr,
            "skipped": skipped,
        }


class RunLog:
    """The log of a run from `step` on; lines of later steps, left by a run that was cut off, are removed first."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        _forget_after(folder.metrics, step)
        self._path, self._waiting = folder.metrics, b""
        self._file = folder.metrics.open("ab", buffering=0)
        self._logs, self._purged = folder.logs, step + 1
        self._board: SummaryWriter | None = None
        self._board_failed = False
        self._hook = threading.excepthook
        threading.excepthook = self._without_board

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a line, and the same to TensorBoard. What cannot be written now is, with the next line.

        Raises:
            StorageError: the disk is full or fails.
        """
        self._waiting += (to_strict_json(row) + "\n").encode()
        self._append()
        curves = {tag(name): value for name, value in row.items() if name != "step"}  # that is where they stand
        self._drawn(lambda board: [board.add_scalar(name, value, row["step"]) for name, value in curves.items()])

    def sync(self) -> None:
        """Lines to the disk, before the checkpoint of their step.

        Raises:
            StorageError: the disk is full or fails.
        """
        self._append()
        os.fsync(self._file.fileno())

    def _append(self) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            written = self._waiting
            while written:
                written = written[self._file.write(written) :]
        except OSError as error:
            os.ftruncate(self._file.fileno(), end)  # no half of a line
            raise StorageError(f"cannot write {str(self._path)!r}: {error.strerror}") from error
        self._waiting = b""

    def show(self, name: str, picture: Tensor, step: int) -> None:
        """A picture, (C, H, W) uint8, for TensorBoard.

        Raises:
            StorageError: as `write`.
        """
        self._drawn(lambda board: board.add_image(name, picture, step))

    def _drawn(self, draw: Callable[["SummaryWriter"], object]) -> None:
        """On TensorBoard; once its disk has failed its writer is of no use, and another is tried. That is said once.

        Raises:
            StorageError: the disk fails, and did not before.
        """
        try:
            self._board = self._board or self._new_board()
            draw(self._board)
            self._board_failed = False
        except (OSError, UnicodeEncodeError) as error:  # it takes no folder whose name is not UTF-8
            failed_before, self._board_failed = self._board_failed, True
            self._board = None
            if not failed_before:
                why = error.strerror if isinstance(error, OSError) else "TensorBoard needs a name in UTF-8"
                raise StorageError(f"cannot write {str(self._logs)!r}: {why}") from error

    def _new_board(self) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (a second to import: training begins without)

        return SummaryWriter(self._logs, purge_step=self._purged)

    def _without_board(self, failed: threading.ExceptHookArgs) -> None:
        """A failure in a thread of TensorBoard's own is ignored here: the next call of TensorBoard raises it."""
        if not (isinstance(failed.exc_value, OSError) and "tensorboard" in type(failed.thread).__module__):
            self._hook(failed)

    def close(self) -> None:
        """Everything to the disk.

        Raises:
            StorageError: the disk is full or fails.
        """
        try:
            self.sync()
        finally:
            self._file.close()
            with suppress(OSError):
                if self._board:
                    self._board.close()
            threading.excepthook = self._hook


def tag(name: str) -> str:
    """Where TensorBoard shows a number of the log: its group, and its name."""
    groups = [group for group, begin in TAGS.items() if name.startswith(begin)]
    return f"{groups[0] if groups else 'training'}/{name}"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a line that is none, cut off or damaged, and what follows it are left out."""
    return _rows(path.read_bytes().splitlines() if path.exists() else [])


class GrowingLog:
    """metrics.jsonl while a run goes on: it is read on from where the last reading ended, and anew where a run was taken back."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._end = path, (0, 0), 0
        self._read: list[dict[str, Any]] = []

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines so far, as `read_metrics` gives them; a line that is still being written comes with the next reading."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            state = os.fstat(file.fileno())
            if (state.st_dev, state.st_ino) != self._file or state.st_size < self._end:
                self._file, self._end, self._read = (state.st_dev, state.st_ino), 0, []
            file.seek(self._end)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        new = _rows(whole)
        self._end += sum(map(len, whole[: len(new)]))
        self._read += new
        return self._read


def _rows(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Up to the first line that is none."""
    rows = []
    for line in lines:
        try:
            row = json.loads(line.decode(errors="replace"))
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        if not all(isinstance(value, int | float | None) for value in row.values()):
            break
        rows.append(row)
    return rows


def _forget_after(path: Path, step: int) -> None:
    rows = read_metrics(path)
    kept = [row for row in rows if row["step"] <= step]
    if path.exists():
        with atomically(path) as temporary:
            durable.write(temporary, [(json.dumps(row) + "\n").encode() for row in kept])
