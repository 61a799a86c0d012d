"""How far two sets of images are from each other, and the images of a model from its data: `ddpm distance`, and `ddpm evaluate`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

from ddpm.checks import check_whole
from ddpm.data.decoding.exact import BYTES
from ddpm.data.imageset import ImageSet, to_levels
from ddpm.data.splits import DEFAULT, Options
from ddpm.evaluation.images.features.extractor import Extractor, Outputs, as_bytes, extract, gathered
from ddpm.evaluation.images.metrics import Choices, choices_of, metrics_of, scores
from ddpm.evaluation.images.moments_file import MomentsFile, is_moments, read_moments
from ddpm.evaluation.images.score import Distances
from ddpm.evaluation.images.side import Side
from ddpm.experiment.request import reading
from ddpm.figures.images import Data, image_set
from ddpm.figures.progress import followed
from ddpm.parallel.device import pick_device
from ddpm.parallel.world import ALONE, World
from ddpm.sampling.images import finished
from ddpm.seeds import generator
from ddpm.trained.draw import Drawing
from ddpm.trained.measures.extractors import extractor_of
from ddpm.version import VERSION

Item = TypeVar("Item")
Watch: TypeAlias = Callable[[Iterable[Any], int, str], Iterator[Any]]
"""Shows the progress of so many items under a label; gives the items."""
Given: TypeAlias = ImageSet | MomentsFile
"""One side of a distance: images, or a file of their moments."""


def given(data: Data, split: str, options: Options = DEFAULT) -> Given:
    """What a side is: the moments of an npz with `mu` and `sigma`, else images, read as the options say.

    Raises:
        NotFound, DataError, UsageError: as `image_set` and `read_moments`.
    """
    if isinstance(data, str | Path) and is_moments(path := Path(data).expanduser()):
        return read_moments(path)
    return image_set(data, split, options, options.levels or BYTES)


def some_of(images: Given, number: int | None, seed: int, side: str) -> Given:
    """So many images, chosen at random: the first ones of a set are often of one class."""
    if not isinstance(images, ImageSet) or number is None or number >= len(images):
        return images
    chosen = torch.randperm(len(images), generator=generator(seed, "images", side))[:number]
    return images.take(chosen.sort().values)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What two sets are measured by.

    Args:
        metrics: names of `ddpm.evaluation.images.metrics.METRICS`.
        extractor: what makes the features.
        how: the choices of the metrics.
        batch_size: images at a time.
        device: where the features are made.
        watch: shows progress.
        world: the processes that share the work; their features are those of one but for a network's last digits in other batches.
    """

    metrics: Sequence[str]
    extractor: Extractor
    how: Choices
    batch_size: int
    device: torch.device
    watch: Watch
    world: World = ALONE

    def side(self, images: Given, name: str) -> Side:
        """Features of images; of moments, those.

        Raises:
            Mismatch: the images are none for the extractor, or the moments are of another one.
        """
        if isinstance(images, MomentsFile):
            images.require(self.extractor, name)
            return Side(images.moments)
        share = self.world.share(len(images))
        mine = images if self.world.size == 1 else images.take(torch.arange(share.start, share.stop))
        batches = -(-len(mine) // self.batch_size)
        parts = self.watch(extract(self.extractor, mine, self.batch_size, self.device), batches, f"features of {name}")
        return Side.from_outputs(self._together(list(parts)))

    def _together(self, parts: list[Outputs]) -> Outputs:
        """Of all processes, in their order; some may have none."""
        if self.world.size == 1:
            return gathered(iter(parts))
        mine = gathered(iter(parts)) if parts else None
        sizes = [] if mine is None else [one.shape[1] for one in (mine.features, mine.logits) if one is not None]
        sizes = max(self.world.all_gather(sizes))
        rows = [None, None] if mine is None else [mine.features, mine.logits]
        whole = [
            self.world.all_gather_rows(torch.zeros(0, size) if own is None else own)
            for own, size in zip(rows, sizes, strict=False)
        ]
        return Outputs(whole[0], whole[1] if len(sizes) > 1 else None)

    def drawn(self, drawing: Drawing) -> Side:
        """Features of what a model draws, as it would be saved: rounded to the levels of its data."""
        steps = -(-drawing.plan.batches() // self.world.size) * drawing.moves
        levels, found = drawing.model.experiment.levels, []
        for rows, x in finished(self.watch(drawing.run(self.world), steps, "sampling")):
            made = self.extractor.outputs(as_bytes(to_levels(x, levels), levels).to(self.device))
            logits = None if made.logits is None else made.logits.float().cpu()
            found.append((torch.tensor(rows), Outputs(made.features.float().cpu(), logits)))
        outputs = self._together([part for _, part in found])
        numbers = torch.cat([torch.empty(0, dtype=torch.int64), *(rows for rows, _ in found)])
        order = self.world.all_gather_rows(numbers).argsort()
        return Side.of(outputs.features[order], None if outputs.logits is None else outputs.logits[order])

    def between(self, a: Side, b: Side, about: dict[str, Any]) -> Distances:
        """The scores, with the manifest that `about` is a part of."""
        found = self.watch(scores(self.metrics, a, b, self.how), len(self.metrics), "measuring")
        extractor = {name: getattr(self.extractor, name) for name in ("name", "digest", "how")}
        rounding = "levels spread over 0..255, to the nearest"
        manifest = {"ddpm": VERSION, "features": extractor, "rounding": rounding, **about}
        return Distances(tuple(found), manifest)


def about_side(images: Given, source: str, split: str | None) -> dict[str, Any]:
    """What the manifest says of one side."""
    if isinstance(images, MomentsFile):
        return {"source": source, "images": images.images, "moments": True}
    return {
        "source": source,
        "split": split,
        "images": len(images),
        "shape": list(images.shape),
        "levels": images.levels,
        "digest": images.digest() if images.has_fingerprint else None,
    }


def features_told(sides: Iterable[Given]) -> dict[str, Any]:
    """What the manifest says of the features where both sides are moments: no extractor of ours has seen an image."""
    files = [side for side in sides if isinstance(side, MomentsFile)]
    if len(files) < 2:
        return {}
    known = next((one for one in files if one.digest is not None), files[0])
    how = known.how or "of the files, which do not say it"
    return {"features": {"name": known.features or "unknown", "digest": known.digest, "how": how}}


def extractor_for(features: str | Extractor | None, sides: Iterable[Given], device: torch.device) -> Extractor:
    """By name, or the one that is given; where there is none, by the channels of the images.

    Raises:
        UsageError, NotFound, DataError: as `extractor_of`.
    """
    known = [side.shape[0] for side in sides if isinstance(side, ImageSet)]
    return extractor_of(features, max(known, default=3)).to(device)


def bar(progress: bool) -> Watch:  # noqa: FBT001
    """What shows progress to a caller of the library, where it is asked for."""

    def watch(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        with followed(items, total, label, progress) as shown:
            yield from shown

    return watch


def distance(
    images_a: Data,
    images_b: Data,
    metrics: str | Sequence[str] = ("fid", "kid"),
    features: str | Extractor | None = None,
    *,
    split: str = "all",
    num_images: int | None = None,
    seed: int = 0,
    batch_size: int = 128,
    device: str | torch.device = "auto",
    choices: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Distances:
    """How far two sets of images are from each other: what `ddpm distance` does.

    Args:
        images_a: the set that is judged, such as samples: any images, or a path of an .npz with moments (`mu`, `sigma`).
        images_b: the reference, such as real images: the same.
        metrics: "fid", "fid-infinity", "kid", "is", "precision-recall", "density-coverage", "sliced": a list, or a text with commas.
        features: "pixels", "digits", "colour", "inception=FILE", the path of a TorchScript file, or an `Extractor` of your own; None
            takes "digits" for grey images and "colour" for others.
        split: of images_b, where it is a source.
        num_images: so many of each, chosen by the seed; None takes all.
        seed: of subsets, halves, groups and directions.
        batch_size: images at a time.
        device: where the features are made.
        choices: of the metrics, where they are not those of the papers: ``{"subset_size": 500, "splits": 1, "precision_k": 5}``.
        settings: how both are read: ``{"data.resolution": 32}``, or another of `data` that hints name.
        progress: whether a bar is shown, on a terminal or in a notebook.

    Raises:
        UsageError: an unknown metric, feature, choice or setting; an extractor that does not say what it is; too few images.
        Mismatch: the two have no distance: features of differently many numbers.
        NotFound, DataError: images, moments or weights cannot be read.

    Example:
        >>> import ddpm
        >>> digits = ddpm.images("digits")
        >>> found = ddpm.distance(digits[:200], digits[200:], "kid,precision-recall", "pixels", progress=False)
        >>> bool(found["kid"].low < found["kid"].value < found["kid"].high), found.manifest["features"]["name"]
        (True, 'pixels')
    """
    names = metrics_of(metrics if isinstance(metrics, str) else ",".join(metrics))
    number = None if num_images is None else check_whole("num_images", num_images, 1)
    seed, sources = check_whole("seed", seed), [_source(one) for one in (images_a, images_b)]
    how, options = choices_of({"seed": seed, **(choices or {})}), reading(settings or {})
    sides = [
        some_of(given(data, part, options), number, seed, name)
        for data, part, name in ((images_a, "all", "a"), (images_b, split, "b"))
    ]
    place = device if isinstance(device, torch.device) else pick_device(device)
    extractor = extractor_for(features, sides, place)
    batch_size = check_whole("batch_size", batch_size, 1)
    measurement = Measurement(names, extractor, how, batch_size, place, bar(progress))
    made = [measurement.side(side, name) for side, name in zip(sides, sources, strict=True)]
    about = {
        name: about_side(side, source, part)
        for name, side, source, part in zip("ab", sides, sources, ("all", split), strict=True)
    }
    return measurement.between(
        made[0], made[1], about | features_told(sides) | {"seed": how.seed, "num_images": number}
    )


def _source(data: Data) -> str:
    return str(data) if isinstance(data, str | Path) else "images"
