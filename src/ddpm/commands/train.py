"""`ddpm train`: a new run, or the same one going on, as a stream of events.

The last checkpoint, the log and the configuration agree at any moment, so running the same command again continues.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from typing import Any

import torch

from ddpm.commands import resume
from ddpm.commands.bad_images import write_bad_images
from ddpm.commands.events import Event, Started
from ddpm.commands.fit import require_room_for
from ddpm.commands.ledger import Account, Ledger
from ddpm.commands.rounds import Rounds, conditions, new_state
from ddpm.commands.run import RunFolder
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_both
from ddpm.distributed import World, joined
from ddpm.errors import Mismatch, PeerLost, UsageError
from ddpm.experiment import Experiment
from ddpm.heartbeat import attended
from ddpm.settings import to_json
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint
from ddpm.training.saver import Saver


def ignored(_failure: PeerLost) -> None:
    """Where there is one process only, nobody is lost."""


def train_run(
    experiment: Experiment,
    folder: RunFolder,
    device: torch.device,
    how: str,
    stop: Callable[[], bool],
    abandon: Callable[[PeerLost], None] = ignored,
) -> Generator[Event]:
    """Train to `experiment.training.steps`, together with the other processes of the launch.

    Args:
        experiment: what to do; shape and levels are filled in from the data.
        folder: where to do it; no other run may be at it.
        device: where to compute.
        how: to resume: "auto" goes on if there is a run in `folder`, "never" refuses then, else a checkpoint to go on from.
        stop: asked after every step; once true in any process, a checkpoint is written and the generator ends in all.
        abandon: called from another thread if a process falls silent (`heartbeat.attended`).

    Raises:
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.
    """
    with joined(device) as world, attended(world, experiment.rhythm.patience, abandon), ExitStack() as held:
        made_by = conditions(experiment, device, world)  # first: it refuses what this device cannot do
        images, held_out, experiment = _opened(experiment, world)
        held.callback(images.close)
        content, notes = _claimed(experiment, folder, how, world, held)
        fingerprint = world.together(lambda: _fingerprint(experiment, images, content))
        _agree(world, experiment, fingerprint, made_by)
        if content is None or content.numbers["step"] < experiment.training.steps:
            world.lead(lambda: _write_first(folder, experiment, images, held_out))
        state = new_state(experiment, device, world)
        if content is not None:
            checkpoint.unpack(content, state)
        account = Account(content.numbers["ledger"] if content is not None else {})
        ledger = held.enter_context(closing(Ledger(folder, state.step - bool(account.owed)))) if world.first else None
        saver = held.enter_context(Saver(folder.checkpoints, experiment.rhythm.keep)) if world.first else None
        parameters = sum(parameter.numel() for parameter in state.network.parameters())
        said = tuple([*notes, *_missing(images), *resume.otherwise(content, made_by)])
        precision = str(made_by["precision"])
        yield Started(experiment, len(images), len(held_out), parameters, state.step, precision, world.size, said)
        some = held_out.take(torch.arange(min(experiment.rhythm.images, len(held_out)))).in_memory()
        rounds = Rounds(experiment, folder, device, world, state, account, ledger, saver, images, some, fingerprint)
        yield from rounds.events(stop)


def _opened(experiment: Experiment, world: World) -> tuple[ImageSet, ImageSet, Experiment]:
    """The images to train on and those held out, and the experiment for them; looked through by the first process first."""

    def opened() -> tuple[ImageSet, ImageSet, Experiment]:
        images, held_out = open_both(experiment.data.source, experiment.data.options())
        found = experiment.for_data(images)
        if len(held_out) and found.rhythm.evaluate:
            found.labels(held_out)  # fails now rather than at the first evaluation
        return images, held_out, found

    if experiment.training.batch_size < world.size:
        raise UsageError(f"a batch of {experiment.training.batch_size} is no work for {world.size} processes")
    return world.after_first(opened)


def _claimed(
    experiment: Experiment, folder: RunFolder, how: str, world: World, held: ExitStack
) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, and what was passed over; from now on the folder is ours."""

    def claim() -> tuple[Checkpoint | None, list[str]]:
        resume.check(experiment, folder, how)
        require_room_for(experiment, folder.checkpoints)
        folder.create()
        held.enter_context(folder.locked())
        folder.tidy()
        folder.exit.unlink(missing_ok=True)
        return resume.latest(folder, how)

    found = world.lead(claim)
    step, notes = world.told((found[0].numbers["step"] if found[0] else -1, found[1]) if found else (0, []))
    if step < 0:
        return None, notes
    return world.together(lambda: found[0] if found else resume.followed(folder, how, step)), notes


def _fingerprint(experiment: Experiment, images: ImageSet, content: Checkpoint | None) -> str:
    """Of the images and labels, which must be those of the checkpoint."""
    found = images.digest(experiment.labels(images))
    if content is not None and content.numbers["images"] != found:
        raise Mismatch(f"the images are no longer those that the run began with: {experiment.data.source}")
    return found


def _agree(world: World, experiment: Experiment, images: str, made_by: Mapping[str, Any]) -> None:
    """All processes must be about to do the same.

    Raises:
        Mismatch: they are not.
    """
    own = {"configuration": to_json(experiment), "images": images, **made_by}
    told = world.every({name: value for name, value in own.items() if name != "threads"})
    for rank, theirs in enumerate(told):
        for name, value in theirs.items():
            if value != told[0][name]:
                raise Mismatch(f"process 0 and process {rank} do not agree: they have other {name}")


def _write_first(folder: RunFolder, experiment: Experiment, *sets: ImageSet) -> None:
    """What a run folder has before the first step."""
    folder.write_experiment(experiment)
    write_bad_images(folder, *sets)


def _missing(images: ImageSet) -> list[str]:
    """What was left out of a folder, in at most two lines."""
    if not images.broken:
        return []
    name, *_, reason = images.broken[0]
    return [f"left out {len(images.broken)} files that cannot be read (bad_images.csv), the first: {name}: {reason}"]
