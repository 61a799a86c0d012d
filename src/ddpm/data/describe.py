"""`ddpm data`: what a source holds, also when it cannot be trained on as it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm.data.decoding.exact import BYTES, MAX_LEVELS
from ddpm.data.decoding.image_file import PICTURE
from ddpm.data.imageset import Broken, ImageSet
from ddpm.data.indexing.listing import NUMBERS, TEST, TRAIN, Listing, Parts
from ddpm.data.indexing.pictures import broken, common, labels_in
from ddpm.data.labels import class_names, count_classes
from ddpm.data.open import Opened, open_both, open_source, parts_of
from ddpm.data.splits import DEFAULT, Options, held_out


def describe(source: str, options: Options = DEFAULT) -> dict[str, Any]:
    """Count, shape, levels, classes, the split, what the folders mean, what was passed over, and the broken files.

    `options` say what the files do not: their levels and their layout.
    If the images differ in size there is no shape, only `sizes`. Broken files are listed; they are no error here.

    Raises:
        NotFound: no such source, or no image in it.
    """
    parts = parts_of(source)
    return _other(source, options) if parts is None else _pictures(source, parts, options)


def _pictures(source: str, parts: Parts, options: Options) -> dict[str, Any]:
    found = survey(parts.listing("all"), options)
    shape: dict[str, Any] = {}
    if len(found.sizes) == 1:
        ((width, height), _) = found.sizes[0]
        shape = {"channels": found.channels, "height": height, "width": width}
    return {
        "source": source,
        "images": found.images,
        **shape,
        "levels": found.levels,
        "distinct_values": found.distinct_values if found.levels <= 256 else _distinct(source, options),
        "bits_in_use": _bits(source) if found.upper_half_empty and len(found.sizes) == 1 else None,
        "classes": found.classes,
        "classes_in_use": found.classes_in_use,
        "class_names": list(found.class_names),
        "train": found.train,
        "test": found.test,
        "understood": _understood(parts, found.shares),
        "passed_over": [vars(one) for one in parts.accounts.passed],
        "sizes": [{"width": w, "height": h, "images": count} for (w, h), count in found.sizes],
        "size_range": _size_range(found.sizes),
        "broken": [file._asdict() for file in (*found.broken, *parts.accounts.unread)],
    }


@dataclass(frozen=True)
class Share:
    """The images of one split (`TRAIN`, ...): how many, how many of each class, by its name, and the names of those of no class."""

    split: int
    images: int
    classes: Mapping[str, int]
    unlabelled: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """What a source holds. `sizes` are (width, height) with their counts, the most common first; `broken` cannot be read.

    `shares` are the splits that have images, in the order of their numbers. `distinct_values` are those of 8 bits
    that occur: above 256 levels they do not say how many levels are in use. `upper_half_empty`
    is of files of 16 bits that do not say how many levels they have, none of which has a value above 32767.
    """

    images: int
    levels: int
    channels: int
    sizes: tuple[tuple[tuple[int, int], int], ...]
    distinct_values: int
    upper_half_empty: bool
    classes: int
    classes_in_use: int
    class_names: tuple[str, ...]
    train: int
    test: int
    shares: tuple[Share, ...]
    broken: tuple[Broken, ...]


def survey(listing: Listing, options: Options) -> Survey:
    """What the index says about the images; no pixel is kept in memory."""
    index = listing.looked_through(options.reading)
    good = index.good()
    entries, names = index.entries[good], index.names_of(good)
    sizes = Counter(zip(entries["width"].tolist(), entries["height"].tolist(), strict=True))
    split = listing.split[good] if len(listing.split) else held_out(names, options.held_out).numpy().astype(np.int8)
    labels, classes = labels_in(listing, index, good)
    shares = tuple(_share(part, names, labels, classes, split == part) for part in np.unique(split).tolist())
    train, test = (int((split == part).sum()) for part in (TRAIN, TEST))
    all_have = common(index, good, options.levels)
    used = (
        np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(entries["values"], axis=0)))
        if len(good)
        else np.empty(0, int)
    )
    return Survey(
        len(good),
        all_have.scale.levels,
        all_have.channels or (1 if entries["grey"].all() else 3),
        tuple(sizes.most_common()),
        len(used),
        all_have.scale == PICTURE and _sixteen_bits(entries["mode"]) and int(used.max(initial=0)) < BYTES // 2,
        *count_classes(labels, classes),
        classes,
        train,
        test,
        shares,
        broken(index),
    )


def _sixteen_bits(modes: np.ndarray) -> bool:
    """Whether there are files, and all are grey of 16 bits, by what Pillow calls them."""
    return len(modes) > 0 and all(mode.startswith(b"I") for mode in set(modes.tolist()))


def _share(part: int, names: Sequence[str], labels: Tensor, classes: tuple[str, ...], mask: np.ndarray) -> Share:
    rows = np.flatnonzero(mask)
    if not len(labels):
        return Share(part, len(rows), {}, ())
    counts = Counter(labels[torch.from_numpy(rows)].tolist())
    each = {(classes[label] if classes else str(label)): counts[label] for label in sorted(counts) if label >= 0}
    return Share(part, len(rows), each, tuple(names[row] for row in rows.tolist() if labels[row] < 0))


def _distinct(source: str, options: Options) -> int:
    """How many values occur, of pictures with more levels than the index counts."""
    return len(open_source(source, "all", options).tensor().unique())


def _bits(source: str) -> int:
    """How many of their 16 bits the values of pictures use that do not say how many levels they have."""
    exact = open_source(source, "all", Options(levels=MAX_LEVELS, max_broken=1.0))
    return int(exact.tensor().max()).bit_length()


def _other(source: str, options: Options) -> dict[str, Any]:
    images, (train, test) = open_source(source, "all", options), open_both(source, options)
    channels, height, width = images.shape
    values, (classes, in_use) = images.tensor(), count_classes(images.labels, images.classes)
    return {
        "source": source,
        "images": len(images),
        "channels": channels,
        "height": height,
        "width": width,
        "levels": images.levels,
        "distinct_values": len(values.unique()),
        "bits_in_use": int(values.max()).bit_length() if images.levels == MAX_LEVELS else None,
        "classes": classes,
        "classes_in_use": in_use,
        "class_names": list(images.classes),
        "train": len(train),
        "test": len(test),
        "understood": None,
        "passed_over": [],
        "sizes": [],
        "size_range": None,
        "broken": [file._asdict() for file in images.broken],
    }


def _understood(parts: Parts, shares: Sequence[Share]) -> dict[str, Any]:
    """What the folders mean: which lie around the others, and of each split its folders, its images and those of each class.

    Without splits of its own the images of a source are held out by their names; then no folder has a split.
    """
    layout = parts.layout
    name = {number: split for split, number in NUMBERS.items()}
    rows = [
        {
            "split": name[share.split],
            "folders": ["/".join(top) for top in layout.folders_of(name[share.split] or "")],
            "images": share.images,
            "classes": dict(share.classes),
            "in_no_class": {"images": len(share.unlabelled), "first": next(iter(share.unlabelled), None)},
        }
        for share in shares
    ]
    alone = ["/".join(top) for top in layout.alone]
    return {"around": "/".join(layout.around) or None, "the_only_split": alone, "splits": rows}


def _size_range(sizes: Sequence[tuple[tuple[int, int], int]]) -> dict[str, list[float]] | None:
    """The least, the median and the largest width and height."""
    if not sizes:
        return None
    extents, counts = np.array([size for size, _ in sizes]), [count for _, count in sizes]
    every = np.repeat(extents, counts, axis=0)
    found = np.stack([every.min(0), np.median(every, axis=0), every.max(0)])
    return {"width": found[:, 0].tolist(), "height": found[:, 1].tolist()}


MOST = 12
"""So many classes are counted one by one."""


def in_two_lines(opened: Opened) -> list[str]:
    """How the data of a training were understood, and, of picture files, what was passed over."""
    train, test, parts = opened.train, opened.test, opened.understood
    kept = f"{len(train):,} images{_classes(train)}"
    if parts is None:
        return [f"the data as understood: {kept}; {len(test):,} held out"]
    layout, accounts = parts.layout, parts.accounts
    folders = {part: ", ".join("/".join(top) for top in layout.folders_of(part)) for part in NUMBERS if part}
    where = f" in {folders['train']}" if folders["train"] else ""
    how = f"those in {folders['test']}" if folders["test"] else "by their names"
    left_out = f"; {folders['validation']} is in neither" if folders["validation"] else ""
    around = f"; {'/'.join(layout.around)} lies around them" if layout.around else ""
    first = f"the data as understood: {kept}{where}; {len(test):,} held out, {how}{left_out}{around}"
    passed = [f"{one.why}: {one.count:,}" for one in accounts.passed]
    unread = [f"pictures of formats that are not read here: {len(accounts.unread):,}"] if accounts.unread else []
    return [first, f"passed over: {', '.join([*unread, *passed]) or 'nothing'}"]


def left_out(broken: Sequence[Broken], listed: str = "") -> str:
    """A line of files that cannot be read; `listed` is where all of them are."""
    name, *_, reason = broken[0]
    return f"files that cannot be read are left out: {len(broken)}{listed}, the first: {name}: {reason}"


def _classes(images: ImageSet) -> str:
    """Such as " of 2 classes (cat 40, dog 20), 1 in no class: preview.png"; nothing, where there are no classes."""
    count, in_use = count_classes(images.labels, images.classes)
    if not count:
        return ""
    found = Counter(images.labels.tolist())
    names = class_names(images.classes, count)
    each = ", ".join(f"{names[label]} {found[label]:,}" for label in range(min(count, MOST)))
    strays = [row for row, label in enumerate(images.labels.tolist()) if label < 0]
    beside = f", {len(strays):,} in no class" if strays else ""
    first = f" ({images.names[strays[0]]})" if strays and images.names else ""
    empty = f", {in_use:,} of them in use" if in_use < count else ""
    kinds = f"{count:,} {'class' if count == 1 else 'classes'}{empty}"
    return f" of {kinds} ({each}{', ...' if count > MOST else ''}){beside}{first}"
