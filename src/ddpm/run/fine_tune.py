"""A new run that begins with the weights of another one: what is kept of that one, what fits, and what is new.

Weights are matched by name and shape. Rows of classes are matched by the names of the classes; new ones begin at 0, which is what the
network is told of an unknown class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.errors import Mismatch
from ddpm.experiment.binding import misread
from ddpm.experiment.config import Experiment
from ddpm.experiment.history import Init
from ddpm.models.shape import ALL_CLASSES
from ddpm.run.folder import RunFolder, find_checkpoint, tensors_called
from ddpm.run.imported import lasting, read_run

CLASSES = "label.weight"
"""How the name of the tensor with a row for each class ends."""
SHOWN_LESS = ("data.class_names", "model.classes", "model.dropout")
"""What may differ without a word: of classes more is said."""


def begun_with(path: Path, weights: str) -> tuple[Experiment, Init]:
    """The experiment of a run, or of one of its checkpoints, and which weights of it a new run begins with.

    Raises:
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
        UsageError: weights that the run does not have.
    """
    folder, content, _ = find_checkpoint(read_run(path))
    experiment = folder.read_experiment()
    tensors = content.tensors[tensors_called(experiment, weights)]
    return experiment, Init(lasting(path), int(content.numbers["step"]), weights, _digest(experiment, tensors))


def successor(source: Experiment, init: Init) -> Experiment:
    """The experiment of a run that begins with these weights, where nothing else is asked for: all but the data is kept."""
    model = source.model if source.model.classes is None else replace(source.model, classes=ALL_CLASSES)
    return replace(source.for_other_data(), model=model, init=init, changes=())


@dataclass(frozen=True)
class Beginning:
    """Weights for a network, with what is `told` of them, and `notes` on what they were not trained for."""

    weights: Mapping[str, Tensor]
    told: tuple[str, ...]
    notes: tuple[str, ...]


def weights_for(experiment: Experiment) -> Beginning:
    """The weights that a run begins with, for its network; only for one with `init`.

    Raises:
        NotFound, DataError: as `begun_with`.
        Mismatch: they are no longer those that the run was started with; or they do not fit, and what does not.
    """
    init = experiment.init
    assert init is not None
    folder, content, passed = _found(init)
    source = folder.read_experiment()
    given = content.tensors[tensors_called(source, init.weights)]
    if _digest(source, given) != init.digest:
        raise Mismatch(f"the weights are no longer those that the run was to begin with: {init.path}")
    with torch.device("meta"):
        wanted = {name: tuple(parameter.shape) for name, parameter in experiment.network().named_parameters()}
    fitted = {name: tensor for name, tensor in given.items() if not name.endswith(CLASSES)}
    for name, shape in wanted.items():
        if name.endswith(CLASSES):
            fitted[name] = _rows(source, experiment, given.get(name), shape)
    _require_fit(source, experiment, fitted, wanted)
    begins = f"begins with the weights {init.weights!r} of step {init.step:,} of {init.path}"
    return Beginning(fitted, (begins, *_of_classes(source, experiment)), (*passed, *_of_reading(source, experiment)))


def _digest(experiment: Experiment, tensors: Mapping[str, Tensor]) -> str:
    """Of weights, as a loaded model has it."""
    with torch.device("meta"):
        names = [name for name, _ in experiment.network().named_parameters()]
    return checkpoints.digest(tensors[name] for name in names)


def _found(init: Init) -> tuple[RunFolder, Checkpoint, tuple[str, ...]]:
    """As `find_checkpoint`; but the run may have gone on since, and then it is an older checkpoint on purpose."""
    path = read_run(Path(init.path))
    run = RunFolder(path)
    one = run.checkpoints / checkpoints.folder_name(init.step)
    newer = [each for each in checkpoints.found(run.checkpoints) if checkpoints.step_of(each) > init.step]
    if not one.is_dir():
        return find_checkpoint(path)
    if newer and (found := find_checkpoint(path))[1].numbers["step"] == init.step:
        return found
    return find_checkpoint(one)


def _rows(source: Experiment, experiment: Experiment, given: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """A row for each class: that of the class of the same name, else 0."""
    rows = torch.zeros(shape)
    if given is None or given.shape[1:] != rows.shape[1:]:
        return rows if given is None else given
    known = {name: row for row, name in enumerate(source.classes)}
    for row, name in enumerate(experiment.classes):
        if name in known:
            rows[row] = given[known[name]]
    return rows


def _require_fit(
    source: Experiment,
    experiment: Experiment,
    fitted: Mapping[str, Tensor],
    wanted: Mapping[str, tuple[int, ...]],
) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in fitted.items()}
    odd = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if not odd:
        return
    theirs, ours = source.shape, experiment.shape
    what = [f"{name}: {then} there, {now} here" for name, (then, now) in misread(source, experiment).items()]
    what = [line for line in what if line.startswith(("model.", "process.variance", "schedule.name", "data.shape"))]
    what = [line for line in what if not line.startswith(SHOWN_LESS)]
    name = odd[0]
    tensor = f"{name} is {found.get(name) or 'missing'} there, {wanted.get(name) or 'missing'} here"
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    assert experiment.init is not None
    channels = theirs[0] != ours[0] and theirs[0] in (1, 3)
    raise Mismatch(
        f"the weights of {experiment.init.path!r} do not fit: {'; '.join([*what, tensor])}{more}",
        f"`data.channels={theirs[0]}` reads images with as many channels as it was trained on" if channels else "",
        "where no `preset` and no setting asks for another network, it is the one of `init_from`",
    )


def _of_classes(source: Experiment, experiment: Experiment) -> list[str]:
    new = [name for name in experiment.classes if name not in source.classes]
    left = [name for name in source.classes if name not in experiment.classes]
    lines = (("classes that the weights do not know, which begin at 0", new), ("classes that are left out", left))
    return [f"{what}: {_few(names)}" for what, names in lines if names]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _of_reading(source: Experiment, experiment: Experiment) -> list[str]:
    found = [
        f"{name}: {then} -> {now}"
        for name, (then, now) in misread(source, experiment).items()
        if name not in SHOWN_LESS
    ]
    return [f"not as the weights were trained: {'; '.join(found)}"] if found else []
