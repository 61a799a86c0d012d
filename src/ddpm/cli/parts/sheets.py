"""The files that `ddpm sample` writes: an image in each, and sheets that show many."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ddpm.cli.terminal.console import track
from ddpm.cli.terminal.files import file_for
from ddpm.data.imageset import to_levels
from ddpm.figures.pictures import save_animation, save_npz, shown, square, tile, to_pictures
from ddpm.parallel.launch import number
from ddpm.parallel.world import World
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Frame, Plan, evenly
from ddpm.storage.atomic import atomically
from ddpm.trained.compare import COMPARED, budgets, compare
from ddpm.trained.draw import Drawing
from ddpm.trained.labels import NONE, OWN
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measured_curve import kept_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEETS = ("grid", "npz", "animation", "progressive")


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

    def write(self, values: Tensor, frames: Sequence[Frame], drawing: Drawing) -> None:
        """All of them, each whole or not at all; pictures of classes in turn stand in columns.

        Of several processes the first one does: it has the beginning of them.
        """
        if number():
            return
        experiment, condition = drawing.model.experiment, drawing.condition
        levels, period, labels = experiment.levels, len(condition.labels), condition.of(drawing.plan.rows)
        if self.grid:
            with atomically(self.grid) as path:
                square(shown(values, levels), period).save(path)
        if self.npz:
            with atomically(self.npz) as path:
                save_npz(values, path, labels, levels, experiment.classes)
        if self.animation:
            with atomically(self.animation) as path:
                save_animation([square(to_pictures(frame.x, levels), period) for frame in frames], path)
        if self.progressive:
            moments = [frames[i] for i in evenly(len(frames), 10)]
            rows = torch.stack([to_pictures(frame.x_0[:8], levels) for frame in moments], dim=1)
            with atomically(self.progressive) as path:
                tile(rows.flatten(0, 1), len(moments)).save(path)


def saved(batches: Iterator[tuple[range, Tensor]], drawing: Drawing, folder: Path, world: World) -> Tensor:
    """Images as integers 0..levels-1, each in its file; those of all processes, in order."""
    experiment = drawing.model.experiment
    drawn, places = [to_levels(torch.zeros(0, *experiment.shape), experiment.levels)], list[int]()
    for rows, images in batches:
        drawn.append(to_levels(images, experiment.levels))
        places += rows
        drawing.save(drawn[-1], folder, rows)
    order = world.all_gather_rows(torch.tensor(places, dtype=torch.int64)).argsort()
    return world.all_gather_rows(torch.cat(drawn))[order]


def comparison(whole: LoadedModel, plan: Plan, how: FewSteps, condition: Condition) -> "Figure":
    """The sheet of `ddpm sample --compare`, with progress."""
    columns, levels = budgets(whole.process.schedule.T), whole.experiment.levels
    rows: dict[str, list[np.ndarray | None]] = {}
    label = OWN if condition.labels else NONE
    cells = compare(whole, plan, how, kept_curve(whole, label) if how.needs_curve else None, condition)
    for cell in track(cells, len(columns) * len(COMPARED), "comparing"):
        picture = None if cell.images is None else np.array(square(to_pictures(cell.images, levels)))
        rows.setdefault(cell.sampler, []).append(picture)
    from ddpm.figures import plots

    return plots.comparison(rows, [f"{budget} evaluations" for budget in columns])
