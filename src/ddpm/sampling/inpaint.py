r"""Filling a hole in an image with a network that was never told of holes: replacement and RePaint (Lugmayr et al. 2022).

What is known is drawn from q(x_{t-1}|x_0) at every step, the rest comes from any sampler. Neither is a sample of the exact
posterior: going down from x_t, the rest is told what is known only through the noise of x_t. Going up again and
repeating the way lets both parts settle with each other, and comes nearer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from jaxtyping import Bool
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import ImageBatch, Noise

ANCESTRAL = Ancestral()


class SamplerWrapper(Sampler):
    """A sampler around another one, whose nature it keeps."""

    sampler: Sampler

    @property
    def image_by_image(self) -> bool:
        """As the sampler."""
        return self.sampler.image_by_image

    @property
    def uses_variance(self) -> bool:
        """As the sampler."""
        return self.sampler.uses_variance

    @property
    def uses_earlier_x(self) -> bool:
        """As the sampler."""
        return self.sampler.uses_earlier_x


@dataclass(frozen=True, eq=False)
class Replacement(SamplerWrapper):
    r"""A step of `sampler`, then :math:`x_{t-1} \sim q(x_{t-1}|x_0)` outside the hole (Song et al. 2021b; the baseline).

    `known` is x_0, (batch, ...) or (1, ...), of any value in the hole; `hole` is true where to draw, and broadcasts
    against it. At t = 0 the known part is exactly the given one.
    """

    known: ImageBatch
    hole: Bool[Tensor, "..."]
    sampler: Sampler = ANCESTRAL

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """`noise` is called by the sampler, then for the known part."""
        moved = self.sampler.step(p, here, noise)
        known = p.q.marginal(self.known, moved.t)
        outside = known.sample(noise(here.x)) if moved.t > 0 else known.mean
        return replace(moved, x=moved.x.where(self.hole, outside))

    def moves(self, T: int) -> int:
        """Those of the sampler."""
        return self.sampler.moves(T)

    def evaluations(self, T: int) -> int | None:
        """Those of the sampler."""
        return self.sampler.evaluations(T)


@lru_cache(maxsize=16)
def plan(T: int, jump: int, resamplings: int) -> tuple[int, ...]:
    """Where RePaint's chain goes: T, then the t after each move, down by one or up by `jump`, the last 0.

    The way down from t + jump to t is made `resamplings` times, for t = 1, 1 + jump, ... up to T - jump (the published
    schedule: there an upward jump is counted as `jump` moves). A jump is at most T - 1 long.
    """
    jump = min(jump, T - 1)
    left = dict.fromkeys(range(1, T - jump + 1, jump), resamplings - 1) if jump else {}
    return T, *_walk(T, jump, left)


def _walk(t: int, jump: int, left: dict[int, int]) -> Iterator[int]:
    while t > 0:
        again = left.get(t, 0)
        left[t] = again - 1
        t = t + jump if again > 0 else t - 1
        yield t


@dataclass(frozen=True, eq=False)
class Resampled(SamplerWrapper):
    """Any sampler that goes down step by step, taken up again by q and down once more, `resamplings` times in all.

    With `Replacement` it is RePaint (Lugmayr et al. 2022, Algorithm 1); with `inverse.consistent` it is the "time-travel"
    of DDNM (Wang, Yu, Zhang 2023). A chain must begin at x_T; its place in the plan is ``here.made``.

    Raises:
        ValueError: jump or resamplings is below 1.
    """

    sampler: Sampler
    jump: int = 10
    resamplings: int = 10

    def __post_init__(self) -> None:
        if self.jump < 1 or self.resamplings < 1:
            raise ValueError(
                f"jump and resamplings must be at least 1, got jump = {self.jump}, resamplings = {self.resamplings}"
            )

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Up in one jump of q(x_{t+j}|x_t), or a step of the sampler, for which a jump up is a new beginning.

        Raises:
            ValueError: the chain is not where the plan is: it began elsewhere than at x_T, or the sampler skips steps.
        """
        places = plan(p.schedule.T, self.jump, self.resamplings)
        if here.made >= len(places) - 1 or here.t != places[here.made]:
            raise ValueError(
                f"resampling goes from x_T step by step: move {here.made + 1} cannot be made at t = {here.t}"
            )
        t = places[here.made + 1]
        if t > here.t:
            return here.to(t, p.q.between(here.x, here.t, t).sample(noise(here.x)), here.x_0)
        moved = self.sampler.step(p, _since_the_last_jump(here, places), noise)
        return replace(moved, made=here.made + 1)

    def moves(self, T: int) -> int:
        """All of the plan, up and down."""
        return len(plan(T, self.jump, self.resamplings)) - 1

    def evaluations(self, T: int) -> int | None:
        """Those of the sampler for each step down: what a chain from x_t takes more than one from x_{t-1}."""
        until = [0]
        for t in range(1, T + 1):
            made = self.sampler.evaluations(t)
            if made is None:
                return None
            until.append(made)
        places = plan(T, self.jump, self.resamplings)
        return sum(until[before] - until[after] for before, after in pairwise(places) if after < before)


def _since_the_last_jump(here: Step, places: tuple[int, ...]) -> Step:
    """The same step of a chain that began where the last jump up ended."""
    made = 0
    while made < here.made and places[here.made - made - 1] > places[here.made - made]:
        made += 1
    before = replace(here.before, made=made - 1) if here.before and made else None
    return replace(here, made=made, before=before)


def repaint(
    known: ImageBatch, hole: Bool[Tensor, "..."], jump: int = 10, resamplings: int = 10, sampler: Sampler = ANCESTRAL
) -> Sampler:
    """RePaint, as published with 250 steps; `known`, `hole` as in `Replacement`. One resampling is the baseline."""
    return Resampled(Replacement(known, hole, sampler), jump, resamplings)
