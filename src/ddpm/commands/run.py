"""A run folder: where its files are, and how to open it again."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ddpm.commands.files import write_text
from ddpm.commands.fit import fitting, require_numbers, require_sound
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import CannotCreate, DataError, NotFound, UsageError, chosen
from ddpm.experiment import Experiment
from ddpm.launch import local_number
from ddpm.settings import changed, from_dict, to_json
from ddpm.storage import durable, strict
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint, Layouts

NOTHING: Mapping[str, Any] = {}
READINGS = (
    "process.limit",
    "process.variance",
    "process.sigma_1",
    "data.source",
    "data.resolution",
    "data.channels",
    "data.max_broken",
    "data.in_memory",
    "data.workers",
)
"""What may be set for a trained model: how it is read, and how images are read for it."""


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
    def bad_images(self) -> Path:
        """Which files of the data could not be read."""
        return self.path / "bad_images.csv"

    @property
    def index(self) -> Path:
        """Which images the run began with."""
        return self.path / "images.index"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

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
        """Remove what a killed run was about to give its name; only for who holds the folder."""
        names = [f".tmp-*-{path.name}" for path in (self.config, self.exit, self.bad_images)]
        for rest in (
            *self.samples.glob(".tmp-*-step-*.png"),
            *(rest for name in names for rest in self.path.glob(name)),
        ):
            durable.discard(rest)

    def strangers(self) -> list[str]:
        """Names in the folder that no run puts there; hidden ones aside."""
        files = (
            self.config,
            self.checkpoints,
            self.metrics,
            self.samples,
            self.logs,
            self.curves,
            self.exit,
            self.report,
            self.bad_images,
            self.index,
        )
        ours = {path.name for path in files}
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        return [name for name in names if name not in ours and not name.startswith((".", "crash-"))]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock goes with the process, however it ends.

        Raises:
            CannotCreate: another process holds it.
        """
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CannotCreate(f"{str(self.path)!r} is in use by another run: {file.read().strip()}") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

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

    def accept(self) -> Callable[[Layouts], None]:
        """Whether the headers of a checkpoint are those of this run's network, which is built only if they are.

        Raises:
            NotFound: there is no config.json.
            DataError: it is no experiment, or none that can be built.
        """
        experiment = self.read_experiment()
        require_sound(experiment, self.config)
        return fitting(experiment)

    def write_experiment(self, experiment: Experiment) -> None:
        """Write config.json, whole or not at all."""
        write_text(self.config, to_json(experiment))


@dataclass(frozen=True)
class Trained:
    """A trained model: its run, its experiment, the process on its weights, and which weights they are.

    `notes` say which newer checkpoints were passed over, and why.
    """

    folder: RunFolder
    experiment: Experiment
    process: ReverseProcess
    step: int
    weights: str
    device: torch.device
    notes: tuple[str, ...] = ()


def open_run(run: str, weights: str, device: torch.device, settings: Mapping[str, Any] = NOTHING) -> Trained:
    """The model of a run folder (its newest whole checkpoint) or of one checkpoint.

    Args:
        run: the folder.
        weights: "ema", "raw", or another average of the run, such as "ema-0.999".
        device: where to put the network.
        settings: those of `READINGS`, where they are to be other than in the experiment.

    Raises:
        UsageError: a setting that is no way to read this network, or weights that the run does not have.
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
    """
    folder, content, notes = find_checkpoint(Path(run).expanduser())
    experiment = folder.read_experiment()
    group = chosen({"ema": "ema", "raw": "model", **{n: n for n in experiment.training.averages}}, weights, "weights")
    experiment = _read_otherwise(experiment, settings)
    with torch.device("meta"):
        network = experiment.network()
    network.to_empty(device=device).eval()
    checkpoint.load_weights(network, content.tensors[group])
    with torch.no_grad():
        schedule = experiment.schedule_of(network)
        schedule = Schedule(
            schedule.beta.cpu(), schedule.timestep_map.cpu()
        )  # a learned one lives where the network is
    process = experiment.reverse_process(network, experiment.process.limit, schedule)
    return Trained(folder, experiment, process, int(content.numbers["step"]), weights, device, notes)


def _read_otherwise(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    for name in settings:
        if name not in READINGS:
            raise UsageError(f"cannot be set for a trained model: {name!r}", f"choose from {', '.join(READINGS)}")
    found = changed(replace(experiment, objective="variational"), settings)
    if (found.process.variance == "learned") != (experiment.process.variance == "learned"):
        raise UsageError(
            f"the network was not trained for the variance {found.process.variance!r}",
            "a network of a learned variance has an output for it; one of a fixed variance has none",
        )
    return replace(experiment, process=found.process, data=found.data)


def folder_of(path: Path) -> RunFolder:
    """The run folder of a checkpoint, or the one that is named itself."""
    whole = path.resolve()
    if (whole / checkpoint.MANIFEST).exists() or whole.parent.name == "checkpoints":
        return RunFolder(whole.parent.parent)
    return RunFolder(path)


def find_checkpoint(path: Path) -> tuple[RunFolder, Checkpoint, tuple[str, ...]]:
    """The run folder, the content of one of its checkpoints or of its newest whole one, and what was passed over.

    Raises:
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
    """
    if not path.is_dir():
        what = "not a run folder" if path.exists() else "no such run"
        raise NotFound(f"{what}: {str(path)!r}")
    folder = folder_of(path)
    if folder.path != path:
        content = checkpoint.read(path, folder.accept())
        require_numbers(content, path)
        return folder, content, ()
    content, damaged = checkpoint.newest(folder.checkpoints, folder.accept())
    if content is None and damaged:
        raise DataError(f"no whole checkpoint in {str(path)!r}: {damaged[0][1]}")
    if content is None:
        raise NotFound(
            f"no checkpoint yet in {str(path)!r}", "ddpm train writes one every rhythm.save steps and at the end"
        )
    require_numbers(content, path)
    return folder, content, tuple(f"passed over: {reason}" for _, reason in damaged)


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" takes a CUDA GPU where there is one (Apple's must be asked for: they are not tested).

    On a GPU, convolutions of float32 are computed in float32, not in TF32: what is measured is what is said.

    Raises:
        UsageError: this machine has no such device.
    """
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if found["cuda"] else "cpu"
    if not found[name]:
        raise UsageError(
            f"this machine has no device {name!r}", f"--device {' or '.join(n for n in found if found[n])}"
        )
    torch.backends.cudnn.allow_tf32 = False
    if name == "cuda":
        torch.cuda.set_device(local_number() % torch.cuda.device_count())
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(name)
