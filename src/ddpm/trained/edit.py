"""`ddpm inpaint` and `ddpm edit`: images drawn with a given one in mind, each from a seed of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import Mismatch, UsageError, chosen
from ddpm.sampling import Sampler
from ddpm.sampling.chain import Step, start
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.sampling.images import Plan, Sampled, chains
from ddpm.sampling.inpaint import Replacement, Resampled
from ddpm.sampling.inverse import LUMA, Averages, Grey, Operator, Outside, consistent
from ddpm.tensors import ImageBatch
from ddpm.trained.loaded import LoadedModel

METHODS: Mapping[str, int] = {"repaint": 10, "replace": 1, "ddnm": 1}
"""Ways to fill a hole, and how often each goes over its steps, as published."""


@dataclass(frozen=True, eq=False)
class Edit:
    """Chains from noise, or from `image` noised to step t, on a process that may know what it is to draw."""

    process: ReverseProcess
    sampler: Sampler
    shape: tuple[int, ...]
    device: torch.device
    image: ImageBatch | None = None
    t: int = 0
    condition: Condition = ANYTHING

    @property
    def begin(self) -> int:
        """The step at which the chains begin."""
        return self.t if self.image is not None else self.process.schedule.T

    @property
    def moves(self) -> int:
        """Steps of one chain."""
        return self.sampler.moves(self.begin)

    @property
    def evaluations(self) -> int | None:
        """Evaluations of the network for one image; None if that depends on the image."""
        return self.sampler.evaluations(self.begin)

    def run(self, plan: Plan) -> Iterator[Sampled]:
        """Every step of every chain: `plan.batches()` times `moves`. Image i depends on `plan.seed` and i alone."""
        return chains(self.process, self._begin, self.sampler, self.shape, plan, self.device, self.condition, "edit")

    def _begin(self, drawn: ImageBatch) -> Step:
        """At x_T, or at the image's x_t, made of this noise."""
        p = self.process
        if self.image is None:
            return start(p, drawn, p.schedule.T)
        return start(p, p.q.sample(self.image.to(self.device).expand_as(drawn), self.t, drawn), self.t)


def inpaint(
    trained: LoadedModel,
    x_0: ImageBatch,
    hole: Tensor,
    plan: Plan,
    method: str,
    jump: int,
    resamplings: int | None = None,
) -> Edit:
    """Fill the hole of an image.

    Args:
        trained: the model.
        x_0: the image, (1, C, H, W).
        hole: true where to draw, (1, 1, H, W).
        plan: what to draw with.
        method: of `METHODS`.
        jump: how many steps of the chain are gone over again.
        resamplings: how often they are made; None is the method's own number.

    Raises:
        UsageError: no such method or sampler, or nothing to fill.
    """
    own = chosen(METHODS, method, "method")
    times = own if resamplings is None else resamplings
    if method == "replace" and times > 1:
        raise UsageError(f"replace goes over its steps once, not {times} times", "--method repaint")
    if not bool(hole.any()):
        raise UsageError("the mask is black everywhere: there is nothing to fill", "white is what will be drawn")
    p, x_0, hole = trained.process, x_0.to(trained.device), hole.to(trained.device)
    sampler = plan.build()
    if method == "ddnm":
        p = consistent(p, Outside(hole), x_0.masked_fill(hole, 0))
    else:
        sampler = Replacement(x_0, hole, sampler)
    sampler = Resampled(sampler, jump, times) if times > 1 else sampler
    return Edit(p, sampler, trained.experiment.data.shape, trained.device)


def from_noised(trained: LoadedModel, x_0: ImageBatch, t: int, plan: Plan) -> Edit:
    """Images that resemble x_0, (1, C, H, W): from x_t ~ q(x_t|x_0) down by any sampler (SDEdit; Meng et al. 2022).

    The larger t, the less is left of x_0 and the more it is the model's.

    Raises:
        UsageError: no such sampler.
    """
    return Edit(trained.process, plan.build(), trained.experiment.data.shape, trained.device, x_0, t)


def small_shape(shape: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """Of the picture that `super_resolve` enlarges.

    Raises:
        UsageError: the factor is below 2 or does not divide the sides.
    """
    channels, height, width = shape
    if factor < 2 or height % factor or width % factor:
        raise UsageError(f"--super-resolve must be at least 2 and divide {height} and {width}: {factor}")
    return channels, height // factor, width // factor


def super_resolve(trained: LoadedModel, y: ImageBatch, factor: int, plan: Plan) -> Edit:
    """Images whose squares of `factor` by `factor` pixels have the means y, (1, C, H / factor, W / factor) (DDNM)."""
    return _inverse(trained, Averages(factor), y, plan)


def colour(trained: LoadedModel, y: ImageBatch, plan: Plan) -> Edit:
    """Images whose grey values are y, (1, 1, H, W) (DDNM).

    Raises:
        Mismatch: the model does not draw three channels.
    """
    channels = trained.experiment.data.shape[0]
    if channels != len(LUMA):
        raise Mismatch(f"a model of images with {channels} channel has nothing to colour")
    return _inverse(trained, Grey(), y, plan)


def _inverse(trained: LoadedModel, operator: Operator, y: ImageBatch, plan: Plan) -> Edit:
    constrained = consistent(trained.process, operator, y.to(trained.device))
    return Edit(constrained, plan.build(), trained.experiment.data.shape, trained.device)
