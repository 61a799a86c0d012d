"""How images were drawn: what `--json` says, and what stands in every image's file. Enough to draw them again."""

import json
from typing import Any

from ddpm.commands.evaluate import variance_of
from ddpm.commands.labels import Condition
from ddpm.commands.sample import Plan, numbers_of
from ddpm.commands.trained import Trained
from ddpm.sampling import SAMPLERS


def recorded(trained: Trained, plan: Plan, spacing: str, begin: int) -> dict[str, Any]:
    """The sampler with all its options, the steps of the model that were gone, from `begin` down, the seed and the weights.

    `trained` is read on the chain that was gone; the variance is null for samplers that do not draw with it.
    """
    return in_common(trained, plan, spacing, begin) | {
        "kept_steps": trained.process.schedule.kept[1 : begin + 1].tolist(),
        "first": plan.first,
    }


def in_common(trained: Trained, plan: Plan, spacing: str, begin: int) -> dict[str, Any]:
    """What all images of a set have in common, whichever command drew which of them."""
    sampler = plan.build()
    return {
        "sampler": plan.sampler,
        "options": {name: getattr(sampler, name) for name in numbers_of(SAMPLERS[plan.sampler])},
        "steps": begin,
        "spacing": spacing,
        "variance": variance_of(trained) if sampler.uses_variance else None,
        "seed": plan.seed,
        "weights": trained.weights,
        "trained_steps": trained.step,
    }


def guided_by(condition: Condition) -> dict[str, Any]:
    """Of a set whose images show classes."""
    if not condition.labels:
        return {}
    interval = condition.guidance.interval
    return {"guidance": condition.guidance.weight, "guidance_interval": list(interval) if interval else None}


def text(common: dict[str, Any], condition: Condition, row: int) -> str:
    """What stands in the file of image `row`: JSON, with the number and the label."""
    label = {"label": condition.of([row])[0]} if condition.labels else {}
    return json.dumps(common | {"number": row} | label)


def differences(common: dict[str, Any], written: str) -> list[str]:
    """Where a set differs from that of an image with this `text`; none where that is no text of ours."""
    try:
        other = dict(json.loads(written))
    except (ValueError, TypeError):
        return []
    names = [name for name in {**other, **common} if name not in ("number", "label")]
    return [f"{name} {other.get(name)} -> {common.get(name)}" for name in names if other.get(name) != common.get(name)]
