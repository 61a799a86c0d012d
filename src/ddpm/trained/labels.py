"""What images shall show, or are said to show: the classes of a model by name."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ddpm.checks import check_labels
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.sampling.guidance import Guidance

ALL, NONE, OWN = "all", "none", "own"
SHOWN = 12
"""Class names in a hint."""


def asked(experiment: Experiment, label: str | None, weight: float | None, interval: str | None) -> Condition:
    """What the flags --label, --guidance and --guidance-interval ask for.

    Raises:
        UsageError: the model cannot do that, or there is no such class or interval.
    """
    if not experiment.model.classes:
        for flag, value in (("--label", label), ("--guidance", weight), ("--guidance-interval", interval)):
            if value is not None:
                raise UsageError(f"the model has no classes: {flag} {value}", "ddpm train --conditional makes one")
        return ANYTHING
    try:
        steps = None if interval is None else _interval(interval, experiment.schedule.T)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _condition(experiment, _labels(experiment, ALL if label is None else label), weight, steps)


def condition_of(
    experiment: Experiment,
    label: str | int | Sequence[str | int] | None,
    weight: float | None = None,
    interval: tuple[int, int] | None = None,
) -> Condition:
    """What a call asks for: a class by name or number, several in turn, "none", or (None) all in turn.

    Raises:
        UsageError: as `asked`.
    """
    if not experiment.model.classes or label is None or isinstance(label, str):
        return asked(
            experiment, label if label is None else str(label), weight, interval and f"{interval[0]},{interval[1]}"
        )
    each = label.tolist() if isinstance(label, torch.Tensor) else label
    each = [each] if not isinstance(each, Sequence) else each
    return _condition(experiment, tuple(label_of(experiment, one) for one in each), weight, interval)


def condition_of_edit(
    experiment: Experiment,
    label: str | int | Sequence[str | int] | None,
    weight: float | None = None,
    interval: tuple[int, int] | None = None,
) -> Condition:
    """The same where a given image is to be changed: no class unless one is named, for what it shows is not known.

    Raises:
        UsageError: as `asked`.
    """
    return condition_of(experiment, NONE if _untold(experiment, label) else label, weight, interval)


def asked_of_edit(experiment: Experiment, label: str | None, weight: float | None, interval: str | None) -> Condition:
    """The same by flags.

    Raises:
        UsageError: as `asked`.
    """
    return asked(experiment, NONE if _untold(experiment, label) else label, weight, interval)


def _untold(experiment: Experiment, label: object) -> bool:
    """Whether no label is named to a model that knows images without one."""
    return label is None and bool(experiment.model.classes and experiment.training.label_dropout)


def label_of(experiment: Experiment, one: str | int) -> int:
    """The number of a class that is given by its name or its number.

    Raises:
        UsageError: the model has no such class.
    """
    if isinstance(one, str):
        return _label(experiment, one)
    if not experiment.model.classes:
        raise UsageError(f"the model has no class {one}: it was trained without labels")
    check_labels(one, len(experiment.classes))
    if one < 0:
        raise UsageError(f"the model has no class {one}", f"its classes are 0..{len(experiment.classes) - 1}")
    return int(one)


def _condition(
    experiment: Experiment, labels: tuple[int, ...], weight: float | None, interval: tuple[int, int] | None
) -> Condition:
    if not labels and weight is not None:
        raise UsageError("--guidance needs a class to guide to: --label none")
    if interval is not None and weight is None:
        raise UsageError(f"--guidance-interval needs --guidance: {interval[0]},{interval[1]}")
    if not labels or weight not in (None, 1):
        _check_untold(experiment, "--guidance" if labels else "--label none")
    try:
        return Condition(labels, Guidance(1.0 if weight is None else weight, interval))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_untold(experiment: Experiment, flag: str) -> None:
    """Refuse to ask without a label what was always told one."""
    if not experiment.training.label_dropout:
        raise UsageError(
            f"the model was never shown images without their labels: {flag}",
            "it was trained with training.label_dropout = 0",
        )


def described(experiment: Experiment, condition: Condition, rows: Iterable[int]) -> dict[str, Any]:
    """The condition for `--json`: the label of each of these images, by number and name; nothing for a model without classes."""
    if not experiment.model.classes:
        return {}
    labels, guidance = condition.of(rows), condition.guidance
    return {
        "labels": labels or None,
        "classes": [experiment.classes[label] for label in labels] or None,
        "guidance": guidance.weight,
        "guidance_interval": list(guidance.interval) if guidance.interval else None,
    }


def told_when_scored(experiment: Experiment, images: ImageSet, label: str | None) -> tuple[str | None, Labels]:
    """What the flag --label of `ddpm evaluate` asks for: a name for it (None without classes), and labels of the images.

    Raises:
        UsageError: the model has no classes, or not this one.
        Mismatch: the images have no labels, or others than the model.
    """
    if not experiment.model.classes:
        if label is not None:
            raise UsageError(f"the model has no classes: --label {label}", "ddpm train --conditional makes one")
        return None, None
    if label in experiment.classes:  # a class may be called "own" or "none"
        return label, torch.full((len(images),), _label(experiment, label, OWN))
    if label in (None, OWN):
        try:
            return OWN, experiment.labels(images)
        except Mismatch as error:
            raise Mismatch(str(error), "--label none scores images without their labels") from error
    if label == NONE:
        _check_untold(experiment, "--label none")
        return NONE, None
    number = _label(experiment, label, OWN)
    return experiment.classes[number], torch.full((len(images),), number)


def in_words(told: str | None) -> str:
    """What `told_when_scored` says, to follow "300 images"."""
    words = {None: "", OWN: ", each given its label", NONE: ", given no label"}
    return words.get(told, f", each given the label {told!r}")


def _labels(experiment: Experiment, text: str) -> tuple[int, ...]:
    if text in experiment.classes:  # before all else: a class may be called "all", or have a comma in its name
        return (_label(experiment, text),)
    if text == ALL:
        return experiment.every_class
    return () if text == NONE else tuple(_label(experiment, name.strip()) for name in text.split(","))


def _label(experiment: Experiment, name: str, other: str = ALL) -> int:
    """A class by its name, or by its number where no class has that name."""
    classes = {name: label for label, name in enumerate(experiment.classes)}
    numbers = {str(label): label for label in classes.values()}
    if name not in numbers | classes:
        near = [] if name.lstrip("-").isdecimal() else difflib.get_close_matches(name, classes, n=1)
        some = ", ".join(list(classes)[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")
        raise UsageError(
            f"the model has no class {name!r}",
            f"did you mean {near[0]!r}?" if near else "",
            f"it has {len(classes)}: {some}; or {other}, or none",
        )
    return (numbers | classes)[name]


def _interval(text: str, T: int) -> tuple[int, int]:
    """FIRST,LAST.

    Raises:
        ValueError: it is not, or it leaves 1..T.
    """
    try:
        first, last = (int(part) for part in text.split(","))
    except ValueError:
        first, last = 0, 0
    if not 1 <= first <= last <= T:
        raise ValueError(f"--guidance-interval needs FIRST,LAST with 1 <= FIRST <= LAST <= {T}: {text!r}")
    return first, last
