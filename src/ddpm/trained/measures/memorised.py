"""`ddpm evaluate --metrics memorised`: samples of a model beside the training images nearest to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, Unpack, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from ddpm.checks import check_whole
from ddpm.data.imageset import ImageSet, to_levels
from ddpm.errors import Mismatch
from ddpm.evaluation.closeness import (
    CONFIDENCE,
    Closeness,
    Features,
    alike,
    blocks,
    distinct,
    featured,
    judged,
    pixels,
    rate_for,
    require_training,
    search,
)
from ddpm.evaluation.images.features.extractor import Extractor, as_bytes
from ddpm.figures.images import Data
from ddpm.figures.pictures import pairs, shown
from ddpm.seeds import generator
from ddpm.trained.draw import Drawing, DrawingOptions, How, samples_of
from ddpm.trained.evaluate import given_images
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import bar
from ddpm.trained.measures.extractors import extractor_of
from ddpm.trained.model import TrainedModel
from ddpm.trained.opening import opened
from ddpm.trained.provenance import recorded
from ddpm.trained.training_images import same_images, source_of

Part = TypeVar("Part")
WORST = 16
"""Pairs in the picture."""
NEEDED = "copies are looked for among"
"""The training data, in messages."""
SAMPLES, BATCH = 200, 128
"""How many are drawn where nobody says it, and how many images are seen at a time."""
MIRRORS = {"horizontal-flip": 2}
"""In how many places of the space of images each training image is, where augmentation moves it."""


@runtime_checkable
class Track(Protocol):
    """Shows the progress of so many parts."""

    def __call__(self, parts: Iterator[Part], count: int, label: str, /) -> Iterator[Part]:
        """The same parts."""
        ...


def quietly(parts: Iterator[Part], _count: int, _label: str) -> Iterator[Part]:
    """Without showing anything."""
    return parts


@dataclass(frozen=True)
class Space:
    """What distances are of.

    Args:
        features: of images.
        name: of these.
        unit: of the distances.
    """

    features: Features = pixels
    name: str = "pixels"
    unit: str = "RMSE on 0..255"


PIXELS = Space()


@dataclass(frozen=True, eq=False)
class Memorised:
    """What was found, with what it was found in.

    Args:
        closeness: what the distances say.
        drawn: the samples, (N, C, H, W) integers 0..levels-1.
        train: the training images.
        about: all numbers, and how they were made, for JSON.
    """

    closeness: Closeness
    drawn: Tensor
    train: ImageSet
    about: dict[str, Any]

    def __repr__(self) -> str:
        one = self.closeness
        return (
            f"Memorised({one.count} of {len(one.suspected)} samples nearer to training images than by chance ({one.expected:.1f}), "
            f"p = {one.p_value:.2g})"
        )

    def picture(self, count: int = WORST) -> Image.Image:
        """The samples of the smallest ratios, each above its nearest training image, mirrored where that is nearer."""
        worst = self.closeness.worst(count)
        found = self.closeness.samples
        nearest = self.train.images[found.rows[worst]].cpu()
        nearest = torch.where(found.mirrored[worst].reshape(-1, 1, 1, 1), nearest.flip(-1), nearest)
        return pairs(shown(self.drawn[worst], self.train.levels), shown(nearest, self.train.levels))


def measure(drawing: Drawing, held_out: ImageSet, space: Space = PIXELS, track: Track = quietly) -> Memorised:
    """Draw samples, and look for each of them, and for each held-out image, among the training images.

    Args:
        drawing: the samples, of the model on the chain that they are drawn on.
        held_out: images of the same kind that it was not trained on, each of which counts once; where samples have classes, some of
            the same classes are taken.
        space: what distances are of.
        track: shows the progress.

    Raises:
        NotFound: the training images are no longer where they were, or it is not known which they are.
        DataError: they are of another kind, or can no longer be read.
        Mismatch: they are others now; or the model draws classes, and the held-out images have none, or others.
        UsageError: too few held-out images (of a class too), or training images; or the former are among the latter, or all alike.
    """
    trained, given = drawing.model, len(held_out)
    held_out = held_out.take(distinct(held_out))
    once = {"held_out_given": given, "held_out_repeated": given - len(held_out)}
    shown = torch.tensor(drawing.condition.of(drawing.plan.rows))
    if len(shown):
        held_out = held_out.take(_alike(trained, held_out, shown, drawing.plan.seed))
    rate_for(len(held_out))
    train = same_images(trained, NEEDED)
    require_training(len(train))
    steps = track(drawing.run(), drawing.plan.batches() * drawing.moves, "sampling")
    drawn = to_levels(drawing.images(steps).tensor, trained.experiment.levels)
    mirrors = MIRRORS.get(trained.experiment.data.augmentation, 1)
    both = torch.cat([space.features(drawn, train.levels).float(), featured(held_out, space.features)])
    looked = search(both, train, space.features, mirrors=mirrors)
    *_, nearest = track(looked, blocks(train, both.shape[1]), "looking through the training images")
    here = slice(0, len(drawn)), slice(len(drawn), None)
    found = judged(nearest.take(here[0]), nearest.take(here[1]), len(train), mirrors)
    about = _about(found, drawing, train, held_out, space) | once | {"same_classes": bool(len(shown))}
    return Memorised(found, drawn, train, about)


def _alike(trained: LoadedModel, held_out: ImageSet, shown: Tensor, seed: int) -> Tensor:
    """Rows of the held-out images that show the classes of the samples, each as often beside the others.

    Raises:
        Mismatch: the held-out images have no labels, or others than the model.
        UsageError: as `alike`.
    """
    try:
        labels = trained.experiment.labels(held_out)
    except Mismatch as error:
        raise Mismatch(
            f"samples of classes are judged by held-out images of the same ones: {error}", *error.hints
        ) from error
    assert labels is not None
    return alike(labels, shown, trained.experiment.classes, generator(seed, "held-out images"))


def features_by(extractor: Extractor, device: torch.device, batch_size: int) -> Features:
    """What an extractor makes of images, so many at a time, as `MemorisedOptions.features`."""

    def features(values: Tensor, levels: int) -> Tensor:
        parts = [as_bytes(part, levels).to(device) for part in values.split(batch_size)]
        return torch.cat([extractor.outputs(part).features.float().cpu() for part in parts])

    return features


def space_of(extractor: Extractor, device: torch.device, batch_size: int) -> Space:
    """Distances between what an extractor makes of images."""
    features = features_by(extractor, device, batch_size)
    return Space(features, extractor.name, "length of a difference of features")


def memorised(
    model: TrainedModel | str | Path,
    data: Data | None = None,
    *,
    split: str = "test",
    num_samples: int = SAMPLES,
    num_images: int | None = None,
    features: str | Extractor | None = None,
    **how: Unpack[DrawingOptions],
) -> Memorised:
    """Whether a model's samples are closer to its training images than chance: what `ddpm evaluate --metrics memorised` does.

    Each sample's nearest training image is set against that of held-out images, which cannot be copies: the threshold is the ratio
    of the nearest distance to the mean of the nearest 50 below which one in a hundred of those lies (one in twenty of fewer than 99),
    and the number of samples below it has a known chance, as long as samples without copies are like held-out images. A held-out
    image that is there more than once counts once. Of a model that draws classes only so many held-out images are taken that each
    class is as frequent among them as among the samples.

    Args:
        model: of a run whose training images are still there; or the run's folder, which is loaded.
        data: images that it was not trained on; None: those that the run held out.
        split: of the data, where they have parts.
        num_samples: how many are drawn.
        num_images: the first so many of the data; None takes all.
        features: in which distances are measured: a name as `ddpm.distance` takes it, or an `Extractor`; None for pixels.
        **how: the samples are drawn as by `TrainedModel.sample`: sampler, steps, spacing, variance, exact, seed, label, guidance,
            guidance_interval, first, batch_size (128), progress.

    Raises:
        NotFound: the training images are no longer where they were, or it is not known which they are; or there is no such run.
        DataError: they are of another kind, or can no longer be read.
        Mismatch: they are others now; or the model draws classes, and the held-out images have none, or others.
        UsageError: too few held-out images (of a class too), or training images; or the former are among the latter, or all alike;
            what is no model; no such features; or as `TrainedModel.sample`.

    Example:
        >>> import ddpm
        >>> found = ddpm.memorised("runs/demo", num_samples=4, sampler="ddim", steps=5, progress=False)
        >>> found.closeness.closer, found.about["samples"], found.about["manifest"]["steps"]
        (False, 4, 5)
    """
    loaded, asked = opened(model).loaded, replace(How(**how), batch_size=how.get("batch_size", BATCH))
    held_out = given_images(loaded, source_of(loaded, NEEDED) if data is None else data, split)
    if num_images is not None:
        held_out = held_out.take(torch.arange(min(check_whole("num_images", num_images, 1), len(held_out))))
    drawing = samples_of(loaded, check_whole("num_samples", num_samples, 1), asked)
    space = PIXELS
    if features is not None:
        extractor = extractor_of(features, loaded.experiment.shape[0]).to(loaded.device)
        space = space_of(extractor, loaded.device, asked.batch_size)
    return measure(drawing, held_out, space, bar(asked.progress))


def _about(found: Closeness, drawing: Drawing, train: ImageSet, held_out: ImageSet, space: Space) -> dict[str, Any]:
    """What `--json` writes."""
    there = found.samples
    return {
        "space": space.name,
        "unit": space.unit,
        "ratio": "distance to the nearest over the mean of those to the k nearest",
        "neighbours": found.neighbours,
        "samples": len(there.rows),
        "held_out": len(found.held_out.rows),
        "training": found.training,
        "mirror_images": found.mirrors == 2,
        "rate": found.rank / (len(found.held_out.rows) + 1),
        "threshold": found.threshold,
        "suspected": found.count,
        "expected": found.expected,
        "share": found.share,
        "interval": list(found.interval),
        "confidence": CONFIDENCE,
        "p_value": found.p_value,
        "closer_than_chance": found.closer,
        "identical": int((there.distance == 0).sum()),
        "median_distance": {"samples": _median(there.distance), "held_out": _median(found.held_out.distance)},
        "median_ratio": {"samples": _median(there.ratio), "held_out": _median(found.held_out.ratio)},
        "manifest": {
            "training_digest": train.digest(),
            "held_out_digest": held_out.digest(),
            **recorded(drawing.model, drawing.plan, drawing.spacing, drawing.begin),
        },
        "per_sample": [
            {
                "distance": distance,
                "ratio": ratio,
                "p_value": p,
                "training_image": row,
                **({"name": train.names[row]} if train.names else {}),
                "mirrored": mirrored,
            }
            for distance, ratio, p, row, mirrored in zip(
                there.distance.tolist(),
                there.ratio.tolist(),
                found.p_values.tolist(),
                there.rows.tolist(),
                there.mirrored.tolist(),
                strict=True,
            )
        ],
    }


def _median(values: Tensor) -> float:
    return float(values.quantile(0.5))
