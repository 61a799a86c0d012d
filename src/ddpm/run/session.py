"""A running training: its steps, and what is done between them."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint, Outcome, Wrote, gathered
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.diffusion.learned import ScheduledNetwork, schedule_at
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.experiment.config import Experiment
from ddpm.figures.pictures import square, to_pictures
from ddpm.parallel.world import ALONE, World, full
from ddpm.run.events import Event, Halted, Logged, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.log import RunningLoss
from ddpm.run.missing_images import lost_by_all
from ddpm.run.writer import Writer, grid_path
from ddpm.sampling.condition import Condition
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, finished, sample
from ddpm.seeds import key
from ddpm.training.precision import choose, in_precision
from ddpm.training.replicas import PARALLEL, is_sharded, team_of
from ddpm.training.trainer import GradientStep, State, train
from ddpm.version import VERSION

PREVIEW_STEPS = 50
ON_DEVICE_BYTES = 4 * 2**30
"""Images up to this much live on the device."""


def conditions(experiment: Experiment, device: torch.device, world: World) -> dict[str, str | int]:
    """What a run must have in common with itself before it was stopped, to go on to the bit."""
    return {
        "ddpm": VERSION,
        "torch": torch.__version__,
        "precision": choose(experiment.precision, device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processes": world.size,
        "parallel": experiment.parallel,
    }


def new_state(experiment: Experiment, device: torch.device, world: World = ALONE) -> State:
    """A new network, initialised from the seed alone, its averages and its optimiser; in shards, if that is asked for."""
    with torch.random.fork_rng([]):
        torch.manual_seed(key(experiment.training.seed, "initialisation"))
        network = experiment.network()
    fp16 = choose(experiment.precision, device) == "fp16"
    scaler = torch.amp.GradScaler(device.type, enabled=fp16)
    network = PARALLEL[experiment.parallel](network, world, device)
    return State.start(network, experiment.training.lr, scaler, experiment.training.averages)


def training_process(
    experiment: Experiment, state: State, device: torch.device, replica: nn.Module | None = None
) -> Callable[[], ReverseProcess]:
    """The network as training sees it: in its precision, compiled if asked for, without a limit on x_0.

    `replica` is the network as several processes see it. Built anew at each call only where the schedule is learned.
    """
    network = replica or state.network
    network = torch.compile(network) if experiment.compile else network
    precise = in_precision(network, choose(experiment.precision, device), device)
    if experiment.schedule.learned:
        return lambda: experiment.reverse_process(precise, "unlimited", experiment.schedule_of(state.network))
    p = experiment.reverse_process(precise, "unlimited", experiment.schedule_of(state.network))
    return lambda: p


WARM_UP, TIMED = 5, 15
"""Trial steps of which the first few may be slow."""


def fitted_to(experiment: Experiment, budget: float, device: torch.device) -> Experiment:
    """The experiment with as many steps as this machine takes in `budget` seconds; the trial steps are thrown away."""
    images = open_source(experiment.data.source, "train", experiment.data.options())
    experiment = experiment.for_data(images)
    trial = replace(experiment.training, steps=WARM_UP + TIMED)
    state = new_state(experiment, device)
    process = training_process(experiment, state, device)
    steps = train(state, process, OBJECTIVES[experiment.objective], experiment.batches(images), trial)
    times = []
    for _ in steps:
        times.append(time.perf_counter())
    per_step = statistics.median(b - a for a, b in itertools.pairwise(times[WARM_UP - 1 :]))
    return replace(experiment, training=replace(experiment.training, steps=max(20, int(budget / per_step))))


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

    def events(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Step, and log, evaluate, sample and save when it is time."""
        experiment, world = self.experiment, self.world
        share = world.share(experiment.training.batch_size)
        batches = replace(
            experiment.batches(self.images.moved_to(self.device, ON_DEVICE_BYTES)),
            places=slice(share.start, share.stop),
        )
        replica, team = team_of(self.state.network, world, self.device)
        process = training_process(experiment, self.state, self.device, replica)
        objective = OBJECTIVES[experiment.objective]
        if postponed := self.running_loss.take_postponed():
            yield from self._look(postponed, batches)
        stopping = False
        for progress in train(self.state, process, objective, batches, experiment.training, team):
            stopping = world.any(stop())
            self.running_loss.add(progress)
            yield Stepped(progress.step)
            if stopping and self._takes_long() and not progress.skipped:
                self.running_loss.postpone(progress)
            else:
                yield from self._look(progress, batches)
            rhythm, last = experiment.rhythm, progress.step == experiment.training.steps
            if self._due(rhythm.save) or self._due(rhythm.keep) or stopping or last:
                yield from self._save(batches)
            if stopping:
                break
        yield from world.together(self.writer.finish)
        if stopping:
            yield Halted(self.state.step)

    def _look(self, progress: GradientStep, batches: Batches) -> Iterator[Event]:
        """What is due after a step: a line of the log, the held-out bound, a grid of samples."""
        rhythm, running_loss = self.experiment.rhythm, self.running_loss
        if self._evaluating or self._due(rhythm.log):
            row = running_loss.row(progress, progress.step * self.experiment.training.batch_size, self.state.skipped)
            row |= self._evaluate() if self._evaluating else {}
            running_loss.keep(row)
            if lost := lost_by_all(self.world, batches.lost):  # only noted: a log line changes no step
                row["lost_images"] = len(lost)
                yield from self.writer.write_bad_images(replace(batches.images, lost=lost), self.held_out)
            yield from self.writer.write_row(row)
            yield Logged(row)
        if self._due(rhythm.sample):
            yield from self._preview()

    @property
    def _evaluating(self) -> bool:
        return len(self.held_out) > 0 and self._due(self.experiment.rhythm.evaluate)

    def _takes_long(self) -> bool:
        """Whether more than a line is due: then who asked for an end does not wait for it: the next start does it."""
        return self._evaluating or self._due(self.experiment.rhythm.sample)

    def _due(self, every: int) -> bool:
        step, last = self.state.step, self.experiment.training.steps
        return every > 0 and (step % every == 0 or step == last)

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

    def _evaluate(self) -> dict[str, float]:
        rhythm = self.experiment.rhythm
        target = bound_of(self._averaged(), self.experiment.labels(self.held_out))
        found = estimate(target, self.held_out, 0, rhythm.evaluations, 64, self.device, world=self.world)
        return {
            "bits_per_dim": found.total,
            "bits_per_dim_stderr": found.stderr,
            "bits_per_dim_monte_carlo": found.monte_carlo,
        }

    def _preview(self) -> Iterator[Event]:
        """A grid by DDIM in a few steps, from the same noise each time; a column for each class."""
        experiment, share = self.experiment, self.world.share(self.experiment.rhythm.samples)
        plan = Plan(len(share), sampler="ddim", first=share.start)
        p = self._averaged()
        p = FewSteps(min(PREVIEW_STEPS, p.schedule.T)).of(p)
        condition = Condition(self.experiment.every_class)
        drawn = [x for _, x in finished(sample(p, experiment.shape, plan, self.device, condition))]
        images = self.world.all_gather_rows(torch.cat([torch.zeros(0, *experiment.shape), *drawn]))
        picture = square(to_pictures(images, experiment.levels), len(condition.labels))
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
        numbers["lost"] = {str(row): reason for row, reason in lost.items()}
        content = checkpoints.pack(self.state)
        content = Checkpoint(content.tensors, {**content.numbers, **numbers})
        if not is_sharded(self.state.network):
            return self.world.together(lambda: writer.save(step, content))
        before = self.world.together(writer.wait)  # its memory is free before another copy is made
        copy = gathered(content, self.world)
        self.world.together(lambda: writer.save_owned(step, copy))
        return before
