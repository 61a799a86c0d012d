"""`ddpm train`: a new run, or the same one going on, as a stream of events.

The last checkpoint, the log and the configuration agree at any moment, so running the same command again continues.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpm.commands import resume
from ddpm.commands.labels import Condition, every_class
from ddpm.commands.ledger import Account, Ledger
from ddpm.commands.run import RunFolder
from ddpm.commands.sample import Plan, finished, sample
from ddpm.commands.shorter import Shorter
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_both
from ddpm.diffusion.learned import ScheduledNetwork, schedule_at
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.distributed import World, joined
from ddpm.errors import Diverged, Lost, Mismatch, UsageError
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.experiment import Experiment
from ddpm.heartbeat import attended
from ddpm.report.pictures import square, to_pictures
from ddpm.seeds import key
from ddpm.settings import to_json
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint
from ddpm.training.parallel import replicated
from ddpm.training.precision import choose, in_precision
from ddpm.training.trainer import State, train

PREVIEW_STEPS = 50
ON_DEVICE_BYTES = 4 * 2**30
"""Images up to this much live on the device."""


@dataclass(frozen=True)
class Started:
    """The run is ready. `notes` say what was passed over on the way."""

    experiment: Experiment
    images: int
    held_out: int
    parameters: int
    step: int
    precision: str
    processes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Stepped:
    """One step is done."""

    step: int


@dataclass(frozen=True)
class Logged:
    """A line of metrics.jsonl."""

    row: dict[str, Any]


@dataclass(frozen=True)
class Wrote:
    """A checkpoint, or a grid of samples."""

    path: Path


@dataclass(frozen=True)
class Halted:
    """Some process was asked to stop, and all have: the state of this step is saved."""

    step: int


Event = Started | Stepped | Logged | Wrote | Halted


def ignored(_failure: Lost) -> None:
    """Where there is one process only, nobody is lost."""


def train_run(
    experiment: Experiment,
    folder: RunFolder,
    device: torch.device,
    how: str,
    stop: Callable[[], bool],
    abandon: Callable[[Lost], None] = ignored,
) -> Iterator[Event]:
    """Train to `experiment.training.steps`, together with the other processes of the launch.

    Args:
        experiment: what to do; shape and levels are filled in from the data.
        folder: where to do it; no other process may be at it.
        device: where to compute.
        how: to resume: "auto" goes on if there is a run in `folder`, "never" refuses then, else a checkpoint to go on from.
        stop: asked after every step; once true in any process, a checkpoint is written and the generator ends in all.
        abandon: called from another thread if a process falls silent (`heartbeat.attended`).

    Raises:
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.
    """
    with joined(device) as world, attended(world, experiment.rhythm.patience, abandon), ExitStack() as held:
        images, held_out, experiment = world.together(lambda: _opened(experiment, world.size))
        precision = choose(experiment.precision, device)
        content, notes = _claimed(experiment, folder, how, world, held)
        fingerprint = world.together(lambda: _fingerprint(experiment, images, content))
        _agree(world, experiment, fingerprint)
        world.lead(lambda: folder.write_experiment(experiment))
        state = new_state(experiment, device)
        if content is not None:
            checkpoint.unpack(content, state)
        account = Account(content.numbers["ledger"] if content is not None else {})
        ledger = held.enter_context(closing(Ledger(folder, state.step))) if world.first else None
        parameters = sum(parameter.numel() for parameter in state.network.parameters())
        notes += _missing(images)
        yield Started(
            experiment, len(images), len(held_out), parameters, state.step, precision, world.size, tuple(notes)
        )
        training = _Training(experiment, folder, device, world, state, account, ledger, images, held_out, fingerprint)
        yield from training.events(stop)


def _opened(experiment: Experiment, processes: int) -> tuple[ImageSet, ImageSet, Experiment]:
    """The images to train on and those held out, and the experiment for them."""
    if experiment.training.batch_size < processes:
        raise UsageError(f"a batch of {experiment.training.batch_size} is no work for {processes} processes")
    images, held_out = open_both(experiment.data.source, experiment.data.options())
    experiment = experiment.for_data(images)
    if len(held_out) and experiment.rhythm.evaluate:
        experiment.labels(held_out)  # fails now rather than at the first evaluation
    return images, held_out, experiment


def _claimed(
    experiment: Experiment, folder: RunFolder, how: str, world: World, held: ExitStack
) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, and what was passed over; from now on the folder is ours."""

    def claim() -> tuple[Checkpoint | None, list[str]]:
        resume.check(experiment, folder, how)
        folder.create()
        held.enter_context(folder.locked())
        return resume.latest(folder, how)

    found = world.lead(claim)
    step, notes = world.told((found[0].numbers["step"] if found[0] else -1, found[1]) if found else (0, []))
    if found:
        return found
    return (resume.followed(folder, how, step) if step >= 0 else None), notes


def _fingerprint(experiment: Experiment, images: ImageSet, content: Checkpoint | None) -> str:
    """Of the images and labels, which must be those of the checkpoint."""
    found = images.digest(experiment.labels(images))
    if content is not None and content.numbers["images"] != found:
        raise Mismatch(f"the images are no longer those that the run began with: {experiment.data.source}")
    return found


def _agree(world: World, experiment: Experiment, images: str) -> None:
    """All processes must be about to do the same.

    Raises:
        Mismatch: they are not.
    """
    told = world.every({"configuration": to_json(experiment), "images": images, "torch": torch.__version__})
    for rank, theirs in enumerate(told):
        for name, value in theirs.items():
            if value != told[0][name]:
                raise Mismatch(f"process 0 and process {rank} do not agree: they have other {name}")


