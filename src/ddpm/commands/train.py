"""`ddpm train`: a new run, or the same one going on, as a stream of events.

The last checkpoint, the log and the configuration agree at any moment, so running the same command again continues.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from ddpm.commands.ledger import Ledger
from ddpm.commands.run import RunFolder
from ddpm.commands.sample import Plan, collect, respaced, sample
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_both
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import CannotCreate, DataError, Diverged, Mismatch, NotFound
from ddpm.evaluation.rate import estimate
from ddpm.experiment import Experiment, differences
from ddpm.report.pictures import square, to_pictures
from ddpm.seeds import key
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint
from ddpm.training.precision import choose, in_precision
from ddpm.training.trainer import Recipe, State, train

MAY_CHANGE = ("preset", "training.steps", "training.accumulate", "rhythm.", "compile", "data.source")
"""What a resumed run may set anew: it changes how far and how often, not what a step does."""

PREVIEW_STEPS = 50


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


Event = Started | Stepped | Logged | Wrote


def train_run(
    experiment: Experiment, folder: RunFolder, device: torch.device, resume: str, stop: Callable[[], bool]
) -> Iterator[Event]:
    """Train to `experiment.training.steps`.

    Args:
        experiment: what to do; shape and levels are filled in from the data.
        folder: where to do it.
        device: where to compute.
        resume: "auto" goes on if there is a run in `folder`, "never" refuses then, else a checkpoint to go on from.
        stop: asked after every step; once true, a checkpoint is written and the generator ends.

    Raises:
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.
    """
    images, held_out = open_both(experiment.data.source, experiment.data.options())
    experiment = experiment.for_data(images)
    content, notes = _resume_from(experiment, folder, resume)
    folder.create()
    folder.write_experiment(experiment)

    state = new_state(experiment, device)
    kept: dict[str, Any] = {}
    if content is not None:
        checkpoint.unpack(content, state)
        kept = content.numbers["ledger"]
    precision = choose(experiment.precision, device)
    parameters = sum(parameter.numel() for parameter in state.network.parameters())
    yield Started(experiment, len(images), len(held_out), parameters, state.step, precision, tuple(notes))

    ledger = Ledger(folder, state.step, kept)
    try:
        yield from _steps(experiment, folder, state, images, held_out, ledger, device, stop)
    finally:
        ledger.close()


def new_state(experiment: Experiment, device: torch.device) -> State:
    """A new network, initialised from the seed alone, and its optimiser."""
    with torch.random.fork_rng([]):
        torch.manual_seed(key(experiment.training.seed, "initialisation"))
        network = experiment.network()
    fp16 = choose(experiment.precision, device) == "fp16"
    scaler = torch.amp.GradScaler(device.type, enabled=fp16)
    return State.start(network.to(device), experiment.training.lr, scaler)


def _steps(
    experiment: Experiment,
    folder: RunFolder,
    state: State,
    images: ImageSet,
    held_out: ImageSet,
    ledger: Ledger,
    device: torch.device,
    stop: Callable[[], bool],
) -> Iterator[Event]:
    recipe, rhythm = experiment.training, experiment.rhythm
    on_device = replace(images, images=images.images.to(device))
    objective, batches = OBJECTIVES[experiment.objective], experiment.batches(on_device)
    saved = state.step if any(checkpoint.found(folder.checkpoints)) else -1
    for progress in train(state, training_process(experiment, state, device), objective, batches, recipe):
        step = progress.step
        ledger.add(progress)
        stopping = stop()
        yield Stepped(step)
        evaluating = len(held_out) > 0 and _due(step, rhythm.evaluate, recipe) and not stopping
        if evaluating or _due(step, rhythm.log, recipe):
            row = ledger.row(progress, step * recipe.batch_size)
            if not math.isfinite(row["loss"]):
                raise Diverged(f"the loss is {row['loss']} at step {step}", "a smaller --lr, or --precision fp32")
            if evaluating:
                row |= _evaluate(experiment, state, held_out, device)
            ledger.write(row)
            yield Logged(row)
        if _due(step, rhythm.sample, recipe) and not stopping:
            yield Wrote(_preview(experiment, folder, state, ledger, device))
        if _due(step, rhythm.save, recipe) or stopping:
            yield Wrote(_save(folder, state, ledger))
            saved = step
        if stopping:
            return
    if saved != state.step:
        yield Wrote(_save(folder, state, ledger))


def _due(step: int, every: int, recipe: Recipe) -> bool:
    return every > 0 and (step % every == 0 or step == recipe.steps)


def training_process(experiment: Experiment, state: State, device: torch.device) -> ReverseProcess:
    """The network as training sees it: in its precision, compiled if asked for, without a limit on x_0."""
    network = torch.compile(state.network) if experiment.compile else state.network
    precise = in_precision(network, choose(experiment.precision, device), device)
    return experiment.reverse_process(precise, "unlimited")


def _averaged(experiment: Experiment, state: State) -> ReverseProcess:
    """The process on the moving average of the weights, in float32."""

    def network(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return functional_call(state.network, state.ema, (x_t, timestep))

    return experiment.reverse_process(network, experiment.process.limit)


def _evaluate(experiment: Experiment, state: State, held_out: ImageSet, device: torch.device) -> dict[str, float]:
    rhythm = experiment.rhythm
    some = held_out.take(torch.arange(min(rhythm.images, len(held_out))))
    state.network.eval()
    bits, stderr = estimate(_averaged(experiment, state), some, 0, rhythm.evaluations, 128, device)
    state.network.train()
    return {"bits_per_dim": bits, "bits_per_dim_stderr": stderr}


def _preview(experiment: Experiment, folder: RunFolder, state: State, ledger: Ledger, device: torch.device) -> Path:
    """A grid by DDIM in a few steps, from the same noise each time."""
    plan = Plan(experiment.rhythm.samples, sampler="ddim")
    state.network.eval()
    p = _averaged(experiment, state)
    p = respaced(p, min(PREVIEW_STEPS, p.schedule.T))
    images, _ = collect(sample(p, experiment.data.shape, plan, device), plan)
    state.network.train()
    picture = square(to_pictures(images, experiment.data.levels))
    path = folder.samples / f"{checkpoint.folder_name(state.step)}.png"
    picture.save(path)
    ledger.show("samples", torch.from_numpy(np.atleast_3d(np.array(picture))).movedim(2, 0), state.step)
    return path


def _save(folder: RunFolder, state: State, ledger: Ledger) -> Path:
    content = checkpoint.pack(state)
    numbers = {**content.numbers, "ledger": ledger.kept()}
    if not all(bool(tensor.isfinite().all()) for tensor in content.tensors["model"].values()):
        raise Diverged(f"the weights are no longer finite at step {state.step}", "a smaller --lr, or --precision fp32")
    return checkpoint.write(folder.checkpoints, state.step, Checkpoint(content.tensors, numbers))


def _resume_from(experiment: Experiment, folder: RunFolder, resume: str) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, if any, and why newer ones are not it."""
    started = folder.config.exists()
    if resume == "never" and started:
        raise CannotCreate(f"there is a run in {str(folder.path)!r} already", "--resume auto goes on with it")
    if started:
        _same(folder.read_experiment(), experiment, folder)
    if resume not in ("auto", "never"):
        path = Path(resume).expanduser()
        if not path.exists():
            raise NotFound(f"no checkpoint to resume from: {resume!r}")
        _same(RunFolder(path.resolve().parent.parent).read_experiment(), experiment, folder)
        return checkpoint.read(path), []
    content, reasons = checkpoint.newest(folder.checkpoints)
    if content is None and reasons:
        raise DataError(f"every checkpoint in {str(folder.path)!r} is damaged: {reasons[0]}")
    return content, [f"passed over: {reason}" for reason in reasons]


def _same(old: Experiment, new: Experiment, folder: RunFolder) -> None:
    found = [line for line in differences(old, new) if not line.startswith(MAY_CHANGE)]
    if found:
        more = f" and {len(found) - 2} more" if len(found) > 2 else ""
        raise Mismatch(
            f"{str(folder.path)!r} holds another experiment: {'; '.join(found[:2])}{more}",
            "use another --output-dir for a new run",
            "to go on with it, give the flags it was started with",
        )
