"""`ddpm sample`: images from noise, each from a seed of its own."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ddpm.diffusion.reverse import Network, ReverseProcess
from ddpm.errors import UsageError, chosen, not_finite
from ddpm.parallel.world import ALONE, World
from ddpm.sampling import SAMPLERS, Sampler
from ddpm.sampling.chain import Step, run, start
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch

FULL = 16


@dataclass(frozen=True)
class Plan:
    """What to sample: images `first`, `first` + 1, ...; `options` are the sampler's, such as DDIM's eta.

    Image i depends on `seed` and i, not on `batch_size`, nor on where a run was cut.
    """

    num: int
    sampler: str | Sampler = "ancestral"
    options: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 64
    first: int = 0

    def build(self) -> Sampler:
        """The sampler.

        Raises:
            UsageError: unknown, or with options that it does not have or that are impossible.
        """
        if isinstance(self.sampler, Sampler):
            return self.sampler
        if not isinstance(self.sampler, str):
            given = f"{getattr(self.sampler, '__name__', type(self.sampler).__name__)}"
            raise UsageError(f"a sampler is a name, or made like ddpm.DDIM(eta=0.5): got {given}")
        sampler = chosen(SAMPLERS, self.sampler, "sampler")
        for name in self.options:
            if name not in numbers_of(sampler):
                having = [other for other, make in SAMPLERS.items() if name in numbers_of(make)]
                raise UsageError(
                    f"the sampler {self.sampler!r} has no {name!r}",
                    f"it has {', '.join(numbers_of(sampler)) or 'no options'}",
                    *(f"`sampler={other}` has {name}" for other in having[:2]),
                )
        try:
            return sampler(**{name: numbers_of(sampler)[name](value) for name, value in self.options.items()})
        except ValueError as error:
            raise UsageError(f"the sampler {self.sampler!r} cannot be: {error}") from error

    @property
    def rows(self) -> range:
        """The numbers of the images."""
        return range(self.first, self.first + self.num)

    def batches(self) -> int:
        """How many chains are run."""
        return math.ceil(self.num / self.batch_size)


def numbers_of(sampler: Callable[..., Sampler]) -> dict[str, Callable[[float], float]]:
    """The names of a sampler's options that are numbers, and how to read them."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(sampler).parameters.items()}
    return {
        name: _whole if isinstance(default, int) else float
        for name, default in defaults.items()
        if isinstance(default, int | float)
    }


def described(sampler: Sampler) -> tuple[str, dict[str, float]]:
    """The name of a sampler and its options that are numbers; of one that is not of `SAMPLERS`, the name of its class."""
    kind = type(sampler)
    name = next((name for name, known in SAMPLERS.items() if known is kind), kind.__qualname__)
    return name, {option: getattr(sampler, option) for option in numbers_of(kind) if hasattr(sampler, option)}


def _whole(value: float) -> int:
    if not float(value).is_integer():
        raise ValueError(f"a whole number is needed, not {value}")
    return int(value)


@dataclass(frozen=True)
class Sampled:
    """A step of the chain of some images: their numbers, and where the chain is."""

    rows: range
    step: Step

    @property
    def t(self) -> int:
        """The step at which the chain is, T..0."""
        return self.step.t

    @property
    def x(self) -> ImageBatch:
        """x_t of these images."""
        return self.step.x

    @property
    def x_0(self) -> ImageBatch:
        """The estimate of x_0 with which the chain came to x_t."""
        return self.step.x_0


@dataclass(frozen=True)
class Frame:
    """A moment of a chain: x_t, and the estimate of x_0 made on the way to it, for the images that are watched."""

    t: int
    x: ImageBatch
    x_0: ImageBatch


def sample(
    p: ReverseProcess,
    shape: tuple[int, ...],
    plan: Plan,
    device: torch.device,
    condition: Condition = ANYTHING,
    world: World = ALONE,
) -> Iterator[Sampled]:
    """Every step of every chain: `plan.batches()` times the sampler's moves on `p`.

    Args:
        p: the process.
        shape: of one image.
        plan: what to sample.
        device: where.
        condition: what the images shall show.
        world: the processes that take the batches in turn.
    """
    begin = partial(start, p, t=p.schedule.T)
    return chains(p, begin, plan.build(), shape, plan, device, condition, "sample", world)


