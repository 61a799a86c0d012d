"""The loop of Algorithm 2, for every sampler: from x_T down to x_0, each step handed out.

A progress bar is `tqdm(chain(...), total=T)`, a preview is `islice`, an animation is a list of the steps.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.tensors import ImageBatch, Noise, Randomness, noise_from


@dataclass(frozen=True)
class Step:
    """Where a chain is: x_t, the estimate of x_0 with which it came there, and how many steps it has made.

    At the start nothing is known of x_0, and the estimate is 0. `before` is where it came from, without a past of its own.
    """

    t: int
    x: ImageBatch
    x_0: ImageBatch
    made: int = 0
    before: "Step | None" = None

    def to(self, t: int, x: ImageBatch, x_0: ImageBatch) -> "Step":
        """The next step, at t."""
        return Step(t, x, x_0, self.made + 1, Step(self.t, self.x, self.x_0, self.made))

    def down(self, x_prev: ImageBatch, x_0: ImageBatch) -> "Step":
        """The next step, at t - 1."""
        return self.to(self.t - 1, x_prev, x_0)


class Sampler(ABC):
    """A way to go from x_t to x_{t-1}; pure, so it can be stopped, split and resumed anywhere.

    One of your own is a frozen dataclass with a `step`. `p` gives the Gaussian p(x_{t-1}|x_t) and the estimate of x_0,
    ``p.estimate`` the estimate alone; ``noise(x)`` draws noise of x's shape; `here.down` makes the step to t - 1. The rest
    describes it, and has a value for most: `moves`, `evaluations`, `image_by_image`, `uses_variance`, `uses_earlier_x`.

    Example:
        >>> import ddpm, torch
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Cooler(ddpm.Sampler):
        ...     temperature: float = 0.9
        ...     def step(self, p, here, noise):
        ...         gaussian, x_0 = p(here.x, here.t)
        ...         z = self.temperature * noise(here.x) if here.t > 1 else torch.zeros_like(here.x)
        ...         return here.down(gaussian.sample(z), x_0)
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear()).respace([1, 500, 1000])
        >>> *_, last = ddpm.chain(p, torch.randn(2, 3, 8, 8), Cooler())
        >>> last.t, last.x.shape
        (0, torch.Size([2, 3, 8, 8]))
    """

    @property
    def image_by_image(self) -> bool:
        """Whether the network is asked of one image at a time, so that nothing else in the batch can disturb it."""
        return False

    @property
    def uses_variance(self) -> bool:
        """Whether it draws with the variance of p_theta, and not with one of its own or none."""
        return False

    @property
    def uses_earlier_x(self) -> bool:
        """Whether a step may start again from an x before x_t, which undoes what another than the sampler did to x_t."""
        return False

    @abstractmethod
    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One step from ``here.t`` in 1..T, to t - 1 unless the sampler says otherwise."""

    def moves(self, T: int) -> int:
        """How many steps a chain from x_T makes."""
        return T

    def evaluations(self, T: int) -> int | None:
        """How often a chain from x_T asks the network; None if that depends on the image."""
        return self.moves(T)


def start(p: ReverseProcess, x: ImageBatch, t: int) -> Step:
    """The beginning of a chain at x_t.

    Raises:
        ValueError: t is outside 0..T.
    """
    p.schedule.check(t, first=0)
    return Step(t, x, torch.zeros_like(x))


def run(p: ReverseProcess, begin: Step, sampler: Sampler, noise: Randomness = torch.randn_like) -> Iterator[Step]:
    """Go on from any step: yields x_{t-1}, ..., x_0. `noise` as in `chain`."""
    return _run(p, begin, sampler, noise_from(noise))


def _run(p: ReverseProcess, here: Step, sampler: Sampler, noise: Noise) -> Iterator[Step]:
    while here.t > 0:
        with torch.no_grad():
            there = sampler.step(p, here, noise)
        if not isinstance(there, Step) or there.made <= here.made:
            kind = type(sampler).__qualname__
            raise TypeError(
                f"{kind}.step must return the next step, here.down(x, x_0), not {type(there).__name__} {here.t}"
            )
        here = there
        yield here


def last_of(steps: Iterable[Step]) -> Step:
    """The last of the steps; the others are let go as they are made.

    Raises:
        IndexError: there is none.
    """
    return deque(steps, maxlen=1)[0]


def chain(p: ReverseProcess, x_T: ImageBatch, sampler: Sampler, noise: Randomness = torch.randn_like) -> Iterator[Step]:
    """Algorithm 2: yields ``sampler.moves(T)`` steps; the last one's x is the sample.

    Args:
        p: the process.
        x_T: the noise to begin with, N(0, I), (batch, ...).
        sampler: how to go from x_t to x_{t-1}.
        noise: that of the steps: a function such as `torch.randn_like`, or a `torch.Generator`.

    Raises:
        TypeError: `noise` is neither, or the sampler's step returns something else than the next one.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear()).respace([1, 500, 1000])
        >>> random = torch.Generator().manual_seed(0)
        >>> steps = list(ddpm.chain(p, torch.randn(2, 3, 8, 8, generator=random), ddpm.Ancestral(), random))
        >>> [step.t for step in steps], steps[-1].x.shape
        ([2, 1, 0], torch.Size([2, 3, 8, 8]))
    """
    return run(p, start(p, x_T, p.schedule.T), sampler, noise)
