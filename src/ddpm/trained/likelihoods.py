"""`ddpm evaluate --metrics importance-weighted,flow`: likelihoods beside the bound, on the same images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.diffusion.flow import velocity
from ddpm.errors import UsageError, chosen
from ddpm.evaluation.likelihood import (
    Likelihood,
    Scored,
    Vectors,
    by_flow,
    exact_trace,
    flow_nats,
    hutchinson,
    log_ratios,
    weighted,
)
from ddpm.evaluation.rate import Bound, batches_of
from ddpm.trained.loaded import LoadedModel

LIKELIHOODS = ("importance-weighted", "flow")
TRACES: Mapping[str, str] = {"exact": "exact trace", "hutchinson": "Hutchinson's trace"}


@dataclass(frozen=True)
class LikelihoodOptions:
    """How the likelihoods are to be computed, from the flags of `ddpm evaluate`.

    Raises:
        UsageError: there is no such trace.
    """

    draws: int = 16
    trace: str = "hutchinson"
    probes: int = 1
    tolerance: float = 1e-4
    seed: int = 0
    batch_size: int = 128

    def __post_init__(self) -> None:
        chosen(TRACES, self.trace, "trace")

    @property
    def vectors(self) -> Vectors:
        """Of the flow's trace."""
        return exact_trace if self.trace == "exact" else hutchinson(self.probes, self.seed)

    def parts(self, name: str, trained: LoadedModel, images: ImageSet, labels: Labels = None) -> Iterator[Scored]:
        """What one of `LIKELIHOODS` is made of; nothing is computed before the first is asked for."""
        p, device = trained.process, trained.device
        if name == "flow":
            return flow_nats(p, images, self.vectors, self.tolerance, self.seed, self.batch_size, device, labels)
        return log_ratios(p, images, self.draws, self.seed, self.batch_size, device, labels)

    def count(self, name: str, trained: LoadedModel, images: ImageSet) -> int:
        """How many parts there are."""
        batches = len(batches_of(len(images) * self.draws, self.batch_size, trained.device))
        return len(images) if name == "flow" else batches * (trained.process.schedule.T + 1)

    def added(self, name: str, parts: Iterator[Scored], trained: LoadedModel, images: ImageSet) -> Likelihood:
        """The likelihood from its parts."""
        if name == "flow":
            return by_flow(parts, images)
        return weighted(parts, images, self.draws, trained.process.schedule.T)

    def words(self, name: str) -> str:
        """The method, with the choices that it depends on."""
        if name == "flow":
            probes = f", probes {self.probes}" if self.trace == "hutchinson" else ""
            return f"probability flow, {TRACES[self.trace]}{probes}"
        return f"importance-weighted, K = {self.draws}"

    def about(self, name: str) -> dict[str, Any]:
        """The same for `--json`."""
        if name == "importance-weighted":
            return {"draws": self.draws}
        probes = {"probes": self.probes} if self.trace == "hutchinson" else {}
        return {"trace": self.trace, **probes, "tolerance": self.tolerance}


def check_flow(trained: LoadedModel) -> None:
    """Refuse early.

    Raises:
        UsageError: the model has no flow.
    """
    try:
        velocity(trained.process)
    except ValueError as error:
        raise UsageError(str(error)) from error


def of_bound(bound: Bound) -> Likelihood:
    """The bound as one likelihood among others."""
    return Likelihood(bound.per_image, bound.T)


def results(found: Mapping[str, Likelihood], ways: LikelihoodOptions) -> dict[str, Any]:
    """What `--json` writes of them."""
    return {
        name.replace("-", "_"): {
            "bits_per_dim": one.total,
            "stderr": one.stderr if len(one.per_image) > 1 else None,
            "evaluations_per_image": one.evaluations,
            **ways.about(name),
            "per_image": one.per_image.tolist(),
        }
        for name, one in found.items()
    }
