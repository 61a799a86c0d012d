"""Whether a configuration and a checkpoint belong together, by numbers alone: before a network is built or weights are read.

A hostile configuration asks for a network of any size; counting its parameters costs nothing.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm import checkpoints
from ddpm.checkpoints import Accept, Checkpoint, Damaged, Headers, require_room
from ddpm.errors import SHOWN, DataError, Mismatch, UsageError
from ddpm.experiment.binding import experiment_in, misread
from ddpm.experiment.config import Experiment
from ddpm.models.shape import ALL_CLASSES
from ddpm.storage.tensorfile import TENSORS, Layout
from ddpm.training.adam import MOMENTS

COPIES = 4
"""What a checkpoint holds for each parameter: the weight, its moving average, and Adam's two moments; and other averages."""
BYTES = 4
OTHERWISE = ("process.limit", "process.variance", "process.sigma_1")
"""What may be set for weights that were trained with something else."""
NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")


def require_room_for(experiment: Experiment, folder: Path) -> None:
    """Room on the disk for what a run of this experiment keeps; none is needed where all steps are done.

    Raises:
        StorageError: there is less.
    """
    done = [checkpoints.step_of(path) for path in checkpoints.found(folder)]
    if done and done[-1] >= experiment.training.steps and experiment.rhythm.budget is None:
        return
    _, parameters = experiment.size()
    require_room(folder, (COPIES + len(experiment.training.more_ema_decays)) * BYTES * parameters)


def fitting(experiment: Experiment, config: Path) -> Accept:
    """A check of a checkpoint: raises Mismatch if it was not made with this experiment, which `config` holds, and its network."""

    def accept(headers: Headers) -> None:
        layouts = headers.layouts
        trained = require_read_alike(experiment, config, headers.numbers, headers.folder) or experiment
        tensors, parameters = experiment.size()
        model = layouts.get("model", {})
        found = sum(entry.count for entry in model.values())
        if tensors > TENSORS or (len(model), found) != (tensors, parameters):
            raise Mismatch(
                f"the configuration asks for {_short(parameters)} parameters in {_short(tensors)} tensors, "
                f"the checkpoint has {found:,} in {len(model):,}"
            )
        if strange := sorted(layouts.keys() - {"model", "optimizer"} - {n for n in layouts if n.startswith("ema")}):
            raise Mismatch(f"the checkpoint has tensors that no run has: {strange[0]}")
        for group in sorted({*experiment.training.averages, *(name for name in layouts if name.startswith("ema"))}):
            _like(layouts.get(group, {}), model, group)
        _moments_like(layouts.get("optimizer", {}), model, trained.training.optimizer)

    return accept


def require_read_alike(
    experiment: Experiment, config: Path, numbers: Mapping[str, Any], where: Path
) -> Experiment | None:
    """What decides how weights are read is in the configuration what it was for the checkpoint with these numbers.

    Returns the experiment that the checkpoint tells; None of older ones, which do not.

    Raises:
        Mismatch: it is not; both values are told.
        Damaged: what the checkpoint says of itself is no experiment.
    """
    try:
        before = experiment_in(numbers)
    except UsageError as error:
        raise Damaged(where, f"its experiment is none: {error}") from error
    found = misread(before, experiment) if before is not None else {}
    if found:
        values = "; ".join(f"{name} is {_cut(now)}, and was {_cut(then)}" for name, (then, now) in found.items())
        was = ", ".join(f"{name} = {_cut(then)}" for name, (then, _) in found.items())
        purpose = [f"`{name}={now}`" for name, (_, now) in found.items() if name in OTHERWISE]
        raise Mismatch(
            f"{config} is not what the checkpoint was trained with: {values}: {where}",
            f"put back into config.json what was: {was}",
            f"then {' '.join(purpose)} reads the weights otherwise on purpose" if purpose else "",
        )
    return before


def _cut(value: object) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _moments_like(moments: Layout, model: Layout, optimizer: str) -> None:
    """The optimiser's moments of all parameters, or of those that ever had a gradient.

    Muon has but the first of a matrix; which those are, the network knows (`checkpoints.unpack`).
    """
    wanted = {}
    for name, entry in model.items():
        mean, square = (f"{moment}.{name}" for moment in MOMENTS)
        if mean in moments or square in moments:
            wanted[mean] = entry
            if optimizer != "muon" or square in moments or len(entry.shape) < 2:
                wanted[square] = entry
    _like(moments, wanted, "optimizer")


def _short(count: int) -> str:
    return f"{count:,}" if count < 10**15 else "more than 10^15"


def _like(part: Layout, model: Layout, what: str) -> None:
    """The same names, shapes and types as the model's."""
    wanted = {name: (entry.shape, entry.dtype) for name, entry in model.items()}
    found = {name: (entry.shape, entry.dtype) for name, entry in part.items()}
    odd = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
    if odd:
        raise Mismatch(f"the checkpoint's {what} does not fit its model: {odd[0][:SHOWN]!r}")


def require_numbers(content: Checkpoint, where: Path) -> None:
    """What a run needs to go on.

    Raises:
        Damaged: a number is missing, or is of another kind.
    """
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "step": int,
        "adam_step": (int, float),
        "scaler": dict,
        "ledger": dict,
        "images": str,
    }
    for name, kind in kinds.items():
        value = content.numbers.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Damaged(where, f"its state has no {name}")
    if not all(isinstance(value, int | float) for value in content.numbers["ledger"].values()):
        raise Damaged(where, "its ledger holds other things than numbers")
    if not _are_reasons(content.numbers.get("lost", {})):
        raise Damaged(where, "its lost images are no numbers with a reason each")
    spent = content.numbers.get("spent", 0.0)
    if not isinstance(spent, int | float) or isinstance(spent, bool) or not 0 <= spent < math.inf:
        raise Damaged(where, f"the time spent on it is no number of seconds: {spent!r}")
    if content.numbers["step"] < 0:
        raise Damaged(where, f"its state is of step {content.numbers['step']}")


def require_newest(content: Checkpoint, folder: Path, damaged: Sequence[tuple[Path, str]]) -> None:
    """The same of the newest that is not `damaged`, which is called by its name.

    Raises:
        Damaged: as `require_numbers`.
    """
    passed = [path for path, _ in damaged]
    require_numbers(content, next(path for path in reversed(checkpoints.found(folder)) if path not in passed))


def _are_reasons(lost: object) -> bool:
    """Numbers of images, as a checkpoint has them, each with a line of text that can be written to a file."""
    if not isinstance(lost, dict):
        return False
    try:
        return all(NUMBER.fullmatch(row) and os.fsencode(reason) is not None for row, reason in lost.items())
    except (TypeError, ValueError):
        return False


def require_sound(experiment: Experiment, where: Path) -> None:
    """An experiment of a run that was written to a file can be built: its shape is one, its schedule too.

    Raises:
        DataError: it cannot.
    """
    shape, levels = experiment.data.shape, experiment.data.levels
    if shape is None or len(shape) != 3 or min(shape) < 1 or levels is None or experiment.model.classes == ALL_CLASSES:
        raise DataError(f"damaged configuration: {where}: data of shape {shape} and {levels} levels")
    try:
        schedule = experiment.schedule.build(levels)
        experiment.reverse_process(lambda x_t, _timestep: x_t, experiment.process.limit, schedule)
    except UsageError as error:
        raise DataError(f"damaged configuration: {where}: {error}") from error
