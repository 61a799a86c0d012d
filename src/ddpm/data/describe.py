"""`ddpm data`: what a source holds, also when it cannot be trained on as it is."""

from typing import Any

from ddpm.data.indexing.listing import Listing, survey
from ddpm.data.open import listed, open_both, open_source
from ddpm.data.splits import DEFAULT


def describe(source: str) -> dict[str, Any]:
    """Count, shape, levels, classes, the split and the broken files.

    If the images differ in size there is no shape, only `sizes`. Broken files are listed; they are no error here.

    Raises:
        NotFound: no such source, or no image in it.
    """
    found = listed(source)
    return _pictures(source, found[0]) if found else _other(source)


def _pictures(source: str, listing: Listing) -> dict[str, Any]:
    found = survey(listing, DEFAULT)
    shape: dict[str, Any] = {}
    if len(found.sizes) == 1:
        ((width, height), _) = found.sizes[0]
        shape = {"channels": 1 if found.grey else 3, "height": height, "width": width}
    return {
        "source": source,
        "images": found.images,
        **shape,
        "levels": 256,
        "distinct_values": found.distinct_values,
        "classes": found.classes,
        "class_names": list(found.class_names),
        "train": found.train,
        "test": found.test,
        "sizes": [{"width": w, "height": h, "images": count} for (w, h), count in found.sizes],
        "broken": [file._asdict() for file in found.broken],
    }


def _other(source: str) -> dict[str, Any]:
    images, (train, test) = open_source(source, "all"), open_both(source)
    channels, height, width = images.shape
    return {
        "source": source,
        "images": len(images),
        "channels": channels,
        "height": height,
        "width": width,
        "levels": images.levels,
        "distinct_values": len(images.tensor().unique()),
        "classes": len(images.labels.unique()),
        "class_names": list(images.classes),
        "train": len(train),
        "test": len(test),
        "sizes": [],
        "broken": [file._asdict() for file in images.broken],
    }
