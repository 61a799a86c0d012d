"""Labels: the number of an image's class, which a network may be given. -1 is an unknown class; None is no labels at all."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ddpm.data.imageset import ImageSet, no_labels
from ddpm.errors import SHOWN, DataError, Mismatch

Labels = Int[Tensor, " images"] | None
MAX_CLASSES = 2**20
"""More classes than any data set has: so many are refused."""
NUMBERED = 1000
"""Labels below this, or below the number of images, are the numbers of classes; larger ones are their names."""
SPLIT_OFF = "give the images without their labels, if no classes are to be learned"


def labels_of(
    name: str, values: np.ndarray, count: int, classes: Sequence[str] = ()
) -> tuple[Int[Tensor, " images"], tuple[str, ...]]:
    """What any source says of the classes of its images, as labels (N,) int64 and the names of the classes (empty: numbers).

    Whole numbers 0, 1, ... of any type are labels, -1 is an unknown class. Without names, numbers that leave most classes empty
    (see `NUMBERED`) are names: the classes are those that occur, in order. Texts are names, in the order of the alphabet.

    Args:
        name: of the source, for messages.
        values: (N,) or (N, 1).
        count: N.
        classes: the names of the labels 0, 1, ..., where the source has them; texts must be among them.

    Raises:
        DataError: another shape or type, or a value that is no label; the value is said.
    """
    if values.shape == (count, 1):
        values = values[:, 0]
    if values.shape != (count,):
        one_hot = "of rows with a 1 at their class give labels.argmax(1)" if values.ndim == 2 else ""
        raise DataError(f"{name!r} holds {values.shape} labels for {count} images", one_hot, SPLIT_OFF)
    if values.dtype.kind in "US":
        labels, names = _of_texts(name, values, classes)
    else:
        labels, names = _of_numbers(name, values, classes)
    if len(names) > MAX_CLASSES:
        raise DataError(f"{name!r} has {len(names):,} classes, more than any data set has ({MAX_CLASSES:,})", SPLIT_OFF)
    if fault := fault_of(labels, names):
        raise DataError(f"in {name!r} {fault}", SPLIT_OFF)
    return labels, names


def _of_texts(name: str, values: np.ndarray, classes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    try:
        texts = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise DataError(f"in {name!r} there is a label that is no text: {error.object[:SHOWN]!r}", SPLIT_OFF) from error
    if (texts == "").any():
        raise DataError(f"in {name!r} there is a label without a name: ''", SPLIT_OFF)
    found, labels = np.unique(texts, return_inverse=True)
    if not classes:
        return torch.from_numpy(labels.astype(np.int64)), tuple(map(str, found))
    number = {known: label for label, known in enumerate(classes)}
    if (other := next((text for text in found.tolist() if text not in number), None)) is not None:
        raise DataError(f"in {name!r} there is a label {other[:SHOWN]!r} that is not among its classes", SPLIT_OFF)
    table = np.array([number[text] for text in found.tolist()], np.int64)
    return torch.from_numpy(table[labels]), tuple(classes)


def _of_numbers(name: str, values: np.ndarray, classes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    if values.dtype.kind not in "biuf":
        raise DataError(f"the labels in {name!r} must be whole numbers or texts, not {values.dtype}", SPLIT_OFF)
    if not len(values):
        return no_labels(), tuple(classes)
    wrong = ~np.isfinite(values) | (values != np.trunc(values)) if values.dtype.kind == "f" else np.zeros(1, bool)
    if wrong.any():
        raise DataError(f"the labels in {name!r} must be whole numbers, not {values[wrong][0]}", SPLIT_OFF)
    highest = int(values.max())
    if int(values.min()) < -1 or classes or highest < max(NUMBERED, len(values)):
        return torch.from_numpy(values.clip(max=np.iinfo(np.int64).max).astype(np.int64)), tuple(classes)
    known = values != -1 if values.dtype.kind != "u" else np.ones(len(values), bool)
    found, labels = np.unique(values[known], return_inverse=True)
    mapped = np.full(len(values), -1, np.int64)
    mapped[known] = labels
    return torch.from_numpy(mapped), tuple(str(int(value)) for value in found)


def labels_at(labels: Labels, rows: Int[Tensor, " rows"], device: torch.device) -> Int[Tensor, " rows"] | None:
    """The labels of some rows, on the device of the network."""
    return None if labels is None else labels[rows.to(labels.device)].to(device)


def class_count(images: ImageSet) -> int:
    """How many classes there are: as many as have names, or one more than the highest label; 0 without labels."""
    return count_classes(images.labels, images.classes)[0]


def count_classes(labels: Int[Tensor, " images"], classes: Sequence[str]) -> tuple[int, int]:
    """How many classes there are (`class_count`), and how many of them occur; -1 is none."""
    highest = int(labels.max()) + 1 if len(labels) else 0
    return max(len(classes), highest), len(labels[labels >= 0].unique())


def class_names(classes: Sequence[str], number: int) -> tuple[str, ...]:
    """The names of `number` classes; their numbers, if they have no names."""
    return tuple(classes) or tuple(str(label) for label in range(number))


def fault_of(labels: Labels, classes: Sequence[str]) -> str | None:
    """What is wrong with labels and the names of their classes, in words; None if nothing is.

    Args:
        labels: (N,); -1 is an unknown class.
        classes: the names of the labels 0, 1, ...; empty where they have none.
    """
    twice = next((name for name, count in Counter(classes).items() if count > 1), None)
    if twice is not None:
        return f"two classes have the name {twice!r}"
    if labels is None or not len(labels):
        return None
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < -1:
        return f"there is a label {lowest}; labels are 0, 1, ..., or -1 for an unknown class"
    if classes and highest >= len(classes):
        return f"there is a label {highest}, but {len(classes)} classes have names (0..{len(classes) - 1})"
    return f"there is a label {highest}, more than any data set has" if highest >= MAX_CLASSES else None


def matched_labels(images: ImageSet, known: Sequence[str]) -> Int[Tensor, " images"]:
    """The images' labels in the numbering of a network that knows the classes `known`. Classes are matched by their names.

    Labels without names are matched where number and name say the same: 7 is the class "7" only if that is also number 7.

    Raises:
        Mismatch: the images have no labels, or a class that the network does not know, or that could be two of its classes.
        DataError: some classes have names, but not that of each label.
    """
    if not len(images.labels):
        raise Mismatch(f"the images have no labels: {images.name}")
    if images.classes and int(images.labels.max()) >= len(images.classes):
        raise DataError(f"{images.name}: {fault_of(images.labels, images.classes)}")
    number = {name: label for label, name in enumerate(known)}
    theirs = class_names(images.classes, class_count(images))
    used = [int(label) for label in images.labels.unique()]
    for label in used:
        if label != -1 and (label < 0 or theirs[label] not in number):
            what = repr(theirs[label]) if label >= 0 else label
            raise Mismatch(f"{images.name} has a class that is not among the {len(known)} of the model: {what}")
        if not images.classes and label != -1 and number[theirs[label]] != label:
            raise Mismatch(
                f"{images.name} has a class {label} without a name: the model's class {label} is {known[label]!r}, "
                f"and the one with the name {theirs[label]!r} is {number[theirs[label]]}",
                'an array "classes" in the npz says the names of its labels',
            )
    table = torch.tensor([*(number.get(name, -1) for name in theirs), -1])
    return table[images.labels]
