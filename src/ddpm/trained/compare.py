"""Samplers at a few evaluations of the network, from the same noise: what `ddpm sample --compare` shows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ddpm.sampling import SAMPLERS, Sampler
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, finished, sample
from ddpm.sampling.optimal import Curve
from ddpm.tensors import ImageBatch
from ddpm.trained.loaded import LoadedModel

BUDGETS = (5, 10, 20, 50)
COMPARED = tuple(name for name in SAMPLERS if not name.startswith("langevin") and name != "flow")
"""All but Langevin dynamics, which needs thousands of evaluations, and the flow, which takes as many as it needs."""
CELL = 4
"""Images in a cell: the first ones of the run."""


@dataclass(frozen=True)
class Cell:
    """The images that a sampler draws with at most `budget` evaluations; None if it cannot make a chain of so few."""

    sampler: str
    budget: int
    images: ImageBatch | None


def affordable(sampler: Sampler, budget: int, T: int) -> int:
    """The most steps, up to T, for which a chain takes at most `budget` evaluations; 0 if one step takes more."""
    possible = [steps for steps in range(1, min(budget, T) + 1) if (sampler.evaluations(steps) or 0) <= budget]
    return possible[-1] if possible else 0


def budgets(T: int) -> tuple[int, ...]:
    """Those of `BUDGETS` that a chain of T steps can use, and T itself if it is shorter."""
    return tuple(budget for budget in BUDGETS if budget < T) or (T,)


def compare(
    trained: LoadedModel, plan: Plan, how: FewSteps, curve: Curve | None, condition: Condition
) -> Iterator[Cell]:
    """A cell for each sampler, with its default options, and each of `budgets`.

    Steps by the spacing of `how`, for which `curve` may be needed. Image i begins at the x_T that it has in a run of `plan`.
    """
    shape, device = trained.experiment.shape, trained.device
    for name in COMPARED:
        few = replace(plan, num=min(CELL, plan.num), sampler=name, options={})
        for budget in budgets(trained.process.schedule.T):
            steps = affordable(few.build(), budget, trained.process.schedule.T)
            if not steps:
                yield Cell(name, budget, None)
                continue
            p = replace(how, steps=steps).of(trained.process, curve)
            yield Cell(name, budget, torch.cat([x for _, x in finished(sample(p, shape, few, device, condition))]))
