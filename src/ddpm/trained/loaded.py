"""A trained model, from a run folder or one of its checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ddpm import checkpoints
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import NOTHING, changed
from ddpm.models.precision import FULL, InPrecision, choose, in_precision, is_native
from ddpm.run.folder import RunFolder, find_checkpoint, tensors_called
from ddpm.run.imported import is_name, place, read_run
from ddpm.seeds import generator

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
    "data.layout",
)
"""What may be set for a trained model: how it is read, and how images are read for it."""


@dataclass(frozen=True)
class LoadedModel:
    """A trained model: its run, its experiment, the process on its weights, and which weights they are.

    `notes` say which newer checkpoints were passed over, and why. `trained_on` is the fingerprint of its images and their labels
    (`ddpm.run.data_identity`), None of a model of which it is not known. `called` is the name of a network of one's own, of no run;
    `typed` that of a model whose run is in the cache. `precision` is that in which the network computes: fp32, bf16 or fp16.
    """

    folder: RunFolder
    experiment: Experiment
    process: ReverseProcess
    step: int
    weights: str
    device: torch.device
    notes: tuple[str, ...] = ()
    trained_on: str | None = None
    called: str | None = None
    typed: str | None = None
    precision: str = FULL

    @property
    def network(self) -> nn.Module:
        """The network itself, whatever the precision in which the process asks it."""
        network = self.process.network
        if isinstance(network, InPrecision):
            network = network.network
        assert isinstance(network, nn.Module)
        return network

    @property
    def name(self) -> str:
        """For messages: the run folder, or, of a model that has none of its own, what that is called."""
        return self.called or self.typed or str(self.folder.path)

    @cached_property
    def digest(self) -> str:
        """Of the weights; it reads them all, once. Of a network that has none: of what it makes of noise at t = T."""
        weights, T = list(self.network.parameters()), self.process.schedule.T
        if weights:
            return checkpoints.digest(weights)
        noise = torch.randn(1, *self.experiment.shape, generator=generator(0, "digest")).to(self.device)
        nothing = torch.full((1,), -1, device=self.device) if self.experiment.model.classes else None
        with torch.no_grad():
            return checkpoints.digest([self.in_precision(FULL).process.given(nothing).outputs(noise, T)[0]])

    def read(self, settings: Mapping[str, Any]) -> "LoadedModel":
        """The same weights, read in another way: with some of `READINGS` changed.

        Raises:
            UsageError: a setting that is no way to read this network.
        """
        experiment = read_otherwise(self.experiment, settings)
        p = experiment.reverse_process(self.process.network, experiment.process.limit, self.process.schedule)
        return replace(self, experiment=experiment, process=p)

    @property
    def slow(self) -> str:
        """What is to be said of a precision that the device only imitates; empty of another."""
        if is_native(self.precision, self.device):
            return ""
        return f"{self.precision} is imitated on this {self.device.type}: it takes several times as long as fp32"

    def in_precision(self, precision: str) -> "LoadedModel":
        """The same weights, asked in "fp32", "bf16", "fp16" or what "auto" is on this device.

        Raises:
            UsageError: no such precision, or none of this device.
        """
        name = choose(precision, self.device)
        if name == self.precision:
            return self
        network = in_precision(self.network, name, self.device)
        return replace(self, process=replace(self.process, network=network), precision=name)


def load_run(run: str, weights: str, device: torch.device, settings: Mapping[str, Any] = NOTHING) -> LoadedModel:
    """The model of a run folder (its newest whole checkpoint), of one checkpoint, or another (`ddpm.run.imported`).

    Args:
        run: the folder, or the name of a model.
        weights: "ema", "raw", or another average of the run, such as "ema-0.999".
        device: where to put the network.
        settings: those of `READINGS`, where they are to be other than in the experiment.

    Raises:
        UsageError: a setting that is no way to read this network, or weights that the run does not have.
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
    """
    path = place(run)
    folder, content, notes = find_checkpoint(read_run(path))
    experiment = folder.read_experiment()
    group = tensors_called(experiment, weights)
    experiment = read_otherwise(experiment, settings)
    with torch.device("meta"):
        network = experiment.network()
    # Not to_empty, with which torch imports sympy: most of a second.
    empty = {
        name: torch.empty(like.shape, dtype=like.dtype, device=device) for name, like in network.named_parameters()
    }
    network.load_state_dict(empty, assign=True)
    checkpoints.load_weights(network.eval(), content.tensors[group])
    with torch.no_grad():
        schedule = experiment.schedule_of(network)
        if experiment.schedule.learned:  # it lives where the network is
            schedule = Schedule(schedule.beta.cpu(), schedule.timestep_map.cpu(), kind=schedule.kind)
    process = experiment.reverse_process(network, experiment.process.limit, schedule)
    step, trained_on = int(content.numbers["step"]), content.numbers["images"] or None
    typed = str(path) if is_name(path) else None
    return LoadedModel(folder, experiment, process, step, weights, device, notes, trained_on, typed=typed)


def read_otherwise(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """An experiment with some of `READINGS` changed.

    Raises:
        UsageError: a setting that is no way to read its network.
    """
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
