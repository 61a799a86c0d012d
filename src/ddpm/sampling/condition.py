"""What the images of a run show: classes in turn, with guidance, or anything."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.guidance import PLAIN, Guidance, guided


@dataclass(frozen=True)
class Condition:
    """Image i shows the class ``labels[i % len(labels)]``; without labels the network is told nothing."""

    labels: tuple[int, ...] = ()
    guidance: Guidance = PLAIN

    def of(self, rows: Iterable[int]) -> list[int]:
        """The labels of these images; none, if nothing is told."""
        return [self.labels[row % len(self.labels)] for row in rows] if self.labels else []

    def on(self, p: ReverseProcess, rows: Iterable[int], device: torch.device) -> ReverseProcess:
        """The process for a batch of these images."""
        return guided(p, torch.tensor(self.of(rows), device=device), self.guidance) if self.labels else p


ANYTHING = Condition()
