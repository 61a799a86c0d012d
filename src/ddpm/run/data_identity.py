"""RUN/images.index: the images that a run began with. It goes on with these.

A few may have broken or be gone since (`lost`). Anything else is other data, which is refused in words that say what is other.
"""

from collections.abc import Mapping
from dataclasses import replace

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.batches import too_many
from ddpm.data.indexing.snapshot import NOTHING, DataSnapshot, line, packed, unpacked
from ddpm.data.open import Opened
from ddpm.errors import Mismatch
from ddpm.experiment.config import Experiment
from ddpm.run import start
from ddpm.run.folder import RunFolder
from ddpm.storage import plain
from ddpm.storage.atomic import write_bytes

MOST = 2**32
"""Bytes of an index: some 25 million images."""
BACK = "with the images as they were, the same command goes on"
NEW = "a new --output-dir trains on what there is now"


def remembered(folder: RunFolder, how: str) -> tuple[DataSnapshot, list[str]]:
    """What the run began with that is about to go on, and a line if that cannot be read.

    Nothing where it begins, or was begun before such a file was written.
    """
    origin = start.origin(folder, how)
    if how == "never" or not checkpoints.found(origin.checkpoints) or not origin.index.exists():
        return NOTHING, []
    try:
        return unpacked(plain.contents(origin.index, MOST)), []
    except (OSError, ValueError) as error:
        return NOTHING, [f"not used: {origin.index}: {error}; the images must be all those that the run began with"]


def keep(folder: RunFolder, how: str, opened: Opened, began: DataSnapshot, fingerprint: str) -> None:
    """Before the first step: write down what a run begins with, or, once that is known to be the same, goes on with.

    Raises:
        StorageError: the disk is full or fails.
    """
    there = began is not NOTHING and start.origin(folder, how).index == folder.index
    if opened.parts and not there:
        write_bytes(folder.index, packed(DataSnapshot(opened.parts, fingerprint)))


def fingerprint_of(
    experiment: Experiment, opened: Opened, lost: Mapping[int, str], began: DataSnapshot, content: Checkpoint | None
) -> str:
    """Of the images and labels, which must be those of the checkpoint; of the images so many may be `lost`.

    Images in memory of which some are lost have none of their own: they were put together from what was kept, and have that
    one's. (Else what was decoded is compared, too, of which another version of a decoder may make something else.)

    Raises:
        Mismatch: they are not, and what is other. So it is where one was lost that there is not now.
    """
    images, source = opened.train, experiment.data.source
    labels = experiment.labels(images)
    stands_for = images.digest(labels) if images.has_fingerprint else began.fingerprint
    if content is None:
        return stands_for
    kinds = replace(opened.change, relabelled=opened.change.relabelled if labels is not None else ())
    beyond = [
        f"image {row} was lost before, of {len(images.names)} in files" for row in lost if row >= len(images.names)
    ]
    many = bool(beyond) or too_many(len(lost), len(images)) or len(lost) == len(images)
    many |= too_many(len(opened.test.lost), len(opened.test))
    if not (many or kinds.added or kinds.relabelled) and stands_for == content.numbers["images"]:
        return stands_for
    known = {name for names in vars(kinds).values() for name in names}
    sets = ((images, lost), (opened.test, opened.test.lost))
    further = [part.names[row] for part, rows in sets for row in rows if row < len(part.names)]
    what = line(kinds, {"lost before": tuple(name for name in further if name not in known)})
    what = what or "".join(beyond[-1:]) or _of_other_kind(opened, began)
    raise Mismatch(f"the images are no longer those that the run began with: {source}{what and ': '}{what}", BACK, NEW)


def _of_other_kind(opened: Opened, began: DataSnapshot) -> str:
    """What is other where no file is."""
    if not began.parts:
        return ""
    if began.parts.keys() != opened.parts.keys():
        parts = [" and ".join(each) or "none of pictures in files" for each in (began.parts, opened.parts)]
        return f"its parts were {parts[0]}, and are {parts[1]}"
    return "the files are the same, but not what is read from them"
