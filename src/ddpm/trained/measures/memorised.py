"""`ddpm evaluate --metrics memorised`: samples of a model beside the training images nearest to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

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
from ddpm.sampling.images import Plan
from ddpm.seeds import generator
from ddpm.trained.draw import Drawing, samples
from ddpm.trained.evaluate import given_images
from ddpm.trained.labels import OWN, condition_of
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import bar
from ddpm.trained.measures.extractors import extractor_of
from ddpm.trained.model import TrainedModel
from ddpm.trained.provenance import recorded
from ddpm.trained.training_images import same_images

Part = TypeVar("Part")
WORST = 16
"""Pairs in the picture."""
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
class MemorisedOptions:
    """How copies are looked for.

    Args:
        num_samples: how many samples are drawn, on the chain that the model is read on.
        sampler: by what; Algorithm 2 is the paper's.
        seed: of their noise.
        batch_size: images at a time.
        spacing: by which rule the steps of the chain were kept.
        label: of a model with classes: the class of all samples; None for all in turn.
        features: what distances are of.
        space: what they are called.
        unit: of the distances.
    """

    num_samples: int = 200
    sampler: str = "ancestral"
    seed: int = 0
    batch_size: int = 128
    spacing: str = "uniform"
    label: str | None = None
    features: Features = pixels
    space: str = "pixels"
    unit: str = "RMSE on 0..255"


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


def measure(trained: LoadedModel, held_out: ImageSet, options: MemorisedOptions, track: Track = quietly) -> Memorised:
    """Draw samples, and look for each of them, and for each held-out image, among the training images.

    Args:
        trained: the model.
        held_out: images of the same kind that it was not trained on; where samples have classes, some of the same classes are taken.
        options: how.
        track: shows the progress.

    Raises:
        NotFound: the training images are no longer where they were, or it is not known which they are.
        DataError: they are of another kind, or can no longer be read.
        Mismatch: they are others now; or the model draws classes, and the held-out images have none, or others.
        UsageError: too few held-out images (of a class too), or training images; or the former are among the latter.
    """
    drawing, given = _drawing(trained, options), len(held_out)
    shown = torch.tensor(drawing.condition.of(drawing.plan.rows))
    if len(shown):
        held_out = held_out.take(_alike(trained, held_out, shown, options.seed))
    rate_for(len(held_out))
    train = same_images(trained, "copies are looked for among")
    require_training(len(train))
    steps = track(drawing.run(), drawing.plan.batches() * drawing.moves, "sampling")
    drawn = to_levels(drawing.images(steps).tensor, trained.experiment.levels)
    mirrors = MIRRORS.get(trained.experiment.data.augmentation, 1)
    both = torch.cat([options.features(drawn, train.levels).float(), featured(held_out, options.features)])
    looked = search(both, train, options.features, mirrors=mirrors)
    *_, nearest = track(looked, blocks(train, both.shape[1]), "looking through the training images")
    here = slice(0, len(drawn)), slice(len(drawn), None)
    found = judged(nearest.take(here[0]), nearest.take(here[1]), len(train), mirrors)
    by_class = {"held_out_given": given, "same_classes": bool(len(shown))}
    return Memorised(found, drawn, train, _about(found, drawing, train, held_out, options) | by_class)


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


def among(options: MemorisedOptions, extractor: Extractor, device: torch.device) -> MemorisedOptions:
    """The options with distances between what an extractor makes of images."""
    features = features_by(extractor, device, options.batch_size)
    return replace(options, features=features, space=extractor.name, unit="length of a difference of features")


def memorised(
    model: TrainedModel,
    data: Data | None = None,
    *,
    split: str = "test",
    num_samples: int = 200,
    num_images: int | None = None,
    features: str | Extractor | None = None,
    sampler: str = "ancestral",
    label: str | int | None = None,
    seed: int = 0,
    batch_size: int = 128,
    progress: bool = True,
) -> Memorised:
    """Whether a model's samples are closer to its training images than chance: what `ddpm evaluate --metrics memorised` does.

    Each sample's nearest training image is set against that of held-out images, which cannot be copies: the threshold is the ratio
    of the nearest distance to the mean of the nearest 50 below which one in a hundred of those lies (one in twenty of fewer than 99),
    and the number of samples below it has a known chance, as long as samples without copies are like held-out images. Of a model
    that draws classes only so many held-out images are taken that each class is as frequent among them as among the samples.

    Args:
        model: of a run whose training images are still there.
        data: images that it was not trained on; None: those that the run held out.
        split: of the data, where they have parts.
        num_samples: how many are drawn.
        num_images: the first so many of the data; None takes all.
        features: in which distances are measured: a name as `ddpm.distance` takes it, or an `Extractor`; None for pixels.
        sampler: by which samples are drawn.
        label: of a model with classes: the class of all samples; None for all in turn.
        seed: of their noise.
        batch_size: images at a time.
        progress: whether a bar is shown, on a terminal or in a notebook.

    Raises:
        NotFound: the training images are no longer where they were, or it is not known which they are.
        DataError: they are of another kind, or can no longer be read.
        Mismatch: they are others now; or the model draws classes, and the held-out images have none, or others.
        UsageError: too few held-out images (of a class too), or training images; or the former are among the latter; no such sampler
            or features.

    Example:
        >>> import ddpm
        >>> found = ddpm.memorised(ddpm.load(run), num_samples=4, progress=False)
        >>> found.closeness.closer, found.about["samples"]
        (False, 4)
    """
    loaded = model.loaded
    held_out = given_images(loaded, loaded.experiment.data.source if data is None else data, split)
    if num_images is not None:
        held_out = held_out.take(torch.arange(min(check_whole("num_images", num_images, 1), len(held_out))))
    options = MemorisedOptions(
        check_whole("num_samples", num_samples, 1),
        sampler,
        check_whole("seed", seed),
        check_whole("batch_size", batch_size, 1),
        label=None if label is None else str(label),
    )
    if features is not None:
        extractor = extractor_of(features, loaded.experiment.shape[0]).to(loaded.device)
        options = among(options, extractor, loaded.device)
    return measure(loaded, held_out, options, bar(progress))


def _drawing(trained: LoadedModel, options: MemorisedOptions) -> Drawing:
    plan = Plan(options.num_samples, options.sampler, seed=options.seed, batch_size=options.batch_size)
    condition = condition_of(trained.experiment, None if options.label == OWN else options.label)
    return samples(trained, plan, options.spacing, condition)


def _about(
    found: Closeness, drawing: Drawing, train: ImageSet, held_out: ImageSet, options: MemorisedOptions
) -> dict[str, Any]:
    """What `--json` writes."""
    there = found.samples
    return {
        "space": options.space,
        "unit": options.unit,
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
