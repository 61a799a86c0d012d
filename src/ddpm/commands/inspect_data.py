"""`ddpm data`: what a source holds, also when it cannot be trained on as it is."""

from pathlib import Path
from typing import Any

from ddpm.data import folder
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_source
from ddpm.data.splits import DEFAULT, Options
from ddpm.errors import DataError, NotFound


def describe(source: str) -> dict[str, Any]:
    """Count, shape, levels, classes, the split and the broken files.

    A folder whose images differ in size has no shape; its `sizes` tell them. Broken files are listed, no error.

    Raises:
        NotFound: no such source, or no image in it.
    """
    path = Path(source).expanduser()
    files = folder.find(path) if path.is_dir() else []
    if not files:
        return {"source": source, **_summary(open_source(source, "all")), **_splits(source), "sizes": [], "broken": []}
    found = folder.survey(path, files)
    broken = [{"file": name, "reason": reason} for name, reason in found.broken]
    sizes = [{"width": width, "height": height, "images": count} for (width, height), count in found.sizes()]
    summary: dict[str, Any] = {"images": len(found.pictures)}
    if len(sizes) == 1:
        options = Options(max_broken=1.0)
        summary = {**_summary(folder.read(path, "all", options)), **_splits(source, options)}
    return {"source": source, **summary, "sizes": sizes, "broken": broken}


def _summary(images: ImageSet) -> dict[str, Any]:
    channels, height, width = images.shape
    return {
        "images": len(images),
        "channels": channels,
        "height": height,
        "width": width,
        "levels": images.levels,
        "distinct_values": len(images.images.unique()),
        "classes": len(images.labels.unique()),
    }


def _splits(source: str, options: Options = DEFAULT) -> dict[str, int]:
    counts = {}
    for split in ("train", "test"):
        try:
            counts[split] = len(open_source(source, split, options))
        except (NotFound, DataError):
            counts[split] = 0
    return counts
