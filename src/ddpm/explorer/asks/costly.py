"""The bound at one t: the images that cost most there, and which of their pixels."""

from typing import Annotated

import torch
from pydantic import Field

from ddpm.diffusion.bound import bits_per_dim, term_by_coordinate
from ddpm.explorer.asks.asked import Parameters, Seed, Step
from ddpm.explorer.asks.forward import PURPOSE, checked, part_of
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import array
from ddpm.explorer.worker import Steps
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import sum_flat

SEEN = 64
"""Images among which the costly ones are sought."""


class Costly(Parameters):
    """A time, and how many images."""

    t: Step
    seed: Seed = 0
    count: Annotated[int, Field(ge=1, le=16)] = 6


def costly(subject: Subject, asked: Costly) -> Steps:
    """The images with the largest L_{t-1} among the first ones: x_0, x_t, the estimate, and bits of each pixel."""
    model, t = subject.model, checked(subject, asked.t, least=1)
    p, classes = model.process, len(model.classes)
    parts: list[tuple[torch.Tensor, ...]] = []
    for rows in torch.arange(min(SEEN, len(subject.x_0))).split(part_of(subject)):
        x_0 = subject.x_0[rows].to(model.device)
        eps = NoiseForEach([generator(asked.seed, PURPOSE, t, int(row)) for row in rows])
        x_t = p.q.sample(x_0, t, eps(x_0))
        told = p.given(subject.labels[rows].to(model.device)) if classes else p
        with torch.no_grad():
            nats, estimate = term_by_coordinate(told, x_0, x_t, t)
        parts.append((rows, x_0.cpu(), x_t.cpu(), estimate.cpu(), nats.cpu()))
        yield None
    rows, x_0, x_t, estimate, nats = (torch.cat(column) for column in zip(*parts, strict=True))
    bits = bits_per_dim(sum_flat(nats), x_0[0].numel())
    worst = bits.argsort(descending=True)[: asked.count]
    yield {
        "t": t,
        "rows": rows[worst].tolist(),
        "labels": [subject.label(int(row)) for row in rows[worst]],
        "bits": bits[worst].tolist(),
        "mean": float(bits.mean()),
        "x_0": array(x_0[worst]),
        "x_t": array(x_t[worst]),
        "estimate": array(estimate[worst]),
        "pixels": array(bits_per_dim(nats[worst], 1)),
        "done": True,
    }
