"""Chains from noise to images: from pure noise, from an image that was noised, or around a hole in one."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from ddpm.explorer.asks.asked import Array, Parameters, Seed, Step
from ddpm.explorer.asks.forward import image
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import NoAsk, array, tensor
from ddpm.explorer.worker import Steps
from ddpm.sampling.images import Plan
from ddpm.tensors import ImageBatch
from ddpm.trained.draw import Drawing, How, edit_of, samples_of
from ddpm.trained.edit import from_noised, inpaint
from ddpm.trained.labels import NONE
from ddpm.trained.loaded import LoadedModel

MOST = 16
"""Images that are drawn at a time."""


class Reverse(Parameters):
    """From noise down; with x_0 from its x_t, and with a hole (1 where to draw) around what is known.

    `label` is a class, -1 for none; `steps` None is all of them. The steps around a hole are made `resamplings` times,
    `jump` of them at a time (RePaint): so what is drawn fits better to what is known.
    """

    count: Annotated[int, Field(ge=1, le=MOST)] = 1
    sampler: str = "ancestral"
    steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: Seed = 0
    label: int = -1
    guidance: Annotated[float, Field(ge=0, le=20)] = 1.0
    x_0: Array | None = None
    t: Step | None = None
    hole: Array | None = None
    resamplings: Annotated[int, Field(ge=1, le=10)] = 1
    jump: Annotated[int, Field(ge=1, le=1000)] = 1


def reverse(subject: Subject, asked: Reverse) -> Steps:
    """Each step of the chain: x_t and the estimate of x_0 with which it was made, for all images."""
    drawing = drawing_of(subject, asked)
    before, each = drawing.evaluations, drawing.moves
    for made, sampled in enumerate(drawing.run(), start=1):
        evaluations = made if before is None else round(before * made / each)
        t = int(drawing.process.schedule.kept[sampled.t])
        yield {"t": t, "evaluations": evaluations, "x": array(sampled.x), "x_0": array(sampled.x_0)}
    yield {"done": True}


def drawing_of(subject: Subject, asked: Reverse) -> Drawing:
    """What is to be drawn.

    Raises:
        UsageError: there is no such sampler, or the model cannot do that.
    """
    classes, t = subject.model.classes, asked.t if asked.hole is None and asked.x_0 is not None else None
    named = 0 <= asked.label < len(classes)
    most = subject.model.schedule.T if t is None else t
    how = How(
        sampler=asked.sampler,
        steps=None if asked.steps is None else min(asked.steps, most),
        seed=asked.seed,
        label=asked.label if named else NONE if classes else None,
        guidance=asked.guidance if named else 1.0,
        batch_size=MOST,
        progress=False,
    )
    if asked.x_0 is None and asked.hole is not None:
        raise NoAsk("x_0 is needed: the image around the hole")
    if asked.x_0 is None:
        return samples_of(subject.model.loaded, asked.count, how)
    return edit_of(subject.model.loaded, asked.count, how, _edit(subject, asked, image(subject, asked.x_0)), t)


def _edit(subject: Subject, asked: Reverse, x_0: ImageBatch) -> Callable[[LoadedModel, Plan], Drawing]:
    """What is done with the image: its hole is filled, or it is noised to t and brought back."""
    if asked.hole is not None:
        hole = tensor(asked.hole, "hole", (1, 1, *subject.model.shape[1:])) > 0.5
        return lambda model, plan: inpaint(model, x_0, hole, plan, "ddnm", asked.jump, asked.resamplings)
    if not asked.t:
        raise NoAsk("t is needed, from 1: how far the image goes into the noise")
    t = asked.t
    return lambda model, plan: from_noised(model, x_0, t, plan)
