"""`ddpm sample` on the terminal: what is drawn, and the files that show it."""

import math
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.cli.console import JsonTarget, file_for, fresh_folder, note, say, track
from ddpm.cli.opening import curve_for, opened, shorter
from ddpm.cli.processes import processes
from ddpm.cli.training import assignments
from ddpm.errors import CannotCreate, Interrupted, UsageError
from ddpm.figures import plots, style
from ddpm.figures.pictures import numbered, save_animation, save_each, save_npz, square, text_of, tile, to_pictures
from ddpm.parallel.launch import launched, number
from ddpm.parallel.world import World
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Frame, Plan, Watch, evenly, finished, sample
from ddpm.sampling.langevin import Annealed
from ddpm.sampling.optimal import Curve
from ddpm.storage.atomic import atomically, write_bytes
from ddpm.trained.compare import COMPARED, budgets, compare
from ddpm.trained.labels import NONE, OWN, asked, described
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.provenance import differences, how_drawn, in_common, read_how_drawn, recorded

WATCHED = 64
SHEETS = ("grid", "npz", "animation", "progressive")
TOO_LARGE = 2**63
"""No option of a sampler is so large; infinity is, and NaN is not smaller."""


def run_sample(options: Namespace) -> None:
    """`ddpm sample`."""
    plan = Plan(options.num, options.sampler, numbers(options), options.seed, options.batch_size, options.first)
    sampler = plan.build()
    json_target, targets = JsonTarget(options.json), Targets.of(options)
    sheet, whole = file_for(options.compare, ".png"), opened(options)
    condition = asked(whole.experiment, options.label, options.guidance, options.guidance_interval)
    how = shorter(options)
    how.check(whole.process)
    if options.variance and not (sampler.uses_variance or sheet):
        raise UsageError(
            f"{options.sampler} does not draw with a variance of the model: --variance {options.variance}",
            "--sampler ancestral and corrected do",
        )
    if isinstance(sampler, Annealed) and how.steps not in (None, whole.process.schedule.T):
        note(f"ddpm: {options.sampler} needs all {whole.process.schedule.T} steps: in {how.steps} it leaves noise")
    with processes(whole.device) as world:
        world.lead(lambda: fresh_folder(options.output_dir, plan.rows))
        folder = Path(options.output_dir).expanduser()
        curve = curve_for(options, whole, label=OWN if condition.labels else NONE)
        trained = replace(whole, process=how.of(whole.process, curve))
        p, moves = trained.process, sampler.moves(trained.process.schedule.T)
        data, watch = trained.experiment.data, Watch(WATCHED, moves)
        common = in_common(trained, plan, options.spacing, p.schedule.T, condition)
        world.lead(lambda: goes_on(folder, common))
        total = math.ceil(plan.batches() / world.size) * moves
        chains = track(sample(p, data.shape, plan, trained.device, condition, world), total, "sampling")
        with told_how_to_go_on(plan, folder, [flag for flag in SHEETS if getattr(options, flag)]):
            said = partial(how_drawn, common, condition)
            pictures = _saved(finished(watch(chains)), data.shape, data.levels, folder, said, world)
    labels = condition.of(plan.rows)
    targets.write(pictures, watch.frames, data.levels, labels, len(condition.labels))
    say(f"{plan.num} images in {folder}")
    written = {name: str(path) for name, path in vars(targets).items() if path}
    if sheet:
        write_bytes(sheet, style.png(_comparison(whole, plan, how, curve, condition)))
        written["compare"] = str(sheet)
    for name, path in written.items():
        say(f"{name}: {path}")
    json_target.write(
        {"images": plan.num, "output_dir": str(folder), **written, "evaluations": sampler.evaluations(p.schedule.T)}
        | recorded(trained, plan, options.spacing, p.schedule.T)
        | described(trained.experiment, condition, plan.rows),
    )


def goes_on(folder: Path, common: dict[str, Any]) -> None:
    """What was drawn into a folder before must be of the set that is to be drawn: the first image that says so is asked.

    Raises:
        CannotCreate: it was drawn otherwise.
    """
    there = sorted(folder.glob("[0-9]*.png"))
    if not there:
        return
    known = next((found for path in there if (found := read_how_drawn(text_of(path)))), None)
    if known and (changed := differences(common, known)):
        raise CannotCreate(
            f"the images in {str(folder)!r} were drawn otherwise: {', '.join(changed)}", "give another --output-dir"
        )
    holds = f"ddpm: {str(folder)!r} holds {len(there):,} images already"
    unknown = "they do not say how they were drawn; with the same flags it is one set"
    note(f"{holds}: {'this goes on with them' if known else unknown}")


