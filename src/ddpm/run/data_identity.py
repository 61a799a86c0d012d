"""RUN/images.index: the images that a run began with. It goes on with these.

A few may have broken or be gone since (`lost`). Anything else is other data, which is refused with a message that says how they
differ.
"""

from collections.abc import Mapping
from dataclasses import replace

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.data.batches import too_many
from ddpm.data.decoding.scaled import Reading
from ddpm.data.indexing.index import WHOLE, Index
from ddpm.data.indexing.snapshot import NOTHING, Change, DataSnapshot, line, packed, unpacked
from ddpm.data.open import Opened
from ddpm.errors import Mismatch
from ddpm.experiment.config import Experiment
from ddpm.run.folder import RunFolder
from ddpm.run.start import Start
from ddpm.storage import plain
from ddpm.storage.atomic import write_bytes

MOST = 2**32
"""Bytes of an index: some 25 million images."""
BACK = "with the images as they were, the same command goes on"
UNDERSTOOD = (
    "the pictures are the same, but this version understands their folders otherwise (names of splits, such as Train or val2017, "
    "are no classes): only the version of ddpm that began the run goes on with it"
)
NEW = "a new `output_dir` trains on what there is now"
READ = "the files are the same: the version of ddpm and of Pillow that began the run goes on"


def read_snapshot(folder: RunFolder, start: Start) -> tuple[DataSnapshot, list[str]]:
    """The images that the run began with that is about to go on, and a line if that cannot be read.

    `NOTHING` where it begins, or was begun before such a file was written.
    """
    origin = start.origin(folder)
    if not checkpoints.found(origin.checkpoints) or not origin.index.exists():
        return NOTHING, []
    try:
        return unpacked(plain.contents(origin.index, MOST)), []
    except (OSError, ValueError) as error:
        return NOTHING, [f"not used: {origin.index}: {error}; the images must be all those that the run began with"]


def snapshot_in(folder: RunFolder) -> DataSnapshot:
    """The images that a run began with; `NOTHING` where no file says so, or a damaged one."""
    try:
        return unpacked(plain.contents(folder.index, MOST))
    except (OSError, ValueError):
        return NOTHING


def write_snapshot(folder: RunFolder, start: Start, opened: Opened, snapshot: DataSnapshot, fingerprint: str) -> None:
    """Before the first step: write down which images a run begins with, or, once these are known to be the same, goes on with.

    Raises:
        StorageError: the disk is full or fails.
    """
    there = snapshot is not NOTHING and start.origin(folder).index == folder.index
    if opened.parts and not there:
        write_bytes(folder.index, packed(DataSnapshot(opened.parts, fingerprint)))


def fingerprint_of(
    experiment: Experiment, opened: Opened, lost: Mapping[int, str], snapshot: DataSnapshot, content: Checkpoint | None
) -> str:
    """The fingerprint of the images and labels, which must be that of the checkpoint; a few of the images may be `lost`.

    Of images in memory of which some are lost none can be computed: they have that of the snapshot. (Of others also the
    decoded pixels are compared: another version of a decoder may decode differently.)

    Raises:
        Mismatch: they are other images, and how they differ; or one is `lost` that there is not now.
    """
    images, source = opened.train, experiment.data.source
    labels = experiment.labels(images)
    stands_for = images.digest(labels) if images.has_fingerprint else snapshot.fingerprint
    if content is None:
        return stands_for
    kinds = replace(opened.change, relabelled=opened.change.relabelled if labels is not None else ())
    beyond = [
        f"image {row} was lost before, of {len(images.names)} in files" for row in lost if row >= len(images.names)
    ]
    many = bool(beyond) or too_many(len(lost), len(images)) or len(lost) == len(images)
    many |= too_many(len(opened.test.lost), len(opened.test))
    if (
        not (many or kinds.added or kinds.relabelled or kinds.decoded_otherwise)
        and stands_for == content.numbers["images"]
    ):
        return stands_for
    known = {name for names in vars(kinds).values() for name in names}
    sets = ((images, lost), (opened.test, opened.test.lost))
    further = [part.names[row] for part, rows in sets for row in rows if row < len(part.names)]
    what = line(kinds, {"lost before": tuple(name for name in further if name not in known)})
    read = bool(kinds.decoded_otherwise) and replace(kinds, decoded_otherwise=()) == Change()
    what = what or "".join(beyond[-1:]) or _of_other_kind(opened, snapshot)
    reading = experiment.data.options().reading
    way = UNDERSTOOD if _only_understood_otherwise(kinds, opened, snapshot, reading) else READ if read else BACK
    raise Mismatch(f"the images are no longer those that the run began with: {source}{what and ': '}{what}", way, NEW)


def _only_understood_otherwise(change: Change, opened: Opened, snapshot: DataSnapshot, reading: Reading) -> bool:
    """Whether every picture is what it was and where it was, and only classes or splits are made of its folders otherwise.

    Of tables and archives classes are not only folders: somebody may have written others into them.
    """
    other = bool(change.relabelled) or snapshot.parts.keys() != opened.parts.keys()
    if opened.understood is None or not snapshot.parts or not other or replace(change, relabelled=()) != Change():
        return False
    parts = opened.understood
    there = {part: parts.listing(part).looked_through(reading) for part in ("all", *parts.names)}
    if change.relabelled and (there["all"].entries["length"] != WHOLE).any():
        return False
    in_use = [_places(index) for part, index in there.items() if part not in ("all", "validation")]
    then = {place for pictures in snapshot.parts.values() for place in _places(pictures.index)}
    return then in (_places(there["all"]), set().union(*in_use))


def _places(index: Index) -> set[tuple[str, bytes]]:
    """The name and the hash of every picture that can be read."""
    rows = index.good()
    return set(zip(index.names_of(rows), map(bytes, index.entries["sha256"][rows]), strict=True))


def _of_other_kind(opened: Opened, snapshot: DataSnapshot) -> str:
    """What differs, where no file does."""
    if not snapshot.parts:
        return ""
    if snapshot.parts.keys() != opened.parts.keys():
        parts = [" and ".join(each) or "none of pictures in files" for each in (snapshot.parts, opened.parts)]
        return f"its parts were {parts[0]}, and are {parts[1]}"
    return "the files are the same, but not what is read from them"
