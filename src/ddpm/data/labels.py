"""Labels: the number of an image's class, which a network may be given. -1 is an unknown class; None is no labels at all."""

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError, Mismatch

Labels = Int[Tensor, " images"] | None
MAX_CLASSES = 2**20
"""More classes than any data set has: a file with a larger label is refused."""


def labels_at(labels: Labels, rows: Int[Tensor, " rows"], device: torch.device) -> Int[Tensor, " rows"] | None:
    """The labels of some rows, on the device of the network."""
    return None if labels is None else labels[rows.to(labels.device)].to(device)


def class_count(images: ImageSet) -> int:
    """How many classes there are: as many as have names, or one more than the highest label; 0 without labels."""
    highest = int(images.labels.max()) + 1 if len(images.labels) else 0
    return max(len(images.classes), highest)


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

    Raises:
        Mismatch: the images have no labels, or a class that the network does not know.
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
    table = torch.tensor([*(number.get(name, -1) for name in theirs), -1])
    return table[images.labels]
