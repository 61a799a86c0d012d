"""What `ddpm inpaint` and `ddpm edit` share: the model and the plan, and what is drawn beside what was given."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from ddpm.cli.parts.drawing import asked_of_edits, goes_on, numbers, told_how_to_go_on
from ddpm.cli.parts.opening import opened, shortened
from ddpm.cli.terminal.console import say, track
from ddpm.cli.terminal.files import JsonTarget, file_for, fresh_folder
from ddpm.errors import Mismatch
from ddpm.figures.pictures import save_each, tile, to_pictures
from ddpm.sampling import Sampler
from ddpm.sampling.condition import Condition
from ddpm.sampling.images import Plan, finished
from ddpm.sampling.inpaint import Resampled
from ddpm.storage.atomic import atomically
from ddpm.trained.edit import Edit
from ddpm.trained.labels import NONE, OWN, described
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.provenance import how_drawn, in_common, recorded

COLUMNS = 10
BYTES = 256


@contextmanager
def of_the_small_one() -> Iterator[None]:
    """What is given is what is to be enlarged.

    Raises:
        Mismatch: it is not of that size.
    """
    try:
        yield
    except Mismatch as error:
        raise Mismatch(str(error), "the image to give is the small one, the model's size is what it becomes") from None


def opened_for_edit(options: Namespace, t: int | None = None) -> tuple[LoadedModel, Condition]:
    """The model on the chain asked for, and what the images show: no class unless one is named."""
    trained = opened(options)
    condition = asked_of_edits(options, trained.experiment)
    return shortened(options, trained, t, OWN if condition.labels else NONE), condition


def plan_of(options: Namespace) -> Plan:
    """Which images, and how they are drawn.

    Raises:
        UsageError: no such sampler, or not with these options.
    """
    plan = Plan(
        num=options.num,
        sampler=options.sampler,
        options=numbers(options),
        seed=options.seed,
        batch_size=options.batch_size,
        first=options.first,
    )
    plan.build()
    return plan


def way_of(sampler: Sampler) -> dict[str, object]:
    """How often, and how far, an inpainting goes up again."""
    return {"resamplings": sampler.resamplings, "jump": sampler.jump} if isinstance(sampler, Resampled) else {}


class Targets:
    """Where the images go; checked before any work is done."""

    def __init__(self, options: Namespace) -> None:
        self._json, self._grid = JsonTarget(options.json), file_for(options.grid, ".png")
        self._read = {name: getattr(options, name) for name in ("image", "mask") if hasattr(options, name)}
        self._folder: str = options.output_dir

    def draw(
        self,
        trained: LoadedModel,
        plan: Plan,
        spacing: str,
        edit: Edit,
        given: list[Tensor],
        what: Mapping[str, object],
    ) -> None:
        """Draw all images, of the classes asked for, and write them; the grid shows them after the `given` pictures.

        `what` is done and with what stands in each of them.
        """
        folder = fresh_folder(self._folder, plan.rows)
        common = in_common(trained, plan, spacing, edit.begin, edit.condition) | dict(what)
        goes_on(folder, common)
        drawn: list[Tensor] = []
        with told_how_to_go_on(plan, folder, ["grid"] if self._grid else []):
            for rows, images in finished(track(edit.run(plan), plan.batches() * edit.moves, "drawing")):
                pictures = to_pictures(images, trained.experiment.data.levels)
                save_each(pictures, folder, rows.start, partial(how_drawn, common, edit.condition))
                drawn.append(pictures)
        asked = "" if edit.evaluations is None else f", {edit.evaluations:,} evaluations of the network for each"
        say(f"{plan.num} images in {folder}{asked}")
        if self._grid:
            with atomically(self._grid) as path:
                pictures = torch.cat([*given, *drawn])
                tile(pictures, min(len(pictures), COLUMNS)).save(path)
            say(f"grid: {self._grid}")
        self._json.write(
            {"images": plan.num, "output_dir": str(folder), **({"grid": str(self._grid)} if self._grid else {})}
            | {**self._read, **what, "evaluations": edit.evaluations}
            | recorded(trained, plan, spacing, edit.begin)
            | described(trained.experiment, edit.condition, plan.rows)
        )
