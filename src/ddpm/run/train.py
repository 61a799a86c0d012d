"""`ddpm train`: a new run, or the same one going on, as a stream of events.

The last checkpoint, the log and the configuration agree at any moment, so running the same command again continues.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.describe import in_two_lines, left_out
from ddpm.data.imageset import ImageSet
from ddpm.data.indexing.snapshot import DataSnapshot
from ddpm.data.labels import class_count
from ddpm.data.open import Opened, open_again
from ddpm.data.unfilled import unfilled
from ddpm.errors import Ending, Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import to_json
from ddpm.parallel.heartbeat import attended
from ddpm.parallel.world import World, connected, joined
from ddpm.run.data_identity import fingerprint_of, read_snapshot, write_snapshot
from ddpm.run.events import Event, Started
from ddpm.run.fine_tune import weights_for
from ddpm.run.folder import RunFolder
from ddpm.run.log import RunningLoss
from ddpm.run.missing_images import held_out_left, lost_before, lost_by_all, notes_of, write_bad_images
from ddpm.run.pace import Clock, ends_by_time
from ddpm.run.plan import Consent, ask_if_long, planned
from ddpm.run.session import Session, conditions, new_state
from ddpm.run.start import Start, other_conditions, other_end, require_own
from ddpm.run.validate import require_room_for, require_sound
from ddpm.run.writer import writing
from ddpm.training.trainer import State


def ignored(_failure: Ending) -> None:
    """Do nothing, which is enough for one process; of several, the main thread may wait for the lost one for days."""


def train_run(
    experiment: Experiment,
    folder: RunFolder,
    device: torch.device,
    start: Start,
    stop: Callable[[], bool],
    abandon: Callable[[Ending], None] = ignored,
    consent: Consent | None = None,
) -> Generator[Event]:
    """Train to `experiment.training.steps`, or as long as its budget says, together with the other processes of the launch.

    Args:
        experiment: what to do; shape and levels are filled in from the data.
        folder: where to do it; no other run may be at it.
        device: where to compute.
        start: whether a run in `folder` goes on, or a checkpoint of another one.
        stop: asked after every step; once true in any process, a checkpoint is written and the generator ends in all.
        abandon: called from another thread if a process falls silent (`heartbeat.attended`); it should end this one.
        consent: asked before a run of more than a day begins, in the first process; None: it begins.

    Raises:
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.
    """
    began = time.monotonic()
    with (
        joined() as world,
        attended(world, experiment.rhythm.patience, abandon),
        connected(world, device),
        ExitStack() as held,
    ):
        made_by = conditions(experiment, device, world)  # first: it refuses what this device cannot do
        opened, snapshot, experiment, notes = _opened(experiment, folder, start, world)
        held.callback(opened.close)
        before_it = start.origin(folder)
        if consent and experiment.rhythm.budget is None and not world.broadcast(before_it.begun()):
            ask_if_long(experiment, opened.train, len(opened.test), device, world, consent)
        content, passed = _claimed(experiment, folder, start, world, held)
        experiment = _changed(experiment, content, folder, start, world)
        clock = Clock.going_on(experiment.rhythm.budget, began, content.numbers if content is not None else {})
        scored = min(len(opened.test), experiment.rhythm.images)
        earlier = before_it.read_experiment() if before_it.config.exists() else None
        experiment = planned(experiment, earlier, content, opened.train, scored, device, clock, world)
        before = lost_before(content)
        images = replace(opened.train, lost=lost_by_all(world, {**opened.train.lost, **before}))
        fingerprint = world.together(lambda: fingerprint_of(experiment, opened, images.lost, snapshot, content))
        made = {name: value for name, value in made_by.items() if name != "threads"}
        _agree(
            world, {"configuration": to_json(experiment), "images": fingerprint, "held out": len(opened.test), **made}
        )
        held_out, some = held_out_left(opened.test, experiment.rhythm.images, world)
        opened.close_test()
        if content is None or world.broadcast(_goes_further(experiment, content, clock, folder)):
            world.lead(lambda: _write_first(folder, experiment, images, held_out))
            world.lead(lambda: write_snapshot(folder, start, opened, snapshot, fingerprint))
        else:
            world.lead(lambda: _write_changes(folder, experiment))
        state, told, other = _state(experiment, content, device, world)
        running_loss = RunningLoss(content.numbers["ledger"] if content is not None else {})
        logged = state.step - bool(running_loss.postponed)
        writer = held.enter_context(writing(folder, world, logged, experiment.rhythm.keep))
        parameters = sum(parameter.numel() for parameter in state.network.parameters())
        gone = [*_missing(images), *notes_of(images, before, held_out)]
        about = [*other_end(earlier, experiment), *gone, *other_conditions(content, made_by)]
        precision = str(made_by["precision"])
        data = (*in_two_lines(opened), *_not_learned(experiment, opened.train))
        found = len(images), len(held_out), parameters, state.step
        yield Started(
            experiment, *found, precision, world.size, (*notes, *passed, *other, *about), data, clock.left, told
        )
        session = Session(
            experiment, folder, device, world, state, running_loss, writer, images, some, fingerprint, made_by, clock
        )
        yield from session.events(stop)


def _goes_further(experiment: Experiment, content: Checkpoint, clock: Clock, folder: RunFolder) -> bool:
    """Whether there are steps to do after this checkpoint, or it is the first of another folder."""
    steps_left = ends_by_time(experiment) or content.numbers["step"] < experiment.training.steps
    return (steps_left and not clock.over()) or not folder.config.exists()


def _opened(
    experiment: Experiment, folder: RunFolder, start: Start, world: World
) -> tuple[Opened, DataSnapshot, Experiment, list[str]]:
    """The images, the snapshot of those that the run began with, the experiment for them, and lines for the user.

    The first process looks through the images before the others do, which find that work done.
    """

    def opened() -> tuple[Opened, Experiment]:
        sets = open_again(experiment.data.source, experiment.data.options(), snapshot.parts)
        own = start.own(folder)
        if own is None:
            experiment.require_bright(sets.train)
        found = (experiment if own is None else experiment.for_other_data()).for_data(sets.train)
        if len(sets.test) and found.rhythm.evaluate:
            found.labels(sets.test)  # fails now rather than at the first evaluation
        return sets, found

    _require_work(experiment, world)
    world.lead(lambda: _admit(folder, start))
    source = world.broadcast(world.lead(lambda: start.source(experiment, folder)))
    experiment = replace(experiment, data=replace(experiment.data, source=source))
    snapshot, notes = world.together(lambda: read_snapshot(folder, start))
    _agree(world, {"images.index": snapshot.seal})  # else they would count and name other images
    sets, found = world.after_first(opened)
    if experiment.data.levels is None and (dark := unfilled(sets.train)):
        notes = [*notes, f"{dark}; the setting data.levels says how many there are"]
    return sets, snapshot, found, notes


def _admit(folder: RunFolder, start: Start) -> None:
    """The run may start; if it goes on, with a configuration that is sound and that of its checkpoints, before it is followed."""
    start.admit(folder)
    own = start.own(folder)
    if own is not None:
        run = start.origin(folder)
        require_sound(own, run.config)
        run.require_read_as_trained(own)


def _require_work(experiment: Experiment, world: World) -> None:
    """Each process has a part of a batch.

    Raises:
        UsageError: one has none.
    """
    if experiment.training.batch_size < world.size:
        raise UsageError(f"a batch of {experiment.training.batch_size} is no work for {world.size} processes")


def _claimed(
    experiment: Experiment, folder: RunFolder, start: Start, world: World, held: ExitStack
) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, and what was passed over; from now on the folder is ours."""

    def claim() -> tuple[Checkpoint | None, list[str]]:
        start.check(experiment, folder)
        if experiment.init is not None and not start.origin(folder).begun():
            weights_for(experiment)  # refused before anything is made
        require_room_for(experiment, folder.checkpoints)
        folder.create()
        held.enter_context(folder.locked())
        folder.tidy()
        folder.exit.unlink(missing_ok=True)
        return start.latest(folder)

    found = world.lead(claim)
    step, notes = world.broadcast((found[0].numbers["step"] if found[0] else -1, found[1]) if found else (0, []))
    if step < 0:
        return None, notes
    return world.together(lambda: found[0] if found else start.read_again(folder, step)), notes


