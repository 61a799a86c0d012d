"""Images that cannot be read, or no longer can since the run began: what becomes of them, and RUN/bad_images.csv.

Those that a run began with are replaced while training (`Batches`) and left out of the held-out estimates.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace

import torch

from ddpm.checkpoints import Checkpoint
from ddpm.data.batches import too_many
from ddpm.data.imageset import Broken, ImageSet
from ddpm.errors import Mismatch
from ddpm.parallel.world import World
from ddpm.run.data_identity import BACK, NEW
from ddpm.run.folder import RunFolder
from ddpm.storage.atomic import write_bytes

COLUMNS = ("path", "fault", "message")
LOST = "lost"
"""The fault of an image that could be read when the run began."""


def lost_by_all(world: World, lost: Mapping[int, str]) -> dict[int, str]:
    """The images that any of the processes has lost, the same in each of them, with the reason that the first of them gives."""
    found: dict[int, str] = {}
    for theirs in reversed(world.all_gather({str(row): reason for row, reason in lost.items()})):
        found |= {int(row): reason for row, reason in theirs.items()}
    return dict(sorted(found.items()))


def lost_before(content: Checkpoint | None) -> dict[int, str]:
    """The images that were lost when the checkpoint was written; the data may not have so many, which is not known yet."""
    lost = content.numbers.get("lost", {}) if content is not None else {}
    return {int(row): reason for row, reason in lost.items()}


def left_of(images: ImageSet) -> ImageSet:
    """What is not lost; the others are among what is broken."""
    left = images.take(torch.tensor([row for row in range(len(images)) if row not in images.lost], dtype=torch.int64))
    lost = tuple(Broken(images.names[row], LOST, reason) for row, reason in images.lost.items())
    return replace(left, broken=(*images.broken, *lost))


def held_out_left(held_out: ImageSet, most: int, world: World) -> tuple[ImageSet, ImageSet]:
    """The held-out images that are left, and in memory those of the first `most` that are; the same in all processes.

    A lost image is not replaced by another, so that the estimates before and after have all other images in common. They do not
    have the same t and noise: t depends on how many images there are, and noise on the place, which moves after a lost image.

    Raises:
        Mismatch: more are lost than a run can do without, or all that the estimates are of.
    """
    number = min(most, len(held_out))
    first = world.together(lambda: held_out.take(torch.arange(number)).load_readable())
    lost = lost_by_all(world, {**held_out.lost, **first.lost})
    rows = torch.tensor([row for row in range(number) if row not in lost], dtype=torch.int64)
    if too_many(len(lost), len(held_out)) or (number and not len(rows)):
        row, reason = next(iter(lost.items()))
        what = f"{len(lost)} of {len(held_out)} that are held out, the first: {held_out.names[row]}: {reason}"
        raise Mismatch(f"too many of the images that the run began with can no longer be read: {what}", BACK, NEW)
    left = left_of(replace(held_out, lost=lost))
    return left, replace(left.take(torch.arange(len(rows))), images=first.take(rows).images)


def notes_of(images: ImageSet, before: Mapping[int, str], held_out: ImageSet) -> list[str]:
    """A line for what was lost since the checkpoint, and for what is missing from the held-out images."""
    lost = [Broken(images.names[row], LOST, reason) for row, reason in images.lost.items() if row not in before]
    missing = [bad for bad in held_out.broken if bad.fault == LOST]
    kinds = (("replaced by others", lost), ("left out of the held-out bound", missing))
    return [
        f"{what}: {len(bad)} of the images that the run began with (bad_images.csv), the first: {bad[0].file}: {bad[0].reason}"
        for what, bad in kinds
        if bad
    ]


def write_bad_images(folder: RunFolder, *sets: ImageSet) -> None:
    """A line for every file that cannot be read, or no longer can; no file, where all can.

    Raises:
        StorageError: the disk is full or fails.
    """
    bad = [bad for images in sets for bad in images.broken]
    lost = [Broken(images.names[row], LOST, why) for images in sets for row, why in sorted(images.lost.items())]
    _write(folder, list(dict.fromkeys([*bad, *lost])))


def _write(folder: RunFolder, bad: list[Broken]) -> None:
    if not bad:
        folder.bad_images.unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *bad])
    write_bytes(folder.bad_images, text.getvalue().encode(errors="surrogateescape"))
