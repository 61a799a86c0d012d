"""How many steps fit into a time, and how long steps will take, before the first one: from a few trial steps, thrown away."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ddpm.checkpoints import Checkpoint
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.duration import in_words
from ddpm.experiment.history import Change
from ddpm.parallel.world import ALONE, World
from ddpm.run.pace import Clock, ends_by_time, median_step, steps_within, with_looks
from ddpm.run.session import new_state, training_process
from ddpm.training.replicas import team_of
from ddpm.training.trainer import train

DAY = 86_400.0
"""Seconds. Longer trainings are begun only by who says how many steps, or says yes."""
WARM_UP, TIMED = 5, 15
"""Trial steps of which the first few may be slow, where the number of steps of a run follows from them."""
TRIAL_SHARE = 0.05
"""Of a budget, after which fewer trial steps must do."""
ROUGHLY, SOON, FEW = (1, 3), 1.0, 8
"""Trial steps where only hours are to be told from days: fewer once they have taken so many seconds; and images of a first try."""

Consent = Callable[[Experiment, float], None]
"""Told an experiment and how many seconds it will take: raises a Failure where it is not to begin."""


def trial(
    experiment: Experiment,
    images: ImageSet,
    device: torch.device,
    world: World = ALONE,
    count: tuple[int, int] = (WARM_UP, TIMED),
    most: float = SOON,
) -> float:
    """Seconds of a step, all processes together: of the `count`, warm-up and timed, fewer once they took `most` seconds."""
    state = new_state(experiment, device, world)
    share = world.share(experiment.training.batch_size)
    batches = replace(experiment.batches(images), places=slice(share.start, share.stop))
    replica, team = team_of(state.network, world, device)
    process = training_process(experiment, state, device, replica)
    recipe = replace(experiment.training, steps=sum(count))
    steps = train(state, process, OBJECTIVES[experiment.objective], batches, recipe, team)
    per_step = median_step(steps, *count, lambda spent: world.any(spent > most))
    return world.broadcast(per_step)


def fitted_to(experiment: Experiment, budget: float, device: torch.device) -> Experiment:
    """The experiment with as many steps as this machine takes in `budget` seconds."""
    images = open_source(experiment.data.source, "train", experiment.data.options())
    experiment.require_bright(images)
    experiment = experiment.for_data(images)
    per_step = trial(experiment, images, device, most=TRIAL_SHARE * budget)
    return replace(experiment, training=replace(experiment.training, steps=max(20, int(budget / per_step))))


def planned(
    experiment: Experiment,
    before: Experiment | None,
    content: Checkpoint | None,
    images: ImageSet,
    held_out: int,
    device: torch.device,
    clock: Clock,
    world: World,
) -> Experiment:
    """With the number of steps that its budget says, or that it said when the run began: so a run that goes on stays the same.

    Where other batches begin, a step takes another time, and what is left of the budget is planned again.

    Args:
        experiment: as asked for.
        before: that of the run in the folder, if there is one.
        content: the checkpoint to go on from, if there is one.
        images: to train on.
        held_out: how many images are held out.
        device: where to compute.
        clock: the time that is left.
        world: the processes.
    """
    if clock.left is None:
        return experiment
    done = content.numbers["step"] if content else 0
    steps = max(done, experiment.training.steps)
    if before and before.rhythm.budget == experiment.rhythm.budget:
        steps = before.training.steps
        if _batches(before) == _batches(experiment):
            return _of_steps(experiment, steps)
    if ends_by_time(experiment) or world.any(clock.over()):
        return _of_steps(experiment, steps)
    per_step = trial(experiment, images, device, world, most=TRIAL_SHARE * clock.left)
    steps = done + steps_within(experiment, held_out, max(clock.left, 0) / per_step)
    return _of_steps(experiment, world.broadcast(steps))


def _batches(experiment: Experiment) -> list[Change]:
    """Where in the run the batches become others."""
    return [change for change in experiment.changes if change.setting == "training.batch_size"]


def _of_steps(experiment: Experiment, steps: int) -> Experiment:
    return replace(experiment, training=replace(experiment.training, steps=steps))


def ask_if_long(
    experiment: Experiment, images: ImageSet, held_out: int, device: torch.device, world: World, consent: Consent
) -> None:
    """Ask `consent` where all steps will take more than a day.

    Raises:
        Failure: it was not given.
    """
    recipe = experiment.training
    few = min(recipe.batch_size, max(FEW, world.size))
    total = with_looks(experiment, held_out, recipe.steps)
    of_few = replace(experiment, training=replace(recipe, batch_size=few))
    seconds = total * trial(of_few, images, device, world, ROUGHLY)
    if seconds > DAY:  # a whole batch would only take longer, and may take minutes
        seconds *= recipe.batch_size / few
    else:
        seconds = total * trial(experiment, images, device, world, ROUGHLY)
    if seconds > DAY:
        world.lead(lambda: consent(experiment, seconds))


def how_long(experiment: Experiment, seconds: float) -> str:
    """In a sentence, how long it will take."""
    return (
        f"{experiment.training.steps:,} steps of the preset {experiment.preset!r} will take about {in_words(seconds)} "
        f"on this machine"
    )


def refuse(experiment: Experiment, seconds: float) -> None:
    """The consent of nobody: so long a training is not begun.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        f"not begun: {how_long(experiment, seconds)}",
        "`budget=1h` trains for an hour; smaller images (`data.resolution`) take less time",
        f"`steps={experiment.training.steps}` begins it all the same",
    )
