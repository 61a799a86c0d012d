"""Images to be drawn from a trained model: one value for samples and edits, and the options by which a call asks for them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import torch

from ddpm.checks import check_whole
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError
from ddpm.evaluation.curve import ErrorAt
from ddpm.figures.animation import Animation, forward, still
from ddpm.figures.images import Images
from ddpm.figures.pictures import save_each
from ddpm.figures.progress import followed
from ddpm.parallel.world import ALONE, World
from ddpm.sampling import Sampler
from ddpm.sampling.chain import Step, start
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.sampling.few_steps import OPTIMAL, FewSteps
from ddpm.sampling.images import Plan, Sampled, Watch, chains, described, finished, finite, noise_of
from ddpm.tensors import ImageBatch
from ddpm.trained.labels import NONE, OWN, Label, condition_of, condition_of_edit
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measured_curve import on_chain
from ddpm.trained.provenance import how_drawn, in_common


@dataclass(frozen=True, eq=False)
class Drawing:
    """Chains from noise, or from `image` noised to step t; image i depends on `plan.seed`, `purpose` and i alone.

    Args:
        model: read on the chain that is gone, which may have fewer steps than it was trained on.
        plan: how many images, from which seed.
        sampler: the plan's, or one around it.
        process: the model's, or one that knows more of what it is to draw (`sampling.inverse`).
        spacing: by which rule the steps of the chain were kept.
        image: (1, C, H, W), where the chains do not begin at x_T.
        t: the step of the chain at which they begin then.
        condition: what the images show.
        purpose: a name that tells the random numbers of one kind of drawing from those of another.
        given: what else stands in each image's file: by which method, and digests of what was given.
    """

    model: LoadedModel
    plan: Plan
    sampler: Sampler
    process: ReverseProcess
    spacing: str = "uniform"
    image: ImageBatch | None = None
    t: int | None = None
    condition: Condition = ANYTHING
    purpose: str = "edit"
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begin(self) -> int:
        """The step at which the chains begin."""
        return self.process.schedule.T if self.t is None else self.t

    @property
    def moves(self) -> int:
        """Steps of one chain."""
        return self.sampler.moves(self.begin)

    @property
    def evaluations(self) -> int | None:
        """Evaluations of the network for one image; None if that depends on the image."""
        return self.sampler.evaluations(self.begin)

    @cached_property
    def common(self) -> dict[str, Any]:
        """What the images of the set have in common, as each of them says it."""
        return in_common(self.model, self.plan, self.spacing, self.begin, self.condition) | dict(self.given)

    def text(self, row: int) -> str:
        """What stands in the file of image `row`: how it was drawn."""
        return how_drawn(self.common, self.condition, row)

    def save(self, values: torch.Tensor, folder: Path, rows: range) -> None:
        """The files of the images of these numbers, (len(rows), C, H, W) integers 0..levels-1."""
        experiment = self.model.experiment
        save_each(values, folder, rows.start, self.text, experiment.levels, self.condition.of(rows), experiment.classes)

    def run(self, world: World = ALONE) -> Iterator[Sampled]:
        """Every step of every chain: `plan.batches()` times `moves`, shared among the processes of a world.

        Raises:
            Diverged: as `finite`.
        """
        shape, device = self.model.experiment.shape, self.model.device
        begin, condition = self._start, self.condition
        return finite(
            chains(self.process, begin, self.sampler, shape, self.plan, device, condition, self.purpose, world)
        )

    def _start(self, drawn: ImageBatch) -> Step:
        """At x_T, or at the image's x_t, made of this noise."""
        p = self.process
        if self.image is None:
            return start(p, drawn, p.schedule.T)
        return start(p, p.q.sample(self.image.to(self.model.device).expand_as(drawn), self.begin, drawn), self.begin)

    def images(self, sampled: Iterator[Sampled]) -> Images:
        """The images that these steps, those of `run`, lead to."""
        experiment = self.model.experiment
        drawn = [x for _, x in finished(sampled)]
        labels = self.condition.of(self.plan.rows)
        return Images(
            torch.cat([torch.zeros(0, *experiment.shape), *drawn]),
            experiment.levels,
            torch.tensor(labels) if labels else None,
            experiment.classes,
            [self.text(row) for row in self.plan.rows],
            tuple(self.plan.rows),
        )


def check_variance(sampler: Sampler, variance: str | None) -> None:
    """Refuse to name a variance for a sampler that draws with none of the model.

    Raises:
        UsageError: it does not.
    """
    if variance is not None and not sampler.uses_variance:
        raise UsageError(
            f"{described(sampler)[0]} does not draw with a variance of the model: {variance}",
            "the samplers ancestral and corrected do",
        )


def samples(model: LoadedModel, plan: Plan, spacing: str, condition: Condition) -> Drawing:
    """Images from noise: what the model, on the chain that it is read on, takes for data.

    Raises:
        UsageError: there is no such sampler.
    """
    return Drawing(model, plan, plan.build(), model.process, spacing, condition=condition, purpose="sample")


