"""`ddpm inpaint` and `ddpm edit`: images drawn with a given one in mind, each from a seed of its own."""

from collections.abc import Mapping

from torch import Tensor

from ddpm.checkpoints import digest
from ddpm.errors import Mismatch, UsageError, chosen
from ddpm.sampling.images import Plan
from ddpm.sampling.inpaint import Replacement, Resampled
from ddpm.sampling.inverse import LUMA, Averages, Grey, Operator, Outside, consistent
from ddpm.tensors import ImageBatch
from ddpm.trained.draw import Drawing
from ddpm.trained.loaded import LoadedModel

METHODS: Mapping[str, int] = {"repaint": 10, "replace": 1, "ddnm": 1}
"""Ways to fill a hole, and how often each goes over its steps, as published."""


def inpaint(
    trained: LoadedModel,
    x_0: ImageBatch,
    hole: Tensor,
    plan: Plan,
    method: str,
    jump: int,
    resamplings: int | None = None,
) -> Drawing:
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
        raise UsageError(f"replace goes over its steps once, not {times} times", "`method=repaint`")
    if not bool(hole.any()):
        raise UsageError("the mask is black everywhere: there is nothing to fill", "white is what will be drawn")
    given = {"method": method, "given": digest([x_0, hole])}
    p, x_0, hole = trained.process, x_0.to(trained.device), hole.to(trained.device)
    sampler = plan.build()
    if method == "ddnm":
        p = consistent(p, Outside(hole), x_0.masked_fill(hole, 0))
    else:
        sampler = Replacement(x_0, hole, sampler)
    sampler = Resampled(sampler, jump, times) if times > 1 else sampler
    again = {"resamplings": times, "jump": jump} if times > 1 else {}
    return Drawing(trained, plan, sampler, p, given=given | again)


def from_noised(trained: LoadedModel, x_0: ImageBatch, t: int, plan: Plan) -> Drawing:
    """Images that resemble x_0, (1, C, H, W): from x_t ~ q(x_t|x_0) down by any sampler (SDEdit; Meng et al. 2022).

    The larger t, a step of the whole chain, the less is left of x_0 and the more it is the model's.

    Raises:
        UsageError: no such sampler, or t is no step of the chain that the model is read on.
    """
    places = (trained.process.schedule.kept[1:] == t).nonzero().flatten() + 1
    if not len(places):
        raise UsageError(f"t = {t} is no step of this chain")
    given = {"timestep": t, "given": digest([x_0])}
    return Drawing(trained, plan, plan.build(), trained.process, image=x_0, t=int(places[0]), given=given)


def small_shape(shape: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """Of the picture that `super_resolve` enlarges.

    Raises:
        UsageError: the factor is below 2 or does not divide the sides.
    """
    channels, height, width = shape
    if factor < 2 or height % factor or width % factor:
        raise UsageError(f"the factor must be at least 2 and divide {height} and {width}: {factor}")
    return channels, height // factor, width // factor


def super_resolve(trained: LoadedModel, y: ImageBatch, factor: int, plan: Plan) -> Drawing:
    """Images whose squares of `factor` by `factor` pixels have the means y, (1, C, H / factor, W / factor) (DDNM)."""
    return _inverse(trained, Averages(factor), y, plan, {"super_resolve": factor})


def require_colours(trained: LoadedModel) -> None:
    """Refuse to colour with a model that draws no colours.

    Raises:
        Mismatch: it does not draw three channels.
    """
    channels = trained.experiment.shape[0]
    if channels != len(LUMA):
        raise Mismatch(f"to colour an image needs a model of {len(LUMA)} channels, not of {channels}")


def colour(trained: LoadedModel, y: ImageBatch, plan: Plan) -> Drawing:
    """Images whose grey values are y, (1, 1, H, W) (DDNM).

    Raises:
        Mismatch: the model does not draw three channels.
    """
    require_colours(trained)
    return _inverse(trained, Grey(), y, plan, {"colour": True})


def _inverse(
    trained: LoadedModel, operator: Operator, y: ImageBatch, plan: Plan, what: Mapping[str, object]
) -> Drawing:
    constrained = consistent(trained.process, operator, y.to(trained.device))
    return Drawing(trained, plan, plan.build(), constrained, given={**what, "given": digest([y])})
