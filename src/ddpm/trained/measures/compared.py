"""Several models side by side in one call: their bounds, and what they draw. `ddpm compare` shows the same on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from ddpm.checks import check_whole
from ddpm.data.imageset import ImageSet
from ddpm.errors import UsageError
from ddpm.evaluation.images.features.extractor import Extractor
from ddpm.evaluation.images.metrics import metrics_of
from ddpm.evaluation.images.score import Distances
from ddpm.evaluation.paired import Difference, Paired
from ddpm.evaluation.rate import Bound
from ddpm.figures.images import Data, images_of
from ddpm.sampling import Sampler
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan
from ddpm.trained.draw import check_variance, few_steps, on_few
from ddpm.trained.evaluate import ScoringOptions, given_images, require_fitting
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import bar
from ddpm.trained.measures.drawn import METRICS, Alike, Drawn, draw_all
from ddpm.trained.model import TrainedModel
from ddpm.trained.opening import opened


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several models on the same images with the same noise. All are compared with the first.

    Args:
        names: of the models.
        bounds: of the same images, in bits/dim, with the split of each.
        parameters: numbers in each network.
        drawn: what each draws from the same noise, if it was asked for: `.images`, `.distances`, `.seconds` for an image, `.memory`
            in bytes, `.evaluations` of the network; else empty.
    """

    names: tuple[str, ...]
    bounds: tuple[Bound, ...]
    parameters: tuple[int, ...]
    drawn: tuple[Drawn, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        """By how much the bounds of the second model and those after it are above that of the first, image by image."""
        return Paired(self.names, self.bounds).differences

    @property
    def same_noise(self) -> bool:
        """Whether the chains of the bounds have as many steps: where they have not, only the images are the same."""
        return Paired(self.names, self.bounds).same_noise

    @property
    def distances(self) -> tuple[Distances, ...]:
        """Of what each model draws, from all images of the split, each number with its interval; empty if nothing was drawn."""
        return tuple(one.distances for one in self.drawn if one.distances)

    def __repr__(self) -> str:
        lines = []
        for place, (name, bound) in enumerate(zip(self.names, self.bounds, strict=True)):
            scores = self.distances[place].scores if self.drawn else ()
            numbers = [f"{bound.total:.4f} bits/dim", *(f"{score.name} {score.value:.4g}" for score in scores)]
            lines.append(f"{name}: {', '.join(numbers)}")
        return f"Comparison({'; '.join(lines)})"


def compare(
    *models: TrainedModel | str | Path,
    data: Data,
    split: str = "test",
    num_samples: int | None = None,
    sample_steps: int = 50,
    sampler: str | Sampler = "ancestral",
    metrics: str | Sequence[str] | None = None,
    features: str | Extractor | None = None,
    **how: Unpack[ScoringOptions],
) -> Comparison:
    """Several models on the same images with the same noise, and what they draw: what `ddpm compare` does.

    Args:
        *models: two or more: trained models, or run folders and checkpoints, which are loaded. All are compared with the first.
        data: as in `TrainedModel.bits_per_dim`. It is read as the first model's own.
        split: of a source: "test", "train", "validation" or "all".
        num_samples: how many images each model draws from the same noise, to be measured too; None for none.
        sample_steps: of at most how many steps of the chain each.
        sampler: by which, as in `TrainedModel.sample`.
        metrics: of what is drawn, against all images of the split: as in `ddpm.distance`; None for "fid,kid".
        features: as in `ddpm.distance`.
        **how: as in `TrainedModel.bits_per_dim`: num_images, steps, spacing, variance, exact, label, seed, batch_size, progress.

    Raises:
        UsageError: fewer than two models; what is of samples, where none are drawn; or as `TrainedModel.bits_per_dim`,
            `TrainedModel.sample` and `ddpm.distance`.
        Mismatch: the models are of other images, or not of the same.
        NotFound, DataError: a run or the data cannot be read.

    Example:
        >>> import ddpm
        >>> pair = "runs/demo", ddpm.load("runs/demo", "raw")
        >>> found = ddpm.compare(*pair, data="digits", num_images=4, num_samples=8, sample_steps=2, metrics="fid", progress=False)
        >>> (only,) = found.differences
        >>> len(found.bounds), len(only.per_image), bool(only.stderr >= 0)
        (2, 4, True)
        >>> found.parameters[0] == found.parameters[1], found.distances[1]["fid"].value > 0, found.drawn[1].images
        (True, True, Images(8 of 1x8x8, 17 levels))
    """
    if len(models) < 2:
        raise UsageError(f"a comparison needs two models, not {len(models)}")
    all_opened = [opened(model) for model in models]
    images = given_images(all_opened[0].loaded, data, split)
    for model in all_opened:
        require_fitting(model.loaded, images, model.loaded.name)
    names = [model.loaded.name if isinstance(model, TrainedModel) else str(model) for model in models]
    if num_samples is None:
        _nothing_is_drawn(sampler, metrics, features)
        drawing = None
    else:
        named = (str(data), split) if isinstance(data, str | Path) else ("images", None)
        plan = Plan(check_whole("num_samples", num_samples, 1), sampler)
        drawing = _alike(plan, sample_steps, metrics or METRICS, features, images, named, how)
    given = images_of(images)
    bounds = [model.bits_per_dim(given, **how) for model in all_opened]
    progress = how.get("progress", True)

    def read(model: LoadedModel, few: FewSteps, label: str) -> LoadedModel:
        return on_few(model, few, label, None, progress)

    each = [(name, model.loaded) for name, model in zip(names, all_opened, strict=True)]
    drawn = draw_all(each, drawing, read, bar(progress)) if drawing else []
    parameters = tuple(model.experiment.size()[1] for model in all_opened)
    return Comparison(tuple(names), tuple(bounds), parameters, tuple(drawn))


def _alike(
    plan: Plan,
    steps: int,
    metrics: str | Sequence[str],
    features: str | Extractor | None,
    reference: ImageSet,
    named: tuple[str, str | None],
    how: ScoringOptions,
) -> Alike:
    """What all draw, refused before anything is measured where it cannot be."""
    seed, batch_size = check_whole("seed", how.get("seed", 0)), check_whole("batch_size", how.get("batch_size", 128), 1)
    few = few_steps(check_whole("sample_steps", steps, 1), how.get("spacing", "uniform"), how.get("variance"))
    plan = replace(plan, seed=seed, batch_size=batch_size)
    check_variance(plan.build(), few.variance)
    names = metrics_of(metrics if isinstance(metrics, str) else ",".join(metrics))
    return Alike(plan, replace(few, exact=how.get("exact", False)), names, features, reference, *named)


def _nothing_is_drawn(sampler: object, metrics: object, features: object) -> None:
    """Refuse what is of samples alone.

    Raises:
        UsageError: something is given.
    """
    asked = {"sampler": None if sampler == "ancestral" else sampler, "metrics": metrics, "features": features}
    for name, value in asked.items():
        if value is not None:
            raise UsageError(
                f"{name} is of what the models draw, and they draw nothing: {value}",
                "num_samples=1000 draws 1000 images",
            )
