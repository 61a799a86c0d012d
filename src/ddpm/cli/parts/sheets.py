"""The files that `ddpm sample` writes: an image in each, and sheets that show many."""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.cli.terminal.console import track
from ddpm.cli.terminal.files import file_for
from ddpm.figures import plots
from ddpm.figures.pictures import save_animation, save_each, save_npz, square, tile, to_pictures
from ddpm.parallel.launch import number
from ddpm.parallel.world import World
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Frame, Plan, evenly
from ddpm.storage.atomic import atomically
from ddpm.trained.compare import COMPARED, budgets, compare
from ddpm.trained.labels import NONE, OWN
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measured_curve import kept_curve

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


def saved(
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


def comparison(whole: LoadedModel, plan: Plan, how: FewSteps, condition: Condition) -> Figure:
    """The sheet of `ddpm sample --compare`, with progress."""
    columns, levels = budgets(whole.process.schedule.T), whole.experiment.levels
    rows: dict[str, list[np.ndarray | None]] = {}
    label = OWN if condition.labels else NONE
    cells = compare(whole, plan, how, kept_curve(whole, label) if how.needs_curve else None, condition)
    for cell in track(cells, len(columns) * len(COMPARED), "comparing"):
        picture = None if cell.images is None else np.array(square(to_pictures(cell.images, levels)))
        rows.setdefault(cell.sampler, []).append(picture)
    return plots.comparison(rows, [f"{budget} evaluations" for budget in columns])
