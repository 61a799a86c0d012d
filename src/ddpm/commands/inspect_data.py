"""`ddpm data`: what a source holds."""

from dataclasses import replace
from typing import Any

from ddpm.data.sources import open_source
from ddpm.data.splits import DEFAULT, Options
from ddpm.errors import NotFound


def describe(source: str, options: Options = DEFAULT) -> dict[str, Any]:
    """Count, shape, levels, classes, the split and the broken files; broken files alone are no error here."""
    everything = open_source(source, "all", replace(options, max_broken=1.0))
    counts = {}
    for split in ("train", "test"):
        try:
            counts[split] = len(open_source(source, split, replace(options, max_broken=1.0)))
        except NotFound:
            counts[split] = 0
    channels, height, width = everything.shape
    values = everything.images.unique()
    return {
        "source": source,
        "images": len(everything),
        **counts,
        "channels": channels,
        "height": height,
        "width": width,
        "levels": everything.levels,
        "distinct_values": len(values),
        "classes": len(everything.labels.unique()),
        "broken": [{"file": name, "reason": reason} for name, reason in everything.broken],
    }
