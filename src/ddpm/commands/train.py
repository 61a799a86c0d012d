"""`ddpm train`: a new run, or the same one going on, as a stream of events.

The last checkpoint, the log and the configuration agree at any moment, so running the same command again continues.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from ddpm.commands import resume
from ddpm.commands.bad_images import write_bad_images, write_lost
from ddpm.commands.fit import require_room_for
from ddpm.commands.labels import Condition, every_class
from ddpm.commands.ledger import Ledger
from ddpm.commands.run import RunFolder
from ddpm.commands.sample import Plan, finished, sample
from ddpm.commands.shorter import Shorter
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_both
from ddpm.diffusion.learned import ScheduledNetwork, schedule_at
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import Diverged, Mismatch
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.experiment import Experiment
from ddpm.report.pictures import square, to_pictures
from ddpm.seeds import key
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint
from ddpm.training.precision import choose, in_precision
from ddpm.training.saver import Outcome, Saved, Saver
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
class Noted:
    """Something went wrong that does not stop training, in a line for the user."""

    text: str


Event = Started | Stepped | Logged | Wrote | Noted


def train_run(
    experiment: Experiment, folder: RunFolder, device: torch.device, how: str, stop: Callable[[], bool]
) -> Iterator[Event]:
    """Train to `experiment.training.steps`.

    Args:
        experiment: what to do; shape and levels are filled in from the data.
        folder: where to do it; no other process may be at it.
        device: where to compute.
        how: to resume: "auto" goes on if there is a run in `folder`, "never" refuses then, else a checkpoint to go on from.
        stop: asked after every step; once true, a checkpoint is written and the generator ends.

    Raises:
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.
    """
    images, held_out = open_both(experiment.data.source, experiment.data.options())
    experiment = experiment.for_data(images)
    precision = choose(experiment.precision, device)
    if len(held_out) and experiment.rhythm.evaluate:
        experiment.labels(held_out)  # fails now rather than at the first evaluation
    resume.check(experiment, folder, how)
    require_room_for(experiment, folder.checkpoints)
    folder.create()
    with folder.locked():
        content, notes = resume.latest(folder, how)
        fingerprint = images.digest(experiment.labels(images))
        if content is not None and content.numbers["images"] != fingerprint:
            raise Mismatch(f"the images are no longer those that the run began with: {experiment.data.source}")
        folder.write_experiment(experiment)
        write_bad_images(folder, images, held_out)
        state = new_state(experiment, device)
        if content is not None:
            checkpoint.unpack(content, state)
        ledger = Ledger(folder, state.step, content.numbers["ledger"] if content is not None else {})
        try:
            parameters = sum(parameter.numel() for parameter in state.network.parameters())
            notes += _missing(images)
            yield Started(experiment, len(images), len(held_out), parameters, state.step, precision, tuple(notes))
            some = held_out.take(torch.arange(min(experiment.rhythm.images, len(held_out)))).in_memory()
            with Saver(folder.checkpoints, experiment.rhythm.keep) as saver:
                parts = (experiment, folder, device, state, ledger, images, some, fingerprint, saver)
                yield from _Training(*parts).events(stop)
        finally:
            ledger.close()
            images.close()


def _missing(images: ImageSet) -> list[str]:
    """What was left out of a folder, in at most two lines."""
    if not images.broken:
        return []
    name, _, reason = images.broken[0]
    return [f"left out {len(images.broken)} files that cannot be read (bad_images.csv), the first: {name}: {reason}"]


def new_state(experiment: Experiment, device: torch.device) -> State:
    """A new network, initialised from the seed alone, and its optimiser."""
    with torch.random.fork_rng([]):
        torch.manual_seed(key(experiment.training.seed, "initialisation"))
        network = experiment.network()
    fp16 = choose(experiment.precision, device) == "fp16"
    scaler = torch.amp.GradScaler(device.type, enabled=fp16)
    return State.start(network.to(device), experiment.training.lr, scaler)


def training_process(experiment: Experiment, state: State, device: torch.device) -> Callable[[], ReverseProcess]:
    """The network as training sees it: in its precision, compiled if asked for, without a limit on x_0.

    Built anew at each call only where the schedule is learned.
    """
    network = torch.compile(state.network) if experiment.compile else state.network
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
    state: State
    ledger: Ledger
    images: ImageSet
    held_out: ImageSet
    fingerprint: str
    saver: Saver

    def events(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Step, and log, evaluate, sample and save when it is time."""
        experiment, rhythm, ledger = self.experiment, self.experiment.rhythm, self.ledger
        images = self.images.near(self.device, ON_DEVICE_BYTES)
        process, objective = training_process(experiment, self.state, self.device), OBJECTIVES[experiment.objective]
        batches = experiment.batches(images)
        for progress in train(self.state, process, objective, batches, experiment.training):
            step, stopping = progress.step, stop()
            ledger.add(progress)
            yield Stepped(step)
            evaluating = len(self.held_out) > 0 and self._due(rhythm.evaluate) and not stopping
            if evaluating or self._due(rhythm.log):
                row = ledger.row(progress, step * experiment.training.batch_size)
                if not math.isfinite(row["loss"]):
                    raise Diverged(f"the loss is {row['loss']} at step {step}", "a smaller --lr, or --precision fp32")
                row |= self._evaluate() if evaluating else {}
                if batches.lost:
                    row["lost_images"] = len(batches.lost)
                    write_lost(self.folder, batches, self.held_out)
                ledger.write(row)
                yield Logged(row)
            if self._due(rhythm.sample) and not stopping:
                yield Wrote(self._preview())
            if self._due(rhythm.save) or stopping or step == experiment.training.steps:
                yield from self._save()
            if stopping:
                break
        yield from told(self.saver.finish())

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
        found = estimate(target, some, 0, rhythm.evaluations, 128, self.device)
        self.state.network.train()
        return {
            "bits_per_dim": found.total,
            "bits_per_dim_stderr": found.stderr,
            "bits_per_dim_monte_carlo": found.monte_carlo,
        }

    def _preview(self) -> Path:
        """A grid by DDIM in a few steps, from the same noise each time; a column for each class."""
        data, plan = self.experiment.data, Plan(self.experiment.rhythm.samples, sampler="ddim")
        self.state.network.eval()
        p = self._averaged()
        p = Shorter(min(PREVIEW_STEPS, p.schedule.T)).of(p)
        condition = Condition(every_class(self.experiment))
        images = torch.cat([x for _, x in finished(sample(p, data.shape, plan, self.device, condition))])
        self.state.network.train()
        picture = square(to_pictures(images, data.levels), len(condition.labels))
        path = self.folder.samples / f"{checkpoint.folder_name(self.state.step)}.png"
        picture.save(path)
        pixels = torch.from_numpy(np.atleast_3d(np.array(picture))).movedim(2, 0)
        self.ledger.show("samples", pixels, self.state.step)
        return path

    def _save(self) -> Iterator[Event]:
        """Begin to save, and tell how the save before ended; the last one is waited for."""
        content = checkpoint.pack(self.state)
        measured = self.ledger.measured()
        numbers = {**content.numbers, **measured, "ledger": self.ledger.kept(), "images": self.fingerprint}
        yield from told(self.saver.save(self.state.step, Checkpoint(content.tensors, numbers)))


def told(outcomes: Sequence[Outcome]) -> Iterator[Event]:
    """What became of saves, as events."""
    for outcome in outcomes:
        yield Wrote(outcome.path) if isinstance(outcome, Saved) else Noted(outcome.note)
