"""A run folder: where its files are, and how to open it again."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import CannotCreate, DataError, NotFound, StorageError, UsageError
from ddpm.experiment import Experiment, changed, from_dict, to_json
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint

NOTHING: Mapping[str, Any] = {}


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

    def create(self) -> None:
        """Make the folder.

        Raises:
            CannotCreate: it cannot be made or written to.
        """
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise CannotCreate(f"cannot create {str(self.path)!r}: {error.strerror}") from error
        if not os.access(self.path, os.W_OK):
            raise CannotCreate(f"{str(self.path)!r} is read-only")

    def read_experiment(self) -> Experiment:
        """The experiment of an existing run.

        Raises:
            NotFound: there is no config.json.
            DataError: it is no JSON.
        """
        try:
            return from_dict(json.loads(self.config.read_text()))
        except FileNotFoundError:
            raise NotFound(f"no run in {str(self.path)!r}: it has no config.json") from None
        except ValueError as error:
            raise DataError(f"damaged configuration: {self.config}: {error}") from error

    def write_experiment(self, experiment: Experiment) -> None:
        """Write config.json, whole or not at all."""
        write_text(self.config, to_json(experiment))


def write_text(path: Path, text: str) -> None:
    """Write a small file beside, then move it in place.

    Raises:
        StorageError: the disk is full or fails.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


@dataclass(frozen=True)
class Trained:
    """A trained model: its experiment, the process on its weights, and which weights they are."""

    experiment: Experiment
    process: ReverseProcess
    step: int
    weights: str
    device: torch.device


def open_run(run: str, weights: str, device: torch.device, settings: Mapping[str, Any] = NOTHING) -> Trained:
    """The model of a run folder (its newest whole checkpoint) or of one checkpoint.

    Args:
        run: the folder.
        weights: "ema" or "raw".
        device: where to put the network.
        settings: fields "process...." of the experiment to read the network with, other than it was trained with.

    Raises:
        UsageError: a setting that is no way to read this network.
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
    """
    path = Path(run).expanduser()
    if not path.exists():
        raise NotFound(f"no such run: {run!r}")
    folder, content = _find(path)
    experiment = folder.read_experiment()
    outputs = experiment.process.variance == "learned"
    for name in settings:
        if not name.startswith("process."):
            raise UsageError(f"only process.* can be set for a trained model: {name!r}")
    experiment = changed(experiment, settings)
    if (experiment.process.variance == "learned") != outputs:
        raise UsageError(f"the network was not trained for the variance {experiment.process.variance!r}")
    with torch.device("meta"):
        network = experiment.network()
    network.to_empty(device=device).eval()
    checkpoint.load_weights(network, content.tensors[{"ema": "ema", "raw": "model"}[weights]])
    process = experiment.reverse_process(network, experiment.process.limit)
    return Trained(experiment, process, int(content.numbers["step"]), weights, device)


def _find(path: Path) -> tuple[RunFolder, Checkpoint]:
    if (path / checkpoint.MANIFEST).exists() or path.parent.name == "checkpoints":
        return RunFolder(path.parent.parent), checkpoint.read(path)
    folder = RunFolder(path)
    folder.read_experiment()
    content, damaged = checkpoint.newest(folder.checkpoints)
    if content is None and damaged:
        raise DataError(f"no whole checkpoint in {str(path)!r}: {damaged[0]}")
    if content is None:
        raise NotFound(
            f"no checkpoint yet in {str(path)!r}", "ddpm train writes one every rhythm.save steps and at the end"
        )
    return folder, content


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" takes the GPU where there is one.

    Raises:
        NotFound: this machine has no such device.
    """
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if found[kind]))
    if not found[name]:
        raise NotFound(f"this machine has no device {name!r}")
    return torch.device(name)
