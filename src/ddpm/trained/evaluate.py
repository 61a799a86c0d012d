"""`ddpm evaluate`: the bound of a trained model over a data set."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from torch import Tensor

from ddpm.data.decoding.formats import SUFFIXES
from ddpm.data.describe import left_out
from ddpm.data.imageset import ImageSet, to_levels, to_model
from ddpm.data.inputs import read_photo
from ddpm.data.labels import Labels
from ddpm.data.open import Part, open_source
from ddpm.data.splits import Options, SizesDiffer, converted
from ddpm.diffusion.variance import Fixed, Optimal
from ddpm.errors import Mismatch, chosen
from ddpm.evaluation.cheap import Estimate
from ddpm.evaluation.images.metrics import METRICS as IMAGE_METRICS
from ddpm.evaluation.images.metrics import listed
from ddpm.evaluation.likelihood import Likelihood
from ddpm.evaluation.paired import Difference
from ddpm.evaluation.rate import Bound, Measured, measure
from ddpm.experiment.config import Experiment
from ddpm.figures.images import Data, image_set, tell
from ddpm.parallel.world import ALONE, World
from ddpm.sampling.few_steps import OPTIMAL
from ddpm.trained.likelihoods import LIKELIHOODS
from ddpm.trained.loaded import LoadedModel

METRICS = ("bpd", "rate-distortion")
"""Those of the bound; `ddpm.trained.likelihoods` has other likelihoods, `ddpm.evaluation.images.metrics` those of samples."""
MEMORISED = "memorised"
"""Of samples too: `ddpm.trained.measures.memorised`."""


def chosen_metrics(names: str) -> list[str]:
    """The metrics of a comma-separated list.

    Raises:
        UsageError: an unknown one.
    """
    metrics = listed(names)
    known = dict.fromkeys((*METRICS, *LIKELIHOODS, *IMAGE_METRICS, MEMORISED))
    for name in metrics:
        chosen(known, name, "metric")
    return metrics


class ScoringOptions(TypedDict, total=False):
    """What `TrainedModel.bits_per_dim` takes besides images, where several models are scored alike."""

    num_images: int | None
    steps: int | None
    spacing: str
    variance: str | None
    exact: bool
    label: str | int | None
    seed: int
    batch_size: int
    progress: bool


def images_to_evaluate(
    trained: LoadedModel,
    source: str,
    split: str,
    tell: Callable[[str], None] = lambda _line: None,
    heard: Callable[[Part], None] = lambda _part: None,
) -> ImageSet:
    """The images of a split, or of one picture file, read as the run read its own data (`as_the_run_reads`).

    Args:
        trained: the model.
        source: of the images.
        split: of the source; a picture file has none.
        tell: is told how they were read where that is not as the run's own, and which files cannot be read.
        heard: is told what the split was taken to be, once or twice; of a picture file nothing.

    Raises:
        Mismatch: the model is for other images.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return as_the_run_reads(trained, lambda options: _one(path, options), source, tell)

    def read(options: Options) -> ImageSet:
        return open_source(source, split, options, heard)

    images = as_the_run_reads(trained, read, source, tell, pictures=False)
    if images.broken:
        tell(left_out(images.broken))
    return images