def _agree(world: World, own: Mapping[str, Any]) -> None:
    """All processes must be about to do the same, with the same.

    Raises:
        Mismatch: they are not.
    """
    gathered = world.all_gather(own)
    for rank, theirs in enumerate(gathered):
        for name, value in theirs.items():
            if value != gathered[0][name]:
                raise Mismatch(f"process 0 and process {rank} do not agree: they have other {name}")


def _changed(
    experiment: Experiment, content: Checkpoint | None, folder: RunFolder, start: Start, world: World
) -> Experiment:
    """The experiment that wrote the checkpoint, with what is to be changed from there on."""
    world.together(lambda: require_own(content, experiment, folder, start))
    changed = start.changed(experiment, content, folder)
    _require_work(changed, world)
    return changed


def _state(
    experiment: Experiment, content: Checkpoint | None, device: torch.device, world: World
) -> tuple[State, tuple[str, ...], tuple[str, ...]]:
    """Where training begins, or goes on; what is told of that, and what is noted."""
    state = new_state(experiment, device, world)
    if content is not None:
        checkpoints.unpack(content, state)
    elif experiment.init is not None:
        beginning = world.together(lambda: weights_for(experiment))
        checkpoints.begin_with(beginning.weights, state)
        return state, beginning.told, beginning.notes
    return state, tuple(map(str, experiment.changes)), ()


def _write_first(folder: RunFolder, experiment: Experiment, *sets: ImageSet) -> None:
    """What a run folder has before the first step."""
    folder.write_experiment(experiment)
    write_bad_images(folder, *sets)


def _write_changes(folder: RunFolder, experiment: Experiment) -> None:
    """Put on record what is to be changed where no step is left to do: it holds once there are more. All else stays as it is."""
    before = folder.read_experiment()
    if before.changes != experiment.changes:
        ours = experiment.training
        recipe = replace(before.training, lr=ours.lr, batch_size=ours.batch_size)
        folder.write_experiment(replace(before, training=recipe, changes=experiment.changes))


def _not_learned(experiment: Experiment, images: ImageSet) -> list[str]:
    """A line where the data have classes that the model does not learn."""
    count = class_count(images)
    if experiment.model.classes is not None or count < 2:
        return []
    return [f"the {count:,} classes are not learned: `conditional`, from the beginning of a run, learns them"]


def _missing(images: ImageSet) -> list[str]:
    """What was left out of a folder, in at most one line."""
    return [left_out(images.broken, " (bad_images.csv)")] if images.broken else []