def _missing(images: ImageSet) -> list[str]:
    """What was left out of a folder, in at most two lines."""
    if not images.broken:
        return []
    name, reason = images.broken[0]
    return [f"left out {len(images.broken)} files that cannot be read, the first: {name}: {reason}"]


def new_state(experiment: Experiment, device: torch.device) -> State:
    """A new network, initialised from the seed alone, and its optimiser."""
    with torch.random.fork_rng([]):
        torch.manual_seed(key(experiment.training.seed, "initialisation"))
        network = experiment.network()
    fp16 = choose(experiment.precision, device) == "fp16"
    scaler = torch.amp.GradScaler(device.type, enabled=fp16)
    return State.start(network.to(device), experiment.training.lr, scaler)


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


@dataclass(frozen=True)
class _Training:
    """The parts of a running training, and what is done between its steps."""

    experiment: Experiment
    folder: RunFolder
    device: torch.device
    world: World
    state: State
    account: Account
    ledger: Ledger | None
    images: ImageSet
    held_out: ImageSet
    fingerprint: str

    def events(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Step, and log, evaluate, sample and save when it is time."""
        experiment, rhythm, account, world = self.experiment, self.experiment.rhythm, self.account, self.world
        small = self.images.images.nbytes <= ON_DEVICE_BYTES
        images = replace(self.images, images=self.images.images.to(self.device if small else "cpu"))
        batches = replace(experiment.batches(images), part=world.share(experiment.training.batch_size))
        replica, team = replicated(self.state.network, world, self.device)
        process = training_process(experiment, self.state, self.device, replica)
        objective = OBJECTIVES[experiment.objective]
        for progress in train(self.state, process, objective, batches, experiment.training, team):
            step, stopping = progress.step, world.any(stop())
            account.add(progress)
            yield Stepped(step)
            evaluating = len(self.held_out) > 0 and self._due(rhythm.evaluate) and not stopping
            if evaluating or self._due(rhythm.log):
                row = account.row(progress, step * experiment.training.batch_size, self.state.skipped)
                row |= self._evaluate() if evaluating else {}
                if self.ledger:
                    self.ledger.write(row)
                yield Logged(row)
            if self._due(rhythm.sample) and not stopping:
                yield Wrote(self._preview())
            if self._due(rhythm.save) or stopping or step == experiment.training.steps:
                yield Wrote(world.lead(self._save) or self.folder.checkpoints)
            if stopping:
                yield Halted(step)
                return

    def _due(self, every: int) -> bool:
        step, last = self.state.step, self.experiment.training.steps
        return every > 0 and (step % every == 0 or step == last)

    def _averaged(self) -> ReverseProcess:
        """The process on the moving average of the weights, in float32."""

        def network(*inputs: Tensor) -> Tensor:
            return functional_call(self.state.network, self.state.ema, inputs)

        schedule = self.experiment.schedule.build(self.experiment.data.levels)
        if isinstance(self.state.network, ScheduledNetwork):
            schedule = schedule_at(self.state.network, self.state.ema)
        return self.experiment.reverse_process(network, self.experiment.process.limit, schedule)

    def _evaluate(self) -> dict[str, float]:
        rhythm = self.experiment.rhythm
        some = self.held_out.take(torch.arange(min(rhythm.images, len(self.held_out))))
        self.state.network.eval()
        target = bound_of(self._averaged(), self.experiment.labels(some))
        found = estimate(target, some, 0, rhythm.evaluations, 64, self.device, world=self.world)
        self.state.network.train()
        return {
            "bits_per_dim": found.total,
            "bits_per_dim_stderr": found.stderr,
            "bits_per_dim_monte_carlo": found.monte_carlo,
        }

    def _preview(self) -> Path:
        """A grid by DDIM in a few steps, from the same noise each time; a column for each class."""
        data, share = self.experiment.data, self.world.share(self.experiment.rhythm.samples)
        plan = Plan(len(share), sampler="ddim", first=share.start)
        self.state.network.eval()
        p = self._averaged()
        p = Shorter(min(PREVIEW_STEPS, p.schedule.T)).of(p)
        condition = Condition(every_class(self.experiment))
        drawn = [x for _, x in finished(sample(p, data.shape, plan, self.device, condition))]
        images = self.world.stacked(torch.cat([torch.zeros(0, *data.shape), *drawn]))
        self.state.network.train()
        picture = square(to_pictures(images, data.levels), len(condition.labels))
        path = self.folder.samples / f"{checkpoint.folder_name(self.state.step)}.png"
        if self.ledger:
            picture.save(path)
            pixels = torch.from_numpy(np.atleast_3d(np.array(picture))).movedim(2, 0)
            self.ledger.show("samples", pixels, self.state.step)
        return path

    def _save(self) -> Path:
        content = checkpoint.pack(self.state)
        if not all(bool(tensor.isfinite().all()) for tensor in content.tensors["model"].values()):
            step = self.state.step
            raise Diverged(f"the weights are no longer finite at step {step}", "a smaller --lr, or --precision fp32")
        numbers = {**content.numbers, "ledger": self.account.kept(), "images": self.fingerprint}
        return checkpoint.write(self.folder.checkpoints, self.state.step, Checkpoint(content.tensors, numbers))