def can_be_read(source: str, split: str, experiment: Experiment) -> None:
    """Whether there are images, before there is a model; whether they fit it is seen later.

    Raises:
        NotFound, DataError: there are none, or they cannot be read.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() in SUFFIXES and path.is_file():
        read_photo(path)
        return
    with suppress(SizesDiffer):  # they are scaled
        open_source(source, split, experiment.data.options())


def given_images(trained: LoadedModel, data: Data, split: str) -> ImageSet:
    """What a caller gave as images, read as the run read its own; warns of how, where that is otherwise.

    Raises:
        Mismatch: the model is for other images.
    """
    if isinstance(data, str | Path):
        return images_to_evaluate(trained, str(data), split, tell)
    levels = trained.experiment.levels
    if isinstance(data, np.ndarray | Tensor):
        options = replace(trained.experiment.data.options(), layout=None)  # said of the run's own files
        images = image_set(data, split, options, levels)
        require_fitting(trained, images, images.name)
        return images
    return as_the_run_reads(trained, lambda options: image_set(data, split, options, levels), "images", tell)


def _one(path: Path, options: Options) -> ImageSet:
    """The picture in a file."""
    photo = read_photo(path)
    if photo.exact is not None:
        values = to_levels(to_model(photo.exact[None], photo.levels), photo.levels)
        return converted(ImageSet(path.name, values, photo.levels, names=(path.name,)), options)
    channels = options.channels or (1 if photo.picture.mode == "L" else 3)
    height, width = options.resolution or photo.size[::-1]
    values = to_levels(photo.seen((channels, height, width), 256)).contiguous()
    return ImageSet(path.name, values, 256, names=(path.name,))


def as_the_run_reads(
    trained: LoadedModel,
    read: Callable[[Options], ImageSet],
    name: str,
    tell: Callable[[str], None],
    *,
    pictures: bool = True,
) -> ImageSet:
    """Images as the model sees them: pictures of another size or of other colours are scaled, cut and converted.

    Args:
        trained: the model.
        read: reads them, as options say.
        name: of them, for messages.
        tell: is told what was done, where they are not as the run's own data were before they were read.
        pictures: whether they are pictures; else the images tell it, as only picture files have names.

    Raises:
        Mismatch: they have other levels, or colours that cannot be converted.
    """
    data = trained.experiment.data
    own = data.options()
    channels, height, width = trained.experiment.shape
    try:
        images = read(own)
        found = "x".join(map(str, images.shape))
    except SizesDiffer:
        images, found = None, "of several sizes"
    if images is None or (
        (pictures or images.names)  # arrays of another shape are other data
        and images.shape != trained.experiment.shape
        and images.levels == trained.experiment.levels <= 256
    ):
        wanted = replace(
            own,
            resolution=own.resolution or (height, width),
            channels=own.channels or (channels if channels in (1, 3) else None),
        )
        if images is None or wanted != own:
            images = read(wanted)
            size = f"{channels}x{height}x{width}"
            tell(
                f"the images are {found}, not {size} (channels, height, width): read as the run's own, scaled and cut to {size}"
            )
    require_fitting(trained, images, name)
    return images


def require_fitting(trained: LoadedModel, images: ImageSet, name: str) -> None:
    """The images are such as the model was trained on; `name` says which they are.

    Raises:
        Mismatch: they differ in channels, size or levels.
    """
    data = trained.experiment.data
    if images.shape != data.shape or images.levels != data.levels:
        other = trained.called is not None and images.shape == data.shape
        raise Mismatch(
            f"the model is for {data.shape} images of {data.levels} levels, not {images.shape} of {images.levels}: {name}",
            f"p with decoder=ddpm.discretised({images.levels}) scores them" if other else "",
        )


def evaluate(
    trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None, world: World = ALONE
) -> Iterator[Measured]:
    """Every term of every image, given its label where there are any; some of the batches in each process."""
    return measure(trained.process, images, seed, batch_size, trained.device, labels, world)


def result(bound: Bound, metrics: list[str]) -> dict[str, Any]:
    """What `--json` writes of the bound."""
    values: dict[str, Any] = {}
    if "bpd" in metrics:
        values["bits_per_dim"] = {
            "total": bound.total,
            "stderr": bound.stderr if bound.images > 1 else None,
            "L_T": float(bound.by_t[0]),
            "L_0": float(bound.by_t[1]),
            "L_t": bound.by_t[2:].tolist(),
            "mse_eps": bound.mse_eps[1:].tolist(),
        }
    if "rate-distortion" in metrics:
        values["rate_distortion"] = [
            {"t": t, "rate_bits_per_dim": rate, "distortion_rmse_0_255": rmse}
            for t, rate, rmse in bound.rate_distortion()
        ]
    return values


def about(trained: LoadedModel, images: int, label: str | None = None) -> dict[str, Any]:
    """What `--json` says of model and data, whatever was measured; `label` is what the model was told of the images."""
    p = trained.process
    return {
        "images": images,
        "dims": math.prod(trained.experiment.shape),
        "T": p.schedule.T,
        "steps": p.schedule.kept[1:].tolist(),
        "weights": trained.weights,
        "step": trained.step,
        "label": label,
        "levels": trained.experiment.levels,
        "limit": trained.experiment.process.limit,
        "precision": trained.precision,
        "variance": variance_of(trained),
        "decoder_variance": decoder_variance(trained),
        "sigma_1": math.sqrt(float(p.variance.table(p.schedule)[1])) if isinstance(p.variance, Fixed) else None,
    }


def row(
    name: str, trained: LoadedModel, method: str, found: Likelihood, bound: Bound | None, than: Difference | None = None
) -> dict[str, Any]:
    """What `--csv` writes of one run and method: what of `bound` is not known, or of the difference to the first run, is empty.

    `bound` is the bound of the run; of other methods its parts are no part.
    """
    parts = bound if bound is not None and found.per_image is bound.per_image else None
    several = len(found.per_image) > 1
    return {
        "run": name,
        "method": method,
        "step": trained.step,
        "weights": trained.weights,
        "parameters": trained.experiment.size()[1],
        "T": trained.process.schedule.T,
        "images": len(found.per_image),
        "bits_per_dim": found.total,
        "stderr": found.stderr if several else None,
        "L_T": parts.L_T if parts else None,
        "L_0": parts.L_0 if parts else None,
        "evaluations_per_image": found.evaluations,
        "difference": than.mean if than else None,
        "difference_stderr": than.stderr if than and several else None,
    }


def variance_of(trained: LoadedModel) -> str:
    """The variance of p_theta in words: the experiment's, unless the best one was asked for."""
    return OPTIMAL if isinstance(trained.process.variance, Optimal) else trained.experiment.process.variance


def cheap_result(found: Estimate) -> dict[str, Any]:
    """What `--json` writes of an estimate; never under the name of the exact total."""
    return {
        "bits_per_dim_estimate": {
            "total": found.total,
            "stderr": found.stderr if found.images > 1 else None,
            "monte_carlo": found.monte_carlo,
            "evaluations": found.evaluations,
        }
    }


def decoder_variance(trained: LoadedModel) -> str:
    """The rule for sigma_1^2 in words (E44)."""
    process = trained.experiment.process
    if variance_of(trained) == OPTIMAL:
        return OPTIMAL
    return f"learned, from {process.sigma_1} to beta-1" if process.variance == "learned" else process.sigma_1
