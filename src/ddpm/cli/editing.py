"""`ddpm inpaint` and `ddpm edit` on the terminal: what is given, what is drawn from it, and both side by side."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ddpm.cli.console import JsonTarget, file_for, fresh_folder, note, say, track
from ddpm.cli.opening import opened, shortened, shorter
from ddpm.cli.sampling import goes_on, numbers, told_how_to_go_on
from ddpm.data.inputs import read_mask, read_unscaled
from ddpm.errors import Mismatch
from ddpm.experiment.config import Experiment
from ddpm.figures.pictures import BACKGROUND, save_each, tile, to_pictures
from ddpm.sampling import Sampler
from ddpm.sampling.condition import Condition
from ddpm.sampling.images import Plan, finished
from ddpm.sampling.inpaint import Resampled
from ddpm.storage.atomic import atomically
from ddpm.trained.edit import Edit, colour, from_noised, inpaint, small_shape, super_resolve
from ddpm.trained.labels import NONE, OWN, asked, described
from ddpm.trained.loaded import LoadedModel, digest
from ddpm.trained.provenance import how_drawn, in_common, recorded

COLUMNS = 10
BYTES = 256


def run_inpaint(options: Namespace) -> None:
    """`ddpm inpaint`."""
    plan, targets = _plan(options), Targets(options)
    trained, condition = _opened(options)
    data = trained.experiment.data
    image = read_unscaled(Path(options.image).expanduser(), data.shape, data.levels)
    hole = read_mask(Path(options.mask).expanduser(), *data.shape[1:])
    edit = inpaint(trained, image, hole, plan, options.method, options.jump, options.resamplings or 0)
    if bool(hole.all()):
        note("ddpm: the mask is white everywhere: nothing of the image is kept")
    given = to_pictures(image, data.levels)
    edit = replace(edit, condition=condition)
    what = {"method": options.method, "given": digest([image, hole])} | way_of(edit.sampler)
    targets.draw(trained, plan, options.spacing, edit, [given, given.masked_fill(hole, BACKGROUND)], what)


def run_edit(options: Namespace) -> None:
    """`ddpm edit`."""
    plan, targets = _plan(options), Targets(options)
    trained, condition = _opened(options, options.timestep)
    shape, levels = trained.experiment.data.shape, trained.experiment.data.levels
    path = Path(options.image).expanduser()
    if options.timestep is not None:
        image = read_unscaled(path, shape, levels)
        place = shorter(options).place(options.timestep)
        edit, given = from_noised(trained, image, place, plan), to_pictures(image, levels)
    elif options.super_resolve is not None:
        with _of_the_small_one():
            image = read_unscaled(path, small_shape(shape, options.super_resolve), BYTES)
        edit, given = super_resolve(trained, image, options.super_resolve, plan), to_pictures(image, BYTES)
        given = given.repeat_interleave(options.super_resolve, 2).repeat_interleave(options.super_resolve, 3)
    else:
        image = read_unscaled(path, (1, *shape[1:]), BYTES)
        edit, given = colour(trained, image, plan), to_pictures(image, BYTES).expand(-1, 3, -1, -1)
    what = {name: getattr(options, name) for name in ("timestep", "super_resolve") if getattr(options, name)}
    what = (what or {"colour": True}) | {"given": digest([image])}
    targets.draw(trained, plan, options.spacing, replace(edit, condition=condition), [given], what)


@contextmanager
def _of_the_small_one() -> Iterator[None]:
    """What is given is what is to be enlarged.

    Raises:
        Mismatch: it is not of that size.
    """
    try:
        yield
    except Mismatch as error:
        raise Mismatch(str(error), "the image to give is the small one, the model's size is what it becomes") from None


def _opened(options: Namespace, t: int | None = None) -> tuple[LoadedModel, Condition]:
    """The model on the chain asked for, and what the images show: no class unless one is named."""
    trained = opened(options)
    condition = asked_of_edits(options, trained.experiment)
    return shortened(options, trained, t, OWN if condition.labels else NONE), condition


def asked_of_edits(options: Namespace, experiment: Experiment) -> Condition:
    """No class unless one is named: what a given image shows is not known."""
    unaware = experiment.model.classes and experiment.training.label_dropout
    return asked(experiment, options.label or (NONE if unaware else None), options.guidance, options.guidance_interval)


def _plan(options: Namespace) -> Plan:
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