@contextmanager
def told_how_to_go_on(plan: Plan, folder: Path, sheets: Sequence[str]) -> Iterator[None]:
    """On Ctrl-C: which images are there, and how to draw the others; `sheets` are flags that show what one command draws.

    Raises:
        Interrupted: it was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        done = sum((folder / numbered(row)).exists() for row in plan.rows)
        hints = [f"the same command with --first {plan.first + done} --num {plan.num - done} draws the others"]
        if sheets and done:
            hints.append(f"{', '.join(f'--{flag}' for flag in sheets)} will then hold those alone, not all")
        if launched():  # several processes leave holes
            hints = []
        raise Interrupted(f"interrupted: {done:,} of {plan.num:,} images are in {folder}", *hints) from None


def _saved(
    batches: Iterator[tuple[range, Tensor]],
    shape: tuple[int, ...],
    levels: int,
    folder: Path,
    said: Callable[[int], str],
    world: World,
) -> Tensor:
    """Images as pictures, each in its file; those of all processes, in order."""
    drawn, places = [to_pictures(torch.zeros(0, *shape), levels)], list[int]()
    for rows, images in batches:
        drawn.append(to_pictures(images, levels))
        places += rows
        save_each(drawn[-1], folder, rows.start, said)
    order = world.all_gather_rows(torch.tensor(places, dtype=torch.int64)).argsort()
    return world.all_gather_rows(torch.cat(drawn))[order]


def _comparison(whole: LoadedModel, plan: Plan, how: FewSteps, curve: Curve | None, condition: Condition) -> Figure:
    """The sheet of `ddpm sample --compare`, with progress."""
    columns, levels = budgets(whole.process.schedule.T), whole.experiment.data.levels
    rows: dict[str, list[np.ndarray | None]] = {}
    cells = compare(whole, plan, how, curve, condition)
    for cell in track(cells, len(columns) * len(COMPARED), "comparing"):
        picture = None if cell.images is None else np.array(square(to_pictures(cell.images, levels)))
        rows.setdefault(cell.sampler, []).append(picture)
    return plots.comparison(rows, [f"{budget} evaluations" for budget in columns])


def numbers(options: Namespace) -> dict[str, float]:
    """The sampler's options: --eta, and what --option NAME=NUMBER says.

    Raises:
        UsageError: not a number, or not finite.
    """
    settings = {} if options.eta is None else {"eta": options.eta}
    for name, value in assignments(options.option, "--option NAME=NUMBER").items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < TOO_LARGE:
            raise UsageError(f"--option needs NAME=NUMBER: {name}={value}", "a number below 2^63")
        settings[name] = value
    return settings


@dataclass(frozen=True)
class Targets:
    """The files besides numbered images that `ddpm sample` was asked for."""

    grid: Path | None
    animation: Path | None
    npz: Path | None
    progressive: Path | None

    @classmethod
    def of(cls, options: Namespace) -> "Targets":
        """From the flags, checked."""
        return cls(
            file_for(options.grid, ".png"),
            file_for(options.animation, ".gif", ".webp"),
            file_for(options.npz, ".npz"),
            file_for(options.progressive, ".png"),
        )

    def write(
        self, pictures: Tensor, frames: Sequence[Frame], levels: int, labels: Sequence[int] = (), period: int = 1
    ) -> None:
        """All of them, each whole or not at all; pictures that repeat after `period` of them stand in columns.

        Of several processes the first one does: it has the beginning of them.
        """
        if number():
            return
        if self.grid:
            with atomically(self.grid) as path:
                square(pictures, period).save(path)
        if self.npz:
            with atomically(self.npz) as path:
                save_npz(pictures, path, labels)
        if self.animation:
            with atomically(self.animation) as path:
                save_animation([square(to_pictures(frame.x, levels), period) for frame in frames], path)
        if self.progressive:
            moments = [frames[i] for i in evenly(len(frames), 10)]
            rows = torch.stack([to_pictures(frame.x_0[:8], levels) for frame in moments], dim=1)
            with atomically(self.progressive) as path:
                tile(rows.flatten(0, 1), len(moments)).save(path)
