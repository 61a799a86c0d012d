"""What `--json` says of images that were drawn: enough to draw them again."""

from typing import Any

from ddpm.commands.evaluate import variance_of
from ddpm.commands.sample import Plan, numbers_of
from ddpm.commands.trained import Trained
from ddpm.sampling import SAMPLERS


def recorded(trained: Trained, plan: Plan, spacing: str, begin: int) -> dict[str, Any]:
    """The sampler with all its options, the steps of the model that were gone, from `begin` down, the seed and the weights.

    `trained` is read on the chain that was gone; the variance is null for samplers that do not draw with it.
    """
    schedule, sampler = trained.process.schedule, plan.build()
    return {
        "sampler": plan.sampler,
        "options": {name: getattr(sampler, name) for name in numbers_of(SAMPLERS[plan.sampler])},
        "steps": begin,
        "spacing": spacing,
        "kept_steps": schedule.kept[1 : begin + 1].tolist(),
        "variance": variance_of(trained) if sampler.uses_variance else None,
        "seed": plan.seed,
        "first": plan.first,
        "weights": trained.weights,
        "trained_steps": trained.step,
    }
