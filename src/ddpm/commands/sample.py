"""`ddpm sample`: images from noise, each from a seed of its own."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from ddpm.commands.labels import ANYTHING, Condition
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError, chosen
from ddpm.sampling import SAMPLERS, Sampler
from ddpm.sampling.chain import Step, chain
from ddpm.sampling.timesteps import SPACINGS
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import Images


@dataclass(frozen=True)
class Plan:
    """What to sample. `steps` 0 is the whole chain; `options` are the sampler's, such as DDIM's eta.

    Image i depends on `seed` and i, not on `batch_size`.
    """

    num: int
    sampler: str = "ancestral"
    steps: int = 0
    spacing: str = "uniform"
    options: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 64

    def build(self) -> Sampler:
        """The sampler.

        Raises:
            UsageError: unknown, or with options that it does not have or that are impossible.
        """
        sampler = chosen(SAMPLERS, self.sampler, "sampler")
        known = inspect.signature(sampler).parameters
        for name in self.options:
            if name not in known:
                having = [other for other, make in SAMPLERS.items() if name in inspect.signature(make).parameters]
                raise UsageError(
                    f"the sampler {self.sampler!r} has no {name!r}", *(f"--sampler {other} has" for other in having)
                )
        try:
            return sampler(**self.options)
        except ValueError as error:
            raise UsageError(f"the sampler {self.sampler!r} cannot be: {error}") from error

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
        return p.respace(spaced(p.schedule, steps))
    except ValueError as error:
        raise UsageError(str(error)) from error


def sample(
    p: ReverseProcess, shape: tuple[int, ...], plan: Plan, device: torch.device, condition: Condition = ANYTHING
) -> Iterator[Sampled]:
    """Every step of every chain: `plan.batches()` times the number of steps of `p` (respace it before).

    Args:
        p: the process.
        shape: of one image.
        plan: what to sample.
        device: where.
        condition: what the images shall show.
    """
    sampler = plan.build()
    for first in range(0, plan.num, plan.batch_size):
        rows = range(first, min(first + plan.batch_size, plan.num))
        noise = NoiseForEach([generator(plan.seed, "sample", row) for row in rows])
        x_T = noise(torch.empty(len(rows), *shape, device=device))
        yield from (Sampled(rows, step) for step in chain(condition.on(p, rows, device), x_T, sampler, noise))


def finished(sampled: Iterable[Sampled]) -> Iterator[tuple[range, Images]]:
    """The images of each batch as it ends, on the CPU."""
    for found in sampled:
        if found.step.t == 0:
            yield found.rows, found.step.x.cpu()


def evenly(length: int, count: int) -> list[int]:
    """`count` places in 0..length-1, evenly from the first to the last; some twice where there are too few."""
    return [round(i * (length - 1) / max(count - 1, 1)) for i in range(count)]


class Watch:
    """Keeps `moments` frames, evenly spaced, of the first `watched` images of the first batch, and passes all on."""

    def __init__(self, watched: int, steps: int, moments: int = 60) -> None:
        self._watched = watched
        self._wanted = set(evenly(steps, moments))
        self.frames: list[Frame] = []

    def __call__(self, sampled: Iterable[Sampled]) -> Iterator[Sampled]:
        """The same steps, watched."""
        for place, found in enumerate(sampled):
            if found.rows.start == 0 and place in self._wanted:
                step = found.step
                self.frames.append(Frame(step.t, step.x[: self._watched].cpu(), step.x_0[: self._watched].cpu()))
            yield found