def chains(
    p: ReverseProcess,
    begin: Callable[[ImageBatch], Step],
    sampler: Sampler,
    shape: tuple[int, ...],
    plan: Plan,
    device: torch.device,
    condition: Condition,
    purpose: str,
    world: World = ALONE,
) -> Iterator[Sampled]:
    """Every step of `plan.batches()` chains: from what `begin` makes of standard normal noise, batch x shape, by `sampler`.

    Image i depends on `plan.seed`, `purpose` and i alone.
    """
    if not sampler.image_by_image:
        p = replace(p, network=in_full_batches(p.network, device))
    for first in range(0, plan.num, plan.batch_size)[world.rank :: world.size]:
        rows = plan.rows[first : first + plan.batch_size]
        noise = noise_of(plan, purpose, rows)
        drawn = noise(torch.empty(len(rows), *shape, device=device))
        yield from (Sampled(rows, step) for step in run(condition.on(p, rows, device), begin(drawn), sampler, noise))


def noise_of(plan: Plan, purpose: str, rows: range) -> NoiseForEach:
    """The noise of these images: first that of x_T, then that of each step."""
    return NoiseForEach([generator(plan.seed, purpose, row) for row in rows])


def in_full_batches(network: Network, device: torch.device) -> Network:
    """The network on batches filled up to a multiple of `FULL`, on a CPU.

    There the last bits of a matrix product or a convolution depend on how many rows it has, until they fill the vector
    registers: image i then is the same to the bit in a batch of 1, 7 or 64.
    """
    if device.type != "cpu":
        return network

    def full(*inputs: Tensor) -> Tensor:
        count = len(inputs[0])
        if count % FULL == 0:
            return network(*inputs)
        rows = torch.arange(math.ceil(count / FULL) * FULL).clamp(max=count - 1)
        found: Any = network(*(rows_of[rows] for rows_of in inputs))
        return found[:count] if isinstance(found, Tensor) else found  # which the process refuses

    return full


def finished(sampled: Iterable[Sampled]) -> Iterator[tuple[range, ImageBatch]]:
    """The images of each batch as it ends, on the CPU."""
    for found in sampled:
        if found.step.t == 0:
            yield found.rows, found.step.x.cpu()


def finite(sampled: Iterable[Sampled]) -> Iterator[Sampled]:
    """The same steps. An accelerator is waited for once in each chain, before its last step is handed out.

    Raises:
        Diverged: a chain ends in what is no image, which would be black; the t at which it began is named.
    """
    at: list[int] = []
    sound: list[Tensor] = []
    for found in sampled:
        at.append(found.step.before.t if found.step.before else found.t)
        sound.append(found.x.isfinite().all())
        if found.t == 0:
            told = torch.stack(sound).tolist()
            if not all(told):
                raise not_finite(at[told.index(False)])
            at, sound = [], []
        yield found


def evenly(length: int, count: int) -> list[int]:
    """`count` places in 0..length-1, evenly from the first to the last; some twice where there are too few."""
    return [round(i * (length - 1) / max(count - 1, 1)) for i in range(count)]


class Watch:
    """Keeps `moments` frames, evenly spaced, the last always, of the first `watched` images of the first batch, and passes all on."""

    def __init__(self, watched: int, steps: int, moments: int = 60) -> None:
        self._watched = watched
        self._wanted = set(evenly(steps, moments)) if moments > 1 else {steps - 1}
        self.frames: list[Frame] = []

    def __call__(self, sampled: Iterable[Sampled]) -> Iterator[Sampled]:
        """The same steps, watched."""
        for place, found in enumerate(sampled):
            if place in self._wanted:
                step = found.step
                self.frames.append(Frame(step.t, step.x[: self._watched].cpu(), step.x_0[: self._watched].cpu()))
            yield found
