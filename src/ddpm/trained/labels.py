"""What images shall show, or are said to show: the classes of a model by name."""

import difflib
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ddpm.checks import whole_number
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.sampling.guidance import Guidance

ALL, NONE, OWN = "all", "none", "own"
SHOWN = 12
"""Class names in a hint."""


Label: TypeAlias = str | SupportsIndex | Sequence[Any] | np.ndarray | Tensor | None
"""A class by name or number, several of them in turn, "none", or None: for samples all in turn, for edits none."""


class Words(NamedTuple):
    """What a message calls the three things that are asked for, and what makes a model that can be asked."""

    label: str
    guidance: str
    interval: str
    makes: str


FLAGS = Words("--label", "--guidance", "--guidance-interval", "ddpm train --conditional makes one")
ARGUMENTS = Words("label", "guidance", "guidance_interval", "ddpm.fit(..., conditional=True) makes one")


def asked(experiment: Experiment, label: str | None, weight: float | None, interval: str | None) -> Condition:
    """What the flags --label, --guidance and --guidance-interval ask for.

    Raises:
        UsageError: the model cannot do that, or there is no such class or interval.
    """
    if not experiment.model.classes:
        return _anything(FLAGS, label, weight, interval)
    steps = None if interval is None else _interval(interval, experiment.schedule.T)
    return _condition(experiment, _labels(experiment, ALL if label is None else label), weight, steps, FLAGS)


def condition_of(
    experiment: Experiment, label: Label, weight: float | None = None, interval: Sequence[Any] | None = None
) -> Condition:
    """What a call asks for: a class by name or number, several in turn, "none", or (None) all in turn.

    Raises:
        UsageError: as `asked`; or something else than classes is given, or a list of none.
    """
    if not experiment.model.classes:
        return _anything(ARGUMENTS, label, weight, interval)
    if label is None or isinstance(label, str):
        labels = _labels(experiment, ALL if label is None else label)
    else:
        labels = tuple(label_of(experiment, one) for one in _each(label))
    return _condition(experiment, labels, weight, interval, ARGUMENTS)


def condition_of_edit(
    experiment: Experiment, label: Label, weight: float | None = None, interval: Sequence[Any] | None = None
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


def label_of(experiment: Experiment, one: object) -> int:
    """The number of a class that is given by its name or its number.

    Raises:
        UsageError: the model has no such class, or it is neither a name nor a number.
    """
    number = len(experiment.classes)
    if isinstance(one, str) and number:
        return _label(experiment, one)
    if isinstance(one, str) or not 0 <= (label := _whole(one)) < number:
        raise UsageError(
            f"the model has no class {one!r}",
            f"its classes are 0..{number - 1}" if number else "it was trained without labels",
        )
    return label


def _each(label: SupportsIndex | Sequence[Any] | np.ndarray | Tensor) -> list[Any]:
    """The classes of a call, one by one."""
    if isinstance(label, np.ndarray | Tensor) and label.ndim:
        if label.ndim != 1:
            raise UsageError(f"labels are one, or a list of them, got an array of the shape {tuple(label.shape)}")
        each = label.tolist()
    else:
        each = list(label) if isinstance(label, Sequence) else [label]
    if not each:
        raise UsageError("label is an empty list, which names no class", 'label="none" draws without a class')
    return each


def _whole(one: object) -> int:
    if (found := whole_number(one)) is None:
        raise UsageError(f"a label is the name or the number of a class, got {one!r}")
    return found


def _anything(words: Words, label: object, weight: object, interval: object) -> Condition:
    """What a model without classes can be asked for."""
    for word, value in zip(words, (label, weight, interval), strict=False):
        if value is not None:
            raise UsageError(f"the model has no classes: {word} {value}", words.makes)
    return ANYTHING


def _condition(
    experiment: Experiment, labels: tuple[int, ...], weight: float | None, interval: Sequence[Any] | None, words: Words
) -> Condition:
    steps = None if interval is None else _steps(interval, experiment.schedule.T, words.interval)
    if steps is not None and weight is None:
        raise UsageError(f"{words.interval} needs {words.guidance}: {steps[0]},{steps[1]}")
    if not labels and weight is not None:
        raise UsageError(f"{words.guidance} needs a class to guide to: {words.label} none")
    if not labels or weight not in (None, 1):
        _check_untold(experiment, words.guidance if labels else f"{words.label} none")
    try:
        return Condition(labels, Guidance(1.0 if weight is None else weight, steps))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def _steps(interval: Sequence[Any], T: int, word: str) -> tuple[int, int]:
    """(first, last), both whole numbers, 1 <= first <= last <= T.

    Raises:
        UsageError: it is not that.
    """
    try:
        first, last = (operator.index(t) for t in interval)
    except (TypeError, ValueError):
        first, last = 0, 0
    if not 1 <= first <= last <= T:
        raise UsageError(f"{word} needs (first, last), whole numbers with 1 <= first <= last <= {T}: {interval!r}")
    return first, last


def _check_untold(experiment: Experiment, what: str) -> None:
    """Refuse to ask without a label what was always told one."""
    if not experiment.training.label_dropout:
        raise UsageError(
            f"the model was never shown images without their labels: {what}",
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
    """What the label of `ddpm evaluate` or of a call asks for: a name for it (None without classes), and labels of the images.

    Raises:
        UsageError: the model has no classes, or not this one.
        Mismatch: the images have no labels, or others than the model.
    """
    if not experiment.model.classes:
        if label is not None:
            raise UsageError(f"the model has no classes: label {label!r}", FLAGS.makes, ARGUMENTS.makes)
        return None, None
    if label in experiment.classes:  # a class may be called "own" or "none"
        return label, torch.full((len(images),), _label(experiment, label, OWN))
    if label in (None, OWN):
        try:
            return OWN, experiment.labels(images)
        except Mismatch as error:
            raise Mismatch(str(error), *error.hints, "`label=none` scores images without their labels") from error
    if label == NONE:
        _check_untold(experiment, "label none")
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
        UsageError: it is not, or it leaves 1..T.
    """
    try:
        first, last = (int(part) for part in text.split(","))
    except ValueError:
        first, last = 0, 0
    if not 1 <= first <= last <= T:
        raise UsageError(f"{FLAGS.interval} needs FIRST,LAST with 1 <= FIRST <= LAST <= {T}: {text!r}")
    return first, last
