"""What a network is told of an image: the number of its class. -1 says nothing; no labels at all are None."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.errors import Mismatch

Labels = Int[Tensor, " images"] | None


def labels_at(labels: Labels, rows: Int[Tensor, " rows"], device: torch.device) -> Int[Tensor, " rows"] | None:
    """The labels of some rows, on the device where the network is."""
    return None if labels is None else labels[rows.to(labels.device)].to(device)


def class_count(images: ImageSet) -> int:
    """How many classes there are: as many as have names, or one more than the highest label; 0 without labels."""
    highest = int(images.labels.max()) + 1 if len(images.labels) else 0
    return max(len(images.classes), highest)


def class_names(classes: Sequence[str], number: int) -> tuple[str, ...]:
    """What `number` classes are called: by their names, or by their numbers where they have none."""
    return tuple(classes) or tuple(str(label) for label in range(number))


def matched_labels(images: ImageSet, known: Sequence[str]) -> Int[Tensor, " images"]:
    """The images' labels as a network counts them that knows these classes, found by their names.

    Raises:
        Mismatch: the images have no labels, or a class that the network does not know.
    """
    if not len(images.labels):
        raise Mismatch(f"the images have no labels: {images.name}")
    number = {name: label for label, name in enumerate(known)}
    theirs = class_names(images.classes, class_count(images))
    used = [int(label) for label in images.labels.unique()]
    for label in used:
        if label != -1 and (label < 0 or theirs[label] not in number):
            what = repr(theirs[label]) if label >= 0 else label
            raise Mismatch(f"{images.name} has a class that is not among the {len(known)} of the model: {what}")
    table = torch.tensor([*(number.get(name, -1) for name in theirs), -1])
    return table[images.labels]