class DrawingOptions(TypedDict, total=False):
    """How images are drawn: the options of `TrainedModel.sample`, which explains them."""

    sampler: str | Sampler
    steps: int | None
    spacing: str
    variance: str | None
    exact: bool
    seed: int
    label: Label
    guidance: float
    guidance_interval: tuple[int, int] | None
    first: int
    batch_size: int
    progress: bool


@dataclass(frozen=True)
class How:
    """How images are drawn, with the defaults of `TrainedModel.sample`."""

    sampler: str | Sampler = "ancestral"
    steps: int | None = None
    spacing: str = "uniform"
    variance: str | None = None
    exact: bool = False
    seed: int = 0
    label: Label = None
    guidance: float = 1.0
    guidance_interval: tuple[int, int] | None = None
    first: int = 0
    batch_size: int = 64
    progress: bool = True

    @property
    def few(self) -> FewSteps:
        """The chain."""
        return replace(few_steps(self.steps, self.spacing, self.variance), exact=self.exact)

    @property
    def weight(self) -> float | None:
        """Of guidance; None where there is none."""
        return None if self.guidance == 1 and self.guidance_interval is None else self.guidance

    def plan(self, n: int) -> Plan:
        """For `n` images.

        Raises:
            UsageError: a number that is none, or not so large as it must be; no such sampler, or it has no variance.
        """
        plan = Plan(
            num=check_whole("n", n),
            sampler=self.sampler,
            seed=check_whole("seed", self.seed),
            batch_size=check_whole("batch_size", self.batch_size, 1),
            first=check_whole("first", self.first),
        )
        check_variance(plan.build(), self.variance)
        return plan


def on_few(model: LoadedModel, few: FewSteps, label: str, timestep: int | None, progress: bool) -> LoadedModel:  # noqa: FBT001
    """The model on the chain asked for, and with the variance asked for."""
    fixed = few.variance not in (None, OPTIMAL)
    read = model.read({"process.variance": few.variance}) if fixed else model

    def watched(errors: Iterator[ErrorAt], count: int) -> Iterator[ErrorAt]:
        with followed(errors, count, "measuring the network's error, once", progress) as shown:
            yield from shown

    return on_chain(read, few, watched, timestep, label)


def samples_of(model: LoadedModel, n: int, how: How) -> Drawing:
    """The `n` samples that a call asks for.

    Raises:
        UsageError: as `TrainedModel.sample`.
    """
    condition = condition_of(model.experiment, how.label, how.weight, how.guidance_interval)
    plan = how.plan(n)
    on_chain = on_few(model, how.few, OWN if condition.labels else NONE, None, how.progress)
    return samples(on_chain, plan, how.spacing, condition)


def edit_of(
    model: LoadedModel,
    n: int,
    how: How,
    edit: Callable[[LoadedModel, Plan], Drawing],
    timestep: int | None = None,
) -> Drawing:
    """The `n` images that a call makes of a given one by `edit`, on a chain that begins at `timestep` if there is one.

    Raises:
        UsageError: as `TrainedModel.edit`.
    """
    condition = condition_of_edit(model.experiment, how.label, how.weight, how.guidance_interval)
    plan, label = how.plan(n), OWN if condition.labels else NONE
    on_chain = on_few(model, how.few, label, timestep, how.progress)
    return replace(edit(on_chain, plan), condition=condition, spacing=how.spacing)


def drawn(drawing: Drawing, what: str, how: How) -> Images:
    """All images, with progress."""
    with followed(drawing.run(), drawing.plan.batches() * drawing.moves, what, how.progress) as steps:
        return drawing.images(steps)


def moving(drawing: Drawing, x_0: ImageBatch | None, frames: int, how: How) -> Animation:
    """A drawing of one image as it is made; before it, if there is an x_0, that one on its way to where the drawing begins."""
    plan, begin = drawing.plan, drawing.begin
    watch = Watch(1, drawing.moves, max(1, frames // 2) if x_0 is not None else frames - 1)
    with followed(watch(drawing.run()), drawing.moves, "drawing", how.progress) as steps:
        for _ in steps:
            pass
    down = [(frame.t, frame.x) for frame in watch.frames]
    eps = noise_of(plan, drawing.purpose, plan.rows)(torch.empty(1, *drawing.model.experiment.shape))
    if x_0 is None:
        return still([(begin, eps), *down], drawing.model.experiment.levels)
    noise = noise_of(plan, "animate", plan.rows)
    up = forward(drawing.process.q, x_0, eps, begin, noise, frames - len(down))
    return still([*up, *down], drawing.model.experiment.levels)


def few_steps(steps: int | None, spacing: str = "uniform", variance: str | None = None) -> FewSteps:
    """Which steps of the chain.

    Raises:
        UsageError: `steps` is no number.
    """
    return FewSteps(None if steps is None else check_whole("steps", steps, 1), spacing, variance)
