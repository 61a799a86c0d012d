"""What `ddpm inpaint` and `ddpm edit` share: the model and the plan, and what is drawn beside what was given."""

from argparse import Namespace
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from ddpm.cli.parts.drawing import goes_on, numbers, told_how_to_go_on
from ddpm.cli.parts.opening import opened, shortened
from ddpm.cli.terminal.console import say, track
from ddpm.cli.terminal.files import JsonTarget, existing_folder, file_for, fresh_folder
from ddpm.cli.terminal.words import counted
from ddpm.data.imageset import to_levels
from ddpm.figures.pictures import save_pil, shown, tile, to_pil
from ddpm.sampling.condition import Condition
from ddpm.sampling.images import Plan, finished
from ddpm.storage.atomic import atomically
from ddpm.trained.draw import Drawing
from ddpm.trained.labels import NONE, OWN, asked_of_edit, described
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.provenance import recorded

COLUMNS = 10
PASTED = "pasted"
"""The folder in --output-dir with the whole photographs of --paste."""
Paste = Callable[[Image.Image], Image.Image]
"""A drawn picture -> the photograph with it."""


def opened_for_edit(options: Namespace, t: int | None = None) -> tuple[LoadedModel, Condition]:
    """The model on the chain asked for, and what the images show: no class unless one is named."""
    trained = opened(options)
    condition = asked_of_edit(trained.experiment, options.label, options.guidance, options.guidance_interval)
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


class Targets:
    """Where the images go; checked before any work is done."""

    def __init__(self, options: Namespace) -> None:
        self._json, self._grid = JsonTarget(options.json), file_for(options.grid, ".png")
        self._read = {name: getattr(options, name) for name in ("image", "mask") if hasattr(options, name)}
        self._folder: str = options.output_dir

    def draw(self, drawing: Drawing, given: list[Tensor], paste: Paste | None = None) -> None:
        """Draw all images and write them, also as `paste` makes whole ones of them; the grid shows the `given` pictures first."""
        plan, model, levels = drawing.plan, drawing.model, drawing.model.experiment.levels
        folder = fresh_folder(self._folder, plan.rows)
        goes_on(folder, drawing.common)
        if paste:
            existing_folder(folder / PASTED)
        drawn: list[Tensor] = []
        with told_how_to_go_on(plan, folder, ["grid"] if self._grid else []):
            for rows, images in finished(track(drawing.run(), plan.batches() * drawing.moves, "drawing")):
                values = to_levels(images, levels)
                pictures = shown(values, levels)
                drawing.save(values, folder, rows)
                if paste:
                    for row, picture in zip(rows, pictures, strict=True):
                        save_pil(paste(to_pil(picture)), folder / PASTED, row, drawing.text(row))
                drawn.append(pictures)
        if self._grid:
            with atomically(self._grid) as path:
                pictures = torch.cat([*given, *drawn])
                tile(pictures, min(len(pictures), COLUMNS)).save(path)
        self._json.write(
            {"images": plan.num, "output_dir": str(folder), **({"grid": str(self._grid)} if self._grid else {})}
            | ({"pasted": str(folder / PASTED)} if paste else {})
            | {**self._read, **drawing.given, "evaluations": drawing.evaluations}
            | recorded(model, plan, drawing.spacing, drawing.begin)
            | described(model.experiment, drawing.condition, plan.rows)
        )
        asked = (
            ""
            if drawing.evaluations is None
            else f", {counted(drawing.evaluations, 'evaluation')} of the network for each"
        )
        say(f"{counted(plan.num, 'image')} in {folder}{asked}")
        if paste:
            say(f"in the whole picture: {folder / PASTED}")
        if self._grid:
            say(f"grid: {self._grid}")
        self._json.tell()
