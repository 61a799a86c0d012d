"""`ddpm evaluate`: the bound of a trained model over a data set."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from ddpm.commands.run import Trained
from ddpm.data.imageset import ImageSet
from ddpm.data.sources import open_source
from ddpm.diffusion.variance import Fixed
from ddpm.errors import Mismatch, UsageError
from ddpm.evaluation.cheap import Estimate
from ddpm.evaluation.rate import Bound, Measured, measure

METRICS = ("bpd", "rate-distortion")


def chosen_metrics(names: str) -> list[str]:
    """The metrics of a comma-separated list.

    Raises:
        UsageError: an unknown one.
    """
    metrics = [name.strip() for name in names.split(",")]
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"unknown metric: {name!r}", f"choose from {', '.join(METRICS)}")
    return metrics


def images_to_evaluate(trained: Trained, source: str, split: str, num: int) -> ImageSet:
    """The first `num` images of a split (0: all), read as the run read its own data.

    Raises:
        Mismatch: the model is for other images.
    """
    images = open_source(source, split, trained.experiment.data.options())
    data = trained.experiment.data
    if images.shape != data.shape or images.levels != data.levels:
        raise Mismatch(
            f"the model is for {data.shape} images of {data.levels} levels, not {images.shape} of {images.levels}: {source}"
        )
    return images.take(torch.arange(min(num or len(images), len(images))))


def evaluate(trained: Trained, images: ImageSet, seed: int, batch_size: int) -> Iterator[Measured]:
    """Every term of every image."""
    return measure(trained.process, images, seed, batch_size, trained.device)


def result(trained: Trained, bound: Bound, metrics: list[str]) -> dict[str, Any]:
    """What `--json` writes."""
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
    return values | {"images": bound.images, "dims": bound.dims, **reading(trained)}


def reading(trained: Trained) -> dict[str, Any]:
    """The choices that every figure depends on."""
    p = trained.process
    return {
        "T": p.schedule.T,
        "weights": trained.weights,
        "step": trained.step,
        "levels": trained.experiment.data.levels,
        "limit": trained.experiment.process.limit,
        "variance": trained.experiment.process.variance,
        "decoder_variance": decoder_variance(trained),
        "sigma_1": math.sqrt(float(p.variance.table(p.schedule)[1])) if isinstance(p.variance, Fixed) else None,
    }


def cheap_result(trained: Trained, found: Estimate) -> dict[str, Any]:
    """What `--json` writes of an estimate; never under the name of the exact total."""
    return {
        "bits_per_dim_estimate": {
            "total": found.total,
            "stderr": found.stderr if found.images > 1 else None,
            "monte_carlo": found.monte_carlo,
            "evaluations": found.evaluations,
        },
        "images": found.images,
        "dims": found.dims,
        **reading(trained),
    }


def decoder_variance(trained: Trained) -> str:
    """The rule for sigma_1^2 in words (E44)."""
    process = trained.experiment.process
    return f"learned, from {process.sigma_1} to beta-1" if process.variance == "learned" else process.sigma_1
