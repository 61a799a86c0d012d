"""What a trained model is: the parts of it, and what is known of its images."""

from dataclasses import dataclass

import torch
from torch import nn

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.experiment.config import Experiment
from ddpm.trained.loaded import LoadedModel


@dataclass(frozen=True, eq=False)
class Facts:
    """A trained model, as a value that can be asked what it is; what it does is `ddpm.TrainedModel`'s."""

    loaded: LoadedModel

    def __repr__(self) -> str:
        loaded = self.loaded
        shape = "x".join(map(str, self.shape))
        which = repr(loaded.name)
        if loaded.called is None:
            which += f", {loaded.weights} weights of step {loaded.step:,}"
        return f"{type(self).__name__}({which}: {shape} images of {self.levels} levels, T = {self.schedule.T})"

    @property
    def process(self) -> ReverseProcess:
        """p_theta: the network read as a Markov chain."""
        return self.loaded.process

    @property
    def schedule(self) -> Schedule:
        """The schedule of the chain."""
        return self.process.schedule

    @property
    def network(self) -> nn.Module:
        """The network, with the weights that were asked for."""
        return self.loaded.network

    @property
    def experiment(self) -> Experiment:
        """What config.json says."""
        return self.loaded.experiment

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called; empty for a model without."""
        return self.experiment.classes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.experiment.shape
        return channels, height, width

    @property
    def levels(self) -> int:
        """How many values a pixel's channel can have."""
        return self.experiment.levels

    @property
    def step(self) -> int:
        """After how many steps of training."""
        return self.loaded.step

    @property
    def precision(self) -> str:
        """In which the network computes: "fp32", "bf16" or "fp16"."""
        return self.loaded.precision

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.loaded.device
