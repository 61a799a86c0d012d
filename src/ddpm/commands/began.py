"""RUN/images.index: the images that a run began with. It goes on with these, and says what became of them.

A few may have broken or be gone since: they are replaced while training (`Batches`) and left out of the held-out estimates.
Anything else is other data, which is refused in words that say what is other.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from ddpm.commands import resume
from ddpm.commands.bad_images import LOST
from ddpm.commands.files import write_bytes
from ddpm.commands.run import RunFolder
from ddpm.data.batches import too_many
from ddpm.data.files import Files
from ddpm.data.imageset import Broken, ImageSet
from ddpm.data.kept import NOTHING, Kept, line, packed, unpacked
from ddpm.data.sources import Opened
from ddpm.distributed import World
from ddpm.errors import Mismatch
from ddpm.experiment import Experiment
from ddpm.storage import plain
from ddpm.training import checkpoint
from ddpm.training.checkpoint import Checkpoint

MOST = 2**32
"""Bytes of an index: some 25 million images."""
BACK = "bring them back (and take away what was added), and the same command goes on"
NEW = "a new --output-dir trains on what there is now"


def remembered(folder: RunFolder, how: str) -> tuple[Kept, list[str]]:
    """What the run began with that is about to go on, and a line if that cannot be read.

    Nothing where it begins, or was begun before such a file was written.
    """
    origin = resume.origin(folder, how)
    if how == "never" or not checkpoint.found(origin.checkpoints) or not origin.index.exists():
        return NOTHING, []
    try:
        return unpacked(plain.contents(origin.index, MOST)), []
    except (OSError, ValueError) as error:
        return NOTHING, [f"not used: {origin.index}: {error}; the images must be all those that the run began with"]


def keep(folder: RunFolder, how: str, opened: Opened, began: Kept, fingerprint: str) -> None:
    """Before the first step: write down what a run begins with, or, once that is known to be the same, goes on with.

    Raises:
        StorageError: the disk is full or fails.
    """
    there = began is not NOTHING and resume.origin(folder, how).index == folder.index
    if opened.parts and not there:
        write_bytes(folder.index, packed(Kept(opened.parts, fingerprint)))


def lost_by_all(world: World, lost: Mapping[int, str]) -> dict[int, str]:
    """What any of the processes has lost, the same in each of them; why, as the first of them says."""
    found: dict[int, str] = {}
    for theirs in reversed(world.all_gather({str(row): reason for row, reason in lost.items()})):
        found |= {int(row): reason for row, reason in theirs.items()}
    return dict(sorted(found.items()))


def lost_before(content: Checkpoint | None) -> dict[int, str]:
    """What was lost when the checkpoint was written; whether there are such images is not known yet."""
    lost = content.numbers.get("lost", {}) if content is not None else {}
    return {int(row): reason for row, reason in lost.items()}


def fingerprint_of(
    experiment: Experiment, opened: Opened, lost: Mapping[int, str], began: Kept, content: Checkpoint | None
) -> str:
    """Of the images and labels, which must be those of the checkpoint; of the images so many may be `lost`.

    Images in memory of which some are lost have none of their own: they were put together from what was kept, and have that
    one's. (Else what was decoded is compared, too, of which another version of a decoder may make something else.)

    Raises:
        Mismatch: they are not, and what is other. So it is where one was lost that there is not now.
    """
    images, source = opened.train, experiment.data.source
    labels = experiment.labels(images)
    stands_for = began.fingerprint if images.lost and not isinstance(images.images, Files) else images.digest(labels)
    if content is None:
        return stands_for
    kinds = replace(opened.change, relabelled=opened.change.relabelled if labels is not None else ())
    many = too_many(len(lost), len(images)) or len(lost) == len(images)
    many |= too_many(len(opened.test.lost), len(opened.test)) or any(row >= len(images.names) for row in lost)
    if not (many or kinds.added or kinds.relabelled) and stands_for == content.numbers["images"]:
        return stands_for
    known = {name for names in vars(kinds).values() for name in names}
    sets = ((images, lost), (opened.test, opened.test.lost))
    further = [part.names[row] for part, rows in sets for row in rows if row < len(part.names)]
    what = line(kinds, {"lost before": tuple(name for name in further if name not in known)})
    what = what or _of_other_kind(opened, began)
    raise Mismatch(f"the images are no longer those that the run began with: {source}{what and ': '}{what}", BACK, NEW)


def _of_other_kind(opened: Opened, began: Kept) -> str:
    """What is other where no file is."""
    if not began.parts:
        return ""
    if began.parts.keys() != opened.parts.keys():
        parts = [" and ".join(each) or "none of pictures in files" for each in (began.parts, opened.parts)]
        return f"its parts were {parts[0]}, and are {parts[1]}"
    return "the files are the same, but not what is read from them"


def left_of(images: ImageSet) -> ImageSet:
    """What is not lost; the others are among what is broken."""
    left = images.take(torch.tensor([row for row in range(len(images)) if row not in images.lost], dtype=torch.int64))
    lost = tuple(Broken(images.names[row], LOST, reason) for row, reason in images.lost.items())
    return replace(left, broken=(*images.broken, *lost))


def estimated(held_out: ImageSet, most: int, world: World) -> tuple[ImageSet, ImageSet]:
    """The held-out images that are left, and in memory those of the first `most` that are; the same in all processes.

    A lost one makes no room for another: the estimates before and after have all other images in common. Not their t and
    noise: t goes by how many there are, and noise by the place, which is another for all after the lost one.

    Raises:
        Mismatch: more are lost than a run can do without, or all that the estimates are of.
    """
    number = min(most, len(held_out))
    first = world.together(lambda: held_out.take(torch.arange(number)).left_in_memory())
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
