"""A running training: its steps, and what is done between them."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint, Outcome, Wrote, gathered
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.learned import ScheduledNetwork, schedule_at
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.experiment.binding import KEY, binding
from ddpm.experiment.config import Experiment
from ddpm.experiment.history import images_after, stretches
from ddpm.figures.pictures import square, to_pictures, whole_rows
from ddpm.models.dropout import DRAWS
from ddpm.models.precision import choose, in_precision
from ddpm.models.recompute import recompute
from ddpm.models.shape import UNetShape
from ddpm.models.unet import is_channels_last
from ddpm.parallel.world import ALONE, World, full
from ddpm.run.events import Event, Expected, Halted, Logged, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.log import RunningLoss
from ddpm.run.missing_images import lost_by_all
from ddpm.run.pace import (
    ALMOST,
    LOOK_SHARE,
    PREVIEW_STEPS,
    Clock,
    Pace,
    ends_by_time,
    look_in_steps,
    recipe_of,
    steps_within,
    with_looks,
)
from ddpm.run.writer import Writer, grid_path
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, finished, sample
from ddpm.seeds import key
from ddpm.training.replicas import PARALLEL, is_sharded, team_of
from ddpm.training.rounded import in_training
from ddpm.training.trainer import GradientStep, Recipe, State, train
from ddpm.version import VERSION

ON_DEVICE_BYTES = 4 * 2**30
"""Images up to this much live on the device."""


def conditions(experiment: Experiment, device: torch.device, world: World) -> dict[str, str | int]:
    """What a run must have in common with itself before it was stopped, to go on to the bit."""
    masks = {"dropout": DRAWS} if experiment.model.dropout else {}
    precision = choose(experiment.precision, device)
    model, rounded = experiment.model, precision == "bf16" and device.type == "cpu"
    last = rounded and isinstance(model, UNetShape) and is_channels_last(model)
    layout = {"layout": "channels last"} if last else {}
    return {
        "ddpm": VERSION,
        "torch": torch.__version__,
        "precision": precision,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processes": world.size,
        "parallel": experiment.parallel,
        **masks,
        **layout,
    }


def new_state(experiment: Experiment, device: torch.device, world: World = ALONE) -> State:
    """A new network, initialised from the seed alone, its averages and its optimiser; in shards, if that is asked for."""
    with torch.random.fork_rng([]):
        torch.manual_seed(key(experiment.training.seed, "initialisation"))
        network = experiment.network()
    if experiment.gradient_checkpointing:
        recompute(network)
    fp16 = choose(experiment.precision, device) == "fp16"
    scaler = torch.amp.GradScaler(device.type, enabled=fp16)
    network = PARALLEL[experiment.parallel](network, world, device)
    recipe = experiment.training
    return State.start(network, recipe.lr, scaler, recipe.averages, recipe.optimizer)


def training_process(
    experiment: Experiment, state: State, device: torch.device, replica: nn.Module | None = None
) -> Callable[[], ReverseProcess]:
    """The network as training sees it: in its precision, compiled if asked for, without a limit on x_0.

    `replica` is the network as several processes see it. Built anew at each call only where the schedule is learned.
    """
    network = replica or state.network
    network = torch.compile(network) if experiment.compile else network
    precise = in_training(network, choose(experiment.precision, device), device)
    if experiment.schedule.learned:
        return lambda: experiment.reverse_process(precise, "unlimited", experiment.schedule_of(state.network))
    p = experiment.reverse_process(precise, "unlimited", experiment.schedule_of(state.network))
    return lambda: p


@dataclass(frozen=True)
class Session:
    """The parts of a running training, and what is done between its steps."""

    experiment: Experiment
    folder: RunFolder
    device: torch.device
    world: World
    state: State
    running_loss: RunningLoss
    writer: Writer
    images: ImageSet
    held_out: ImageSet
    fingerprint: str
    made_by: Mapping[str, str | int]
    clock: Clock

    def events(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Step, and log, evaluate, sample and save when it is time."""
        experiment, world = self.experiment, self.world
        images = self.images.moved_to(self.device, ON_DEVICE_BYTES)
        pace, stopping = Pace(look_in_steps(experiment, len(self.held_out))), False
        last = self.state.step > 0 and self._over(pace)
        if postponed := self.running_loss.take_postponed():
            ended = last or postponed.step == experiment.training.steps
            yield from self._look(postponed, self._batches(images, experiment.training), last=ended)
        for progress, batches in () if last else self._trained(images):
            pace.stepped()
            stopping, last = world.any(stop()), self._is_last(progress.step, pace)
            self.running_loss.add(progress)
            yield Stepped(progress.step)
            if pace.known():
                yield self._expected(pace)
            if stopping and self._takes_long(last=last) and not progress.skipped:
                self.running_loss.postpone(progress)
            else:
                yield from self._look(progress, batches, last=last, share=self._look_share(pace) if last else 1.0)
                if self._takes_long(last=last):
                    pace.looked()
            if last and self._over(pace):
                self.clock.stop()
            if last and ends_by_time(experiment):
                world.lead(lambda: self.folder.write_experiment(self._ended()))
            rhythm = experiment.rhythm
            if self._due(rhythm.save) or self._due(rhythm.keep) or stopping or last:
                yield from self._save(batches)
            if stopping or last:
                break
        yield from world.together(self.writer.finish)
        if stopping:
            yield Halted(self.state.step)

    def _is_last(self, step: int, pace: Pace) -> bool:
        """Whether this step is the last one: all are done, or the time is over."""
        ended = step == self.experiment.training.steps and not ends_by_time(self.experiment)
        return self._over(pace) or ended

    def _over(self, pace: Pace) -> bool:
        """Whether the budget, if there is one, has but the time for a last look, in the eyes of any process."""
        budget = self.clock.budget
        return budget is not None and self.world.any(self.clock.over(min(pace.look, LOOK_SHARE * budget)))

    def _look_share(self, pace: Pace) -> float:
        """How much of the last look there is time for."""
        budget = self.clock.budget
        return 1.0 if budget is None else min(1.0, self.world.least(LOOK_SHARE * budget / max(pace.look, 1e-9)))

    def _ended(self) -> Experiment:
        """The experiment with as many steps as there was time for."""
        return replace(self.experiment, training=replace(self.experiment.training, steps=self.state.step))

    def _expected(self, pace: Pace) -> Expected:
        """How long the rest will take, as things go now."""
        per_step, left = pace.per_step, self.clock.left
        end, step = self.experiment.training.steps, self.state.step
        if left is None:
            return Expected(per_step, end, with_looks(self.experiment, len(self.held_out), end - step) * per_step)
        fit = steps_within(self.experiment, len(self.held_out), max(left, 0) / max(per_step, 1e-9))
        short = not ends_by_time(self.experiment) and fit < ALMOST * (end - step)
        to_do = fit if short or ends_by_time(self.experiment) else end - step
        seconds = with_looks(self.experiment, len(self.held_out), to_do) * per_step
        return Expected(per_step, step + to_do, min(left, seconds), end if short else None)

    def _trained(self, images: ImageSet) -> Iterator[tuple[GradientStep, Batches]]:
        """Step by step, from one change of the recipe to the next; with what the images come from."""
        experiment, state = self.experiment, self.state
        replica, team = team_of(state.network, self.world, self.device)
        process = training_process(experiment, state, self.device, replica)
        objective = OBJECTIVES[experiment.objective]
        for recipe, end in stretches(recipe_of(experiment), experiment.changes, state.step):
            batches = self._batches(images, recipe)
            steps = train(state, process, objective, batches, recipe, team)
            for progress in itertools.islice(steps, end - state.step):
                yield progress, batches
            images = replace(images, lost=dict(batches.lost))

    def _batches(self, images: ImageSet, recipe: Recipe) -> Batches:
        """This process' part of the batches from here on."""
        share, step = self.world.share(recipe.batch_size), self.state.step
        seen = images_after(self.experiment.training, self.experiment.changes, step)
        batches = replace(self.experiment, training=recipe).batches(images)
        return replace(batches, places=slice(share.start, share.stop), first=seen - step * recipe.batch_size)

    def _look(self, progress: GradientStep, batches: Batches, *, last: bool, share: float = 1.0) -> Iterator[Event]:
        """What is due after a step: a line of the log, the held-out bound, a grid of samples; or a share of their images."""
        rhythm, running_loss = self.experiment.rhythm, self.running_loss
        evaluating = self._evaluating(last=last)
        if evaluating or self._due(rhythm.log, last=last):
            recipe, changes = self.experiment.training, self.experiment.changes
            told: dict[str, Any] = {}
            for change in changes:
                if running_loss.logged <= change.step < progress.step:
                    told |= {change.setting: change.after, "changed_at": change.step}
            row = running_loss.row(progress, images_after(recipe, changes, progress.step), self.state.skipped) | told
            row |= self._evaluate(share) if evaluating else {}
            running_loss.keep(row)
            if lost := lost_by_all(self.world, batches.lost):  # only noted: a log line changes no step
                row["lost_images"] = len(lost)
                yield from self.writer.write_bad_images(replace(batches.images, lost=lost), self.held_out)
            yield from self.writer.write_row(row)
            yield Logged(row)
        if self._due(rhythm.sample, last=last):
            yield from self._preview(share)

    def _evaluating(self, *, last: bool) -> bool:
        return len(self.held_out) > 0 and self._due(self.experiment.rhythm.evaluate, last=last)

    def _takes_long(self, *, last: bool) -> bool:
        """Whether more than a line is due: then who asked for an end does not wait for it: the next start does it."""
        return self._evaluating(last=last) or self._due(self.experiment.rhythm.sample, last=last)

    def _due(self, every: int, *, last: bool = False) -> bool:
        return every > 0 and (self.state.step % every == 0 or last)

    def _averaged(self) -> ReverseProcess:
        """The process on the moving average of the weights, in float32.

        Of an average in shards each process gets the whole, on its device, for as long as it holds the process: their parts
        of the work differ. It is read by a network without weights: the one that is trained is left alone.
        """
        average = {name: full(tensor) for name, tensor in self.state.ema.items()}
        with torch.device("meta"):
            shape = self.experiment.network().eval()

        def network(*inputs: Tensor) -> Tensor:
            return functional_call(shape, average, inputs)

        schedule = self.experiment.schedule.build(self.experiment.levels)
        if isinstance(shape, ScheduledNetwork):
            schedule = schedule_at(shape, average)
        return self.experiment.reverse_process(network, self.experiment.process.limit, schedule)

    def _evaluate(self, share: float) -> dict[str, float]:
        rhythm = self.experiment.rhythm
        held_out = self.held_out.take(torch.arange(max(round(share * len(self.held_out)), 1)))
        target = bound_of(self._averaged(), self.experiment.labels(held_out))
        found = estimate(target, held_out, 0, rhythm.evaluations, 64, self.device, world=self.world)
        return {
            "bits_per_dim": found.total,
            "bits_per_dim_stderr": found.stderr,
            "bits_per_dim_monte_carlo": found.monte_carlo,
        }

    def _preview(self, share: float) -> Iterator[Event]:
        """A grid of whole rows by DDIM in a few steps, from the same noise each time; a column for each class.

        In the precision of training: it is looked at.
        """
        experiment, period = self.experiment, len(self.experiment.every_class)
        count = whole_rows(max(round(share * experiment.rhythm.samples), 1), period)
        mine = self.world.share(count)
        plan = Plan(len(mine), sampler="ddim", first=mine.start)
        p = self._averaged()
        p = replace(p, network=in_precision(p.network, choose(experiment.precision, self.device), self.device))
        p = FewSteps(min(PREVIEW_STEPS, p.schedule.T)).of(p)
        condition = Condition(self.experiment.every_class)
        drawn = [x for _, x in finished(sample(p, experiment.shape, plan, self.device, condition))]
        images = self.world.all_gather_rows(torch.cat([torch.zeros(0, *experiment.shape), *drawn]))
        picture = square(to_pictures(images, experiment.levels), period)
        yield from self.writer.save_grid(picture, self.state.step)
        yield Wrote(grid_path(self.folder, self.state.step))

    def _save(self, batches: Batches) -> Sequence[Outcome]:
        """Begin to save; returns how the save before ended. Sharded weights are copied by all processes together.

        From here on no process uses an image that any of them has lost, and neither does a run that goes on from here.
        """
        lost = lost_by_all(self.world, batches.lost)
        batches.lose(lost)
        step, writer, running_loss = self.state.step, self.writer, self.running_loss
        numbers = {"made_by": self.made_by, **running_loss.measured(), "ledger": running_loss.kept()}
        numbers["images"] = self.fingerprint
        numbers[KEY] = binding(self.experiment, step)
        numbers["lost"] = {str(row): reason for row, reason in lost.items()}
        if self.clock.budget is not None:
            numbers["spent"] = self.clock.total
        content = checkpoints.pack(self.state)
        content = Checkpoint(content.tensors, {**content.numbers, **numbers})
        if not is_sharded(self.state.network):
            return self.world.together(lambda: writer.save(step, content))
        before = self.world.together(writer.wait)  # its memory is free before another copy is made
        copy = gathered(content, self.world)
        self.world.together(lambda: writer.save_owned(step, copy))
        return before
