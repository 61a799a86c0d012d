"""How images were drawn: what `--json` says, and what stands in every image's file. Enough to draw them again."""

import json
from collections.abc import Mapping
from typing import Any

from ddpm.checkpoints import digest
from ddpm.models.precision import FULL
from ddpm.sampling.condition import Condition
from ddpm.sampling.images import Plan, described
from ddpm.storage import strict
from ddpm.storage.atomic import to_strict_json
from ddpm.trained.evaluate import variance_of
from ddpm.trained.loaded import LoadedModel

DIGESTS = {"model": "another model", "kept": "other steps", "given": "another image or mask"}
"""What stands for something large, and how to say that it differs."""
BESIDES = frozenset({"number", "label", "spacing", "weights", "trained_steps"})
"""Said of one image, or another name of what `kept` and `model` stand for: no part of what a set has in common."""

BEFORE: Mapping[str, Any] = {"precision": FULL}
"""What holds of an image that does not say it: it was drawn before that could be chosen."""


def recorded(trained: LoadedModel, plan: Plan, spacing: str, begin: int) -> dict[str, Any]:
    """The sampler with all its options, the steps of the model that were gone, from `begin` down, the seed and the weights.

    `trained` is read on the chain that was gone; the variance is null for samplers that do not draw with it.
    """
    return _facts(trained, plan, spacing, begin) | {
        "kept_steps": trained.process.schedule.kept[1 : begin + 1].tolist(),
        "first": plan.first,
    }


def in_common(trained: LoadedModel, plan: Plan, spacing: str, begin: int, condition: Condition) -> dict[str, Any]:
    """What the images of a set have in common, whichever command drew which of them, as JSON holds it."""
    facts = _facts(trained, plan, spacing, begin) | {"kept": digest([trained.process.schedule.kept[1 : begin + 1]])}
    if trained.experiment.model.classes:
        interval = condition.guidance.interval
        facts |= {
            "labels": "all" if condition.labels == trained.experiment.every_class else list(condition.labels),
            "guidance": condition.guidance.weight,
            "guidance_interval": list(interval) if interval else None,
        }
    return facts


def _facts(trained: LoadedModel, plan: Plan, spacing: str, begin: int) -> dict[str, Any]:
    sampler = plan.build()
    name, options = described(sampler)
    return {
        "sampler": name,
        "options": options,
        "steps": begin,
        "spacing": spacing,
        "variance": variance_of(trained) if sampler.uses_variance else None,
        "limit": trained.experiment.process.limit,
        "precision": trained.precision,
        "seed": plan.seed,
        "weights": trained.weights,
        "trained_steps": trained.step,
        "model": trained.digest,
    }


def how_drawn(common: Mapping[str, Any], condition: Condition, row: int) -> str:
    """What stands in the file of image `row`: JSON of what the set has in common, the number, and the label if it has one."""
    label = {"label": condition.of([row])[0]} if condition.labels else {}
    return to_strict_json({**common, "number": row, **label})


def read_how_drawn(text: str | None) -> dict[str, Any] | None:
    """What `how_drawn` wrote; None where it did not."""
    try:
        found = strict.parse((text or "").encode())
    except ValueError:
        return None
    return found if isinstance(found, dict) and "sampler" in found else None


def differences(common: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where a set is another one than that of an image, which says `other` of itself; in words."""
    mine = json.loads(to_strict_json(common))
    other = {**BEFORE, **other}
    names = [name for name in {**other, **mine} if name not in BESIDES and other.get(name) != mine.get(name)]
    return [DIGESTS.get(name) or f"{name} {_shown(other, name)} -> {_shown(mine, name)}" for name in names]


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "not said"
