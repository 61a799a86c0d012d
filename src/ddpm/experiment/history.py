"""What a run was besides its settings: with which weights it began, and what was changed in its middle.

The settings of an experiment are those after all changes; `recipe_at` says what they were at a step.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from ddpm.training.trainer import Recipe

CHANGEABLE = ("training.lr", "training.batch_size")
"""What may be changed in the middle of a run, from a step on."""


@dataclass(frozen=True)
class Change:
    """From `step` steps on, a setting has the value `after`; it was `before`."""

    step: Annotated[int, Ge(0)]
    setting: Literal["training.lr", "training.batch_size"]
    before: int | Annotated[float, Gt(0), Lt(math.inf)]
    after: int | Annotated[float, Gt(0), Lt(math.inf)]

    def __str__(self) -> str:
        return f"{self.setting}: {self.before} -> {self.after} from step {self.step:,} on"


@dataclass(frozen=True)
class Init:
    """The weights that a run began with: the average `weights` of the checkpoint of `step` in the run `path`.

    `digest` is that of their numbers.
    """

    path: str
    step: Annotated[int, Ge(0)]
    weights: str
    digest: str


def recipe_at(recipe: Recipe, changes: Sequence[Change], step: int) -> Recipe:
    """The recipe of step `step` (from 0): what was changed later is as it was."""
    for change in sorted((c for c in changes if c.step > step), key=lambda c: c.step, reverse=True):
        recipe = replace(recipe, **{_field(change.setting): change.before})
    return recipe


def changed_from(
    recipe: Recipe, changes: Sequence[Change], step: int, wanted: Mapping[str, Any]
) -> tuple[Recipe, tuple[Change, ...]]:
    """The recipe and the changes of a run in which settings get these values from `step` steps on, and keep them.

    What is so already stays as it is: the same command again changes nothing. What was changed later is dropped.
    """
    for setting, value in wanted.items():
        if getattr(recipe, _field(setting)) == value and not changed_after(changes, step, setting):
            continue
        before = getattr(recipe_at(recipe, changes, step - 1), _field(setting))
        changes = [c for c in changes if c.setting != setting or c.step < step]
        if before != value:
            changes = [*changes, Change(step, setting, before, value)]  # pyright: ignore[reportArgumentType] (of CHANGEABLE)
        recipe = replace(recipe, **{_field(setting): value})
    return recipe, tuple(sorted(changes, key=lambda change: change.step))


def changed_after(changes: Sequence[Change], step: int, setting: str) -> list[Change]:
    """The changes of a setting from a later step on, the last one last."""
    return sorted((c for c in changes if c.setting == setting and c.step > step), key=lambda c: c.step)


def stretches(recipe: Recipe, changes: Sequence[Change], step: int) -> Iterator[tuple[Recipe, int]]:
    """From `step` on, parts of a run in which nothing changes: the recipe of each, and after how many steps it ends."""
    ends = sorted({change.step for change in changes if step < change.step < recipe.steps} | {recipe.steps})
    for end in ends:
        if end > step:
            yield recipe_at(recipe, changes, step), end
            step = end


def images_after(recipe: Recipe, changes: Sequence[Change], step: int) -> int:
    """How many images were trained on in the first `step` steps."""
    images, begun = 0, 0
    for one, end in stretches(replace(recipe, steps=max(step, 1)), changes, 0):
        images += (min(end, step) - begun) * one.batch_size
        begun = end
    return images


def _field(setting: str) -> str:
    return setting.removeprefix("training.")
