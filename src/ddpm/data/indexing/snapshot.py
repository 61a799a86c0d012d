"""The images that a run began with, so that it goes on with the same ones in the same order, whatever happened to them since.

A snapshot keeps the names, hashes and classes of all images, and the fingerprint of those to train on. A checkpoint belongs to
it if it has the same fingerprint; so this can be told even if some images are gone and no fingerprint can be computed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ddpm.data.indexing.index import Index, from_arrays, to_arrays, without_places
from ddpm.data.indexing.listing import Classes, Listing
from ddpm.data.indexing.pictures import Pictures, labels_in
from ddpm.data.splits import SPLITS
from ddpm.storage.sealed import SEAL, sealed, unsealed

ABOUT, LABELS = "about", "labels"


@dataclass(frozen=True, eq=False)
class DataSnapshot:
    """The parts of a source ("all", or "train" and "test") as they were, and the fingerprint of the images to train on.

    `seal` is the hash of the file that it was read from, if it was read from one: by it, processes check that they agree.
    """

    parts: Mapping[str, Pictures] = field(default_factory=dict)
    fingerprint: str = ""
    seal: str | None = None


NOTHING = DataSnapshot()


@dataclass(frozen=True)
class Change:
    """What happened to the images of a run, by their names.

    `relabelled` are those that now have another class, `decoded_otherwise` those whose bytes are the same and whose pixels are
    not, as far as the index knows them: another version reads them.
    """

    gone: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    decoded_otherwise: tuple[str, ...] = ()

    def and_then(self, other: "Change") -> "Change":
        """The changes in two parts of a source together."""
        return Change(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def packed(kept: DataSnapshot) -> bytes:
    """The content of the file that keeps a snapshot."""
    about = {part: pictures.classes for part, pictures in kept.parts.items()}
    text = json.dumps({"fingerprint": kept.fingerprint, "parts": about}).encode()
    arrays = {ABOUT: np.frombuffer(text, np.uint8)}
    for part, pictures in kept.parts.items():
        arrays |= {f"{part}-{name}": array for name, array in to_arrays(pictures.index).items()}
        arrays[f"{part}-{LABELS}"] = pictures.labels.numpy()
    return sealed(arrays)


def unpacked(content: bytes | bytearray) -> DataSnapshot:
    """The snapshot in the content of a file. It does not say where the images are: for that, only the source is asked.

    Raises:
        ValueError: the file is damaged, or of another kind.
    """
    arrays = unsealed(content)
    try:
        about = json.loads(arrays[ABOUT].tobytes())
        fingerprint, parts = about["fingerprint"], about["parts"]
        if not isinstance(fingerprint, str) or set(parts) - set(SPLITS):
            raise ValueError("it is of another kind")
        pictures = {part: _pictures(arrays, part, classes) for part, classes in parts.items()}
        return DataSnapshot(pictures, fingerprint, content[:SEAL].hex())
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks something: {error}") from error


def _pictures(arrays: Mapping[str, np.ndarray], part: str, classes: list[str]) -> Pictures:
    own = {name.removeprefix(f"{part}-"): array for name, array in arrays.items() if name.startswith(f"{part}-")}
    index, labels = from_arrays(own, Path(part)), own[LABELS]
    good = len(index.good())
    fits = (
        labels.dtype == np.int64 and labels.shape in ((0,), (good,)) and all(isinstance(name, str) for name in classes)
    )
    if not good or not fits or (len(labels) and (labels.min() < -1 or (classes and labels.max() >= len(classes)))):
        raise ValueError("its parts do not fit together")
    return Pictures(part, index, torch.from_numpy(labels), tuple(classes))


def match_to_snapshot(began: Pictures, listing: Listing, now: Index) -> tuple[Pictures, Change]:
    """The images that a run began with, found in what there is now (`now`, the index of `listing`), and what changed.

    Rows, order and classes are those of the beginning; a file that could not be read then stays left out, even if it can be
    read now. An image is still the same if its bytes are, wherever they are now; every other image is lost. An image is found
    by its name. If all images have the same bytes in the same order as then, they are found by that order, and the files may
    have new names.
    """
    at, good = _places(began.index, now), began.index.entries["good"]
    there = at >= 0
    readable = there & (now.entries["good"][at] if len(now) else False)
    same = readable & (now.entries["sha256"][at] == began.index.entries["sha256"]).all(-1)
    entries = without_places(began.index.entries)
    for name in ("size", "time", "offset", "length", "shard"):
        entries[name][same] = now.entries[name][at[same]]
    shards = _renamed(began.index, now, at, entries)
    index = replace(began.index, root=now.root, entries=entries, shards=shards)
    kinds = [good & ~there, good & there & ~readable, good & readable & ~same]
    lost = dict.fromkeys(np.flatnonzero(kinds[0]).tolist(), "it is gone")
    lost |= {row: now.faults[int(at[row])].message for row in np.flatnonzero(kinds[1]).tolist()}
    lost |= dict.fromkeys(np.flatnonzero(kinds[2]).tolist(), "its bytes are no longer those that the run began with")
    added = now.names_of(np.setdiff1d(now.good(), at))
    rows = np.flatnonzero(good & same)
    others = rows[_relabelled(began, rows, labels_in(listing, now, at[rows]))]
    kinds.append(good & same & _decoded_otherwise(began.index, now, at))
    gone, unreadable, changed, otherwise = (index.names_of(np.flatnonzero(kind)) for kind in kinds)
    change = Change(gone, unreadable, changed, added, index.names_of(others), otherwise)
    return replace(began, name=listing.root.name, index=index, lost=lost, unread=listing.unread), change


def _places(began: Index, now: Index) -> np.ndarray:
    """For each image of the beginning its row in what there is now, (N,) int64; -1 if it is not there."""
    place = {name: row for row, name in enumerate(now.names)}
    at = np.array([place.get(name, -1) for name in began.names], np.int64)
    before, after = began.good(), now.good()
    if np.array_equal(began.entries["sha256"][before], now.entries["sha256"][after]):
        at[:] = -1
        at[before] = after
    return at


def _renamed(began: Index, now: Index, at: np.ndarray, entries: np.ndarray) -> tuple[str, ...]:
    """The shards of `now`, and the files that have a new name: images keep their old name, so `entries` must say their path."""
    rows = np.flatnonzero((at >= 0) & (entries["shard"] < 0)).tolist()
    renamed = [row for row in rows if began.names[row] != now.names[at[row]]]
    entries["shard"][renamed] = len(now.shards) + np.arange(len(renamed))
    return (*now.shards, *(now.span(int(at[row])).path for row in renamed))


def _decoded_otherwise(began: Index, now: Index, at: np.ndarray) -> np.ndarray:
    """Which images, (N,) bool, have another size, greyness or set of values than they had, if they are there."""
    if not len(now):
        return np.zeros(len(at), bool)
    before, after = began.entries, now.entries[at]
    sizes = (before["width"] != after["width"]) | (before["height"] != after["height"])
    return sizes | (before["grey"] != after["grey"]) | (before["values"] != after["values"]).any(-1)


def _relabelled(began: Pictures, rows: np.ndarray, now: Classes) -> np.ndarray:
    """Which of these rows, (n,) bool, now have another class; classes are compared by their names, if they have names."""
    if not len(began.labels):
        return np.zeros(len(rows), bool)
    labels, classes = now
    if not len(labels):
        return np.ones(len(rows), bool)
    before, after = began.labels.numpy()[np.searchsorted(began.index.good(), rows)], labels.numpy()
    if classes or began.classes:
        number = {name: label for label, name in enumerate(began.classes)}
        after = np.array([*(number.get(name, -2) for name in classes), -1])[after.clip(-1, len(classes))]
    return before != after


def line(change: Change, more: Mapping[str, tuple[str, ...]]) -> str:
    """A line such as "3 gone, 1 added: the first: cats/12.png"; empty if nothing changed. `more` are further kinds of change."""
    kinds = {kind: names for kind, names in {**vars(change), **more}.items() if names}
    first = min((name for names in kinds.values() for name in names), key=os.fsencode, default="")
    said = ", ".join(f"{len(names):,} {kind.replace('_', ' ')}" for kind, names in kinds.items())
    return f"{said}: the first: {os.fsencode(first).decode(errors='backslashreplace')}" if said else ""
