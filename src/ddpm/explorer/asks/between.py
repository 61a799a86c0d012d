"""In between: from one image to another through their latents (section 4.4)."""

from typing import Annotated

from pydantic import Field

from ddpm.explorer.asks.asked import Array, Parameters, Seed, Step
from ddpm.explorer.asks.forward import image
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import array
from ddpm.explorer.worker import Steps
from ddpm.trained.interpolate import interpolate


class Between(Parameters):
    """Two images, the time of their latents, and how many images there are on the way, both ends included."""

    a: Array
    b: Array
    t: Step
    count: Annotated[int, Field(ge=3, le=16)] = 9
    steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    encoding: str = "stochastic"
    seed: Seed = 0


def between(subject: Subject, asked: Between) -> Steps:
    """The images on the way as they come down."""
    ends = image(subject, asked.a, "a"), image(subject, asked.b, "b")
    steps = None if asked.steps is None else min(asked.steps, max(1, asked.t))
    total, chain = interpolate(subject.model.loaded, ends, asked.t, asked.count, asked.seed, asked.encoding, steps)
    for made, step in enumerate(chain, start=1):
        way_up = len(step.x) != asked.count
        yield None if way_up else {"t": step.t, "made": made, "of": total, "x": array(step.x), "x_0": array(step.x_0)}
    yield {"done": True}
