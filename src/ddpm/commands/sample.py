"""`ddpm sample`: images from noise, each from a seed of its own."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError, chosen
from ddpm.sampling import DDIM, SAMPLERS, Sampler
from ddpm.sampling.chain import Step, chain
from ddpm.sampling.timesteps import SPACINGS
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import Images


@dataclass(frozen=True)
class Plan:
    """What to sample. `steps` 0 is the whole chain; `eta` is DDIM's. Image i depends on `seed` and i, not on `batch_size`."""

    num: int
    sampler: str = "ancestral"
    steps: int = 0
    spacing: str = "uniform"
    eta: float = 0.0
    seed: int = 0
    batch_size: int = 64

    def build(self) -> Sampler:
        """The sampler.

        Raises:
            UsageError: unknown, or with an impossible eta.
        """
        kind = chosen(SAMPLERS, self.sampler, "sampler")
        try:
            return DDIM(self.eta) if kind is DDIM else kind()
        except ValueError as error:
            raise UsageError(str(error)) from error

    def batches(self) -> int:
        """How many chains are run."""
        return math.ceil(self.num / self.batch_size)


@dataclass(frozen=True)
class Sampled:
    """A step of the chain of some images."""

    rows: range
    step: Step


@dataclass(frozen=True)
class Frame:
    """A moment of a chain: x_t, and the estimate of x_0 made on the way to it, for the images that are watched."""

    t: int
    x: Images
    x_0: Images


def respaced(p: ReverseProcess, steps: int, spacing: str = "uniform") -> ReverseProcess:
    """The process on `steps` of its steps; 0 is all of them.

    Raises:
        UsageError: an unknown spacing, or more steps than there are.
    """
    spaced = chosen(SPACINGS, spacing, "spacing")
    if steps in (0, p.schedule.T):
        return p
    try:
        kept = spaced(p.schedule.T, steps)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return replace(p, schedule=p.schedule.respace(kept))


def sample(p: ReverseProcess, shape: tuple[int, ...], plan: Plan, device: torch.device) -> Iterator[Sampled]:
    """Every step of every chain: `plan.batches()` times the number of steps of `p` (respace it before).

    Args:
        p: the process.
        shape: of one image.
        plan: what to sample.
        device: where.
    """
    sampler = plan.build()
    for first in range(0, plan.num, plan.batch_size):
        rows = range(first, min(first + plan.batch_size, plan.num))
        noise = NoiseForEach([generator(plan.seed, "sample", row) for row in rows])
        x_T = noise(torch.empty(len(rows), *shape, device=device))
        yield from (Sampled(rows, step) for step in chain(p, x_T, sampler, noise))


def collect(sampled: Iterable[Sampled], plan: Plan, watched: int = 0, moments: int = 60) -> tuple[Tensor, list[Frame]]:
    """The finished images in order, (num, ...), and `moments` frames of the first `watched` (of the first chain only)."""
    finished: list[Tensor] = []
    path: list[Step] = []
    for found in sampled:
        if found.step.t == 0:
            finished.append(found.step.x.cpu())
        if found.rows.start == 0 and watched:
            path.append(Step(found.step.t, found.step.x[:watched].cpu(), found.step.x_0[:watched].cpu()))
    wanted = sorted({round(i * (len(path) - 1) / max(moments - 1, 1)) for i in range(moments)}) if path else []
    return torch.cat(finished), [Frame(path[i].t, path[i].x, path[i].x_0) for i in wanted]
