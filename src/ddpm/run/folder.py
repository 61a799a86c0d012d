"""A run folder: where its files are, and how to open it again."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ddpm import checkpoints
from ddpm.checkpoints import Accept, Checkpoint
from ddpm.errors import CannotCreate, DataError, NotFound, UsageError, chosen, quoted
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import from_dict, to_json
from ddpm.run.validate import fitting, require_newest, require_numbers, require_read_alike, require_sound
from ddpm.storage import durable, strict
from ddpm.storage.atomic import write_text


@dataclass(frozen=True)
class RunFolder:
    """RUN/ and its files."""

    path: Path

    @property
    def config(self) -> Path:
        """The experiment."""
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        """One folder for each."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """Grids of samples, by step."""
        return self.path / "samples"

    @property
    def logs(self) -> Path:
        """For TensorBoard."""
        return self.path / "logs"

    @property
    def exit(self) -> Path:
        """How the run last ended."""
        return self.path / "exit.json"

    @property
    def curves(self) -> Path:
        """What weights are worth at every t: a file for each that was measured."""
        return self.path / "curves"

    @property
    def codecs(self) -> Path:
        """What `ddpm compress` needs beside the weights: a file for each that were used; without it nothing is read back."""
        return self.path / "codecs"

    @property
    def bad_images(self) -> Path:
        """Which files of the data could not be read."""
        return self.path / "bad_images.csv"

    @property
    def index(self) -> Path:
        """Which images the run began with."""
        return self.path / "images.index"

    @property
    def data(self) -> Path:
        """Images that were handed over in memory."""
        return self.path / "data.npz"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    @property
    def origin(self) -> Path:
        """Where a model of another library came from, and what was found in it."""
        return self.path / "origin.json"

    def begun(self) -> bool:
        """Whether there is a run with a checkpoint."""
        return self.config.exists() and bool(checkpoints.found(self.checkpoints))

    def create(self) -> None:
        """Make the folder.

        Raises:
            CannotCreate: it cannot be made or written to.
        """
        try:
            durable.make_folder(self.samples)
            durable.make_folder(self.checkpoints)
            durable.sync_folder(self.path)
            durable.sync_folder(self.path.absolute().parent)
        except OSError as error:
            raise CannotCreate(f"cannot create {str(self.path)!r}: {error.strerror}") from error
        if not os.access(self.path, os.W_OK):
            raise CannotCreate(f"{str(self.path)!r} is read-only")

    def tidy(self) -> None:
        """Remove what a killed run was about to give its name; only for who holds the folder.

        Not of the report, which may be drawn by somebody who does not hold it.
        """
        names = [f".tmp-*-{path.name}" for path in self._own if path != self.report]
        rests = [rest for name in names for rest in self.path.glob(name)]
        for rest in (*rests, *self.samples.glob(".tmp-*-step-*.png")):
            durable.discard(rest)

    @property
    def _own(self) -> tuple[Path, ...]:
        """All that a run puts into its folder."""
        files = (self.config, self.metrics, self.exit, self.bad_images, self.index, self.data, self.report, self.origin)
        return (*files, self.checkpoints, self.samples, self.logs, self.curves, self.codecs)

    def needs(self, path: Path) -> bool:
        """Whether this is a run that would be damaged if something else were written to `path`, both absolute.

        Pictures may be put beside its own ones in samples/, and anything under another name into the folder.
        """
        if not (self.config.is_file() and self.checkpoints.is_dir()):
            return False
        own = (*self._own, self.path / ".lock")
        return path == self.path or any(path == one or one in path.parents for one in own if one != self.samples)

    def strangers(self) -> list[str]:
        """Names in the folder that no run puts there; hidden ones aside."""
        ours = {path.name for path in self._own}
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        return [name for name in names if name not in ours and not name.startswith((".", "crash-"))]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock goes with the process, however it ends.

        Raises:
            CannotCreate: another process holds it.
        """
        with (self.path / ".lock").open("a+", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CannotCreate(f"{str(self.path)!r} is in use by another run: {file.read().strip()}") from None
            file.truncate(0)
            file.write(self._holder())
            file.flush()
            yield

    def in_use_by_another(self) -> bool:
        """Whether there is a run that another process is at."""
        if not self.config.exists():
            return False
        try:
            with self.locked():
                return False
        except CannotCreate:
            return (self.path / ".lock").read_text(encoding="utf-8", errors="replace") != self._holder()

    @staticmethod
    def _holder() -> str:
        return f"process {os.getpid()} on {socket.gethostname()}\n"

    def read_experiment(self) -> Experiment:
        """The experiment of an existing run.

        Raises:
            NotFound: there is no config.json.
            DataError: it is no experiment.
        """
        try:
            return from_dict(strict.parse(self.config.read_bytes()))
        except FileNotFoundError:
            raise NotFound(f"no run in {str(self.path)!r}: it has no config.json") from None
        except (ValueError, UsageError) as error:
            raise DataError(f"damaged configuration: {self.config}: {error}") from error

    def accept(self) -> Accept:
        """Whether a checkpoint is of this run's configuration and network, which is built only if it is.

        Raises:
            NotFound: there is no config.json.
            DataError: it is no experiment, or none that can be built.
        """
        experiment = self.read_experiment()
        require_sound(experiment, self.config)
        return fitting(experiment, self.config)

    def require_read_as_trained(self, experiment: Experiment) -> None:
        """The checkpoints that are not damaged were trained with this experiment, which was read from config.json.

        Raises:
            Mismatch: one was not, or it was written by a later version.
        """
        for path in checkpoints.found(self.checkpoints):
            with suppress(checkpoints.Damaged):
                require_read_alike(experiment, self.config, checkpoints.numbers_of(path), path)

    def write_experiment(self, experiment: Experiment) -> None:
        """Write config.json, whole or not at all."""
        write_text(self.config, to_json(experiment))


def folder_of(path: Path) -> RunFolder:
    """The run folder of a checkpoint, or the one that is named itself."""
    whole = path.resolve()
    above = RunFolder(whole.parent.parent)
    if (whole / checkpoints.MANIFEST).exists() or (whole.parent.name == "checkpoints" and above.config.is_file()):
        return above
    return RunFolder(path)


def existing(path: Path) -> RunFolder:
    """The same, of what is there.

    Raises:
        NotFound: no such folder.
    """
    if not path.is_dir():
        what = "not a run folder" if path.exists() else "no such run"
        raise NotFound(f"{what}: {str(path)!r}")
    return folder_of(path)


def find_checkpoint(path: Path) -> tuple[RunFolder, Checkpoint, tuple[str, ...]]:
    """The run folder, the content of one of its checkpoints or of its newest whole one, and what was passed over.

    Raises:
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
    """
    folder = existing(path)
    if folder.path != path:
        content = checkpoints.read(path, folder.accept())
        require_numbers(content, path)
        return folder, content, ()
    content, damaged = checkpoints.newest(folder.checkpoints, folder.accept())
    if content is None and damaged:
        raise DataError(
            f"no whole checkpoint in {str(path)!r}: {damaged[0][1]}",
            f"bring back a copy of one: ddpm verify {quoted(str(path))} says what is wrong with each",
        )
    if content is None:
        raise NotFound(
            f"no checkpoint yet in {str(path)!r}", "ddpm train writes one every rhythm.save steps and at the end"
        )
    require_newest(content, folder.checkpoints, damaged)
    return folder, content, tuple(f"passed over: {reason}" for _, reason in damaged)


def tensors_called(experiment: Experiment, weights: str) -> str:
    """The group of a checkpoint's tensors that `weights` names: "raw", "ema", or another average of the run.

    Raises:
        UsageError: the run has none of this name.
    """
    averages = {name: name for name in experiment.training.averages}
    return chosen({"ema": "ema", "raw": "model", **averages}, weights, "weights")
