"""RUN/bad_images.csv: what a run leaves out of its data, and what was lost while it went on."""

import csv
import io
from dataclasses import replace

from ddpm.commands.files import write_bytes
from ddpm.commands.run import RunFolder
from ddpm.data.batches import Batches
from ddpm.data.imageset import Broken, ImageSet

COLUMNS = ("path", "fault", "message")
LOST = "lost"
"""The fault of an image that could be read when the run began."""


def write_bad_images(folder: RunFolder, *sets: ImageSet) -> None:
    """A line for every file that cannot be read, or no longer can; no file, where all can.

    Raises:
        StorageError: the disk is full or fails.
    """
    bad = [bad for images in sets for bad in images.broken]
    lost = [Broken(images.names[row], LOST, why) for images in sets for row, why in sorted(images.lost.items())]
    _write(folder, list(dict.fromkeys([*bad, *lost])))


def write_lost(folder: RunFolder, batches: Batches, *others: ImageSet) -> None:
    """The same, with every image that is replaced while training.

    Raises:
        StorageError: the disk is full or fails.
    """
    write_bad_images(folder, replace(batches.images, lost=batches.lost), *others)


def _write(folder: RunFolder, bad: list[Broken]) -> None:
    if not bad:
        folder.bad_images.unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *bad])
    write_bytes(folder.bad_images, text.getvalue().encode(errors="surrogateescape"))
