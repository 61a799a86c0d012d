"""Bits/dim of the K-step model: the best steps and variances against evenly spaced ones with the paper's variances.

`python -m benchmarks.short_chains DATA [RUN] [--images 32]`. DATA holds `mnist/` and `checkpoints/pulfer-mnist`; without RUN
the network is the one that others trained. The curve is measured on 64 training images, the bounds on the first test
images: every t where K <= 100, by the unbiased estimate of `evaluation.cheap` where K is larger.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.foreign import subject
from benchmarks.machine import RESULTS, save
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Variance
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.evaluation.curve import curve, errors
from ddpm.evaluation.rate import measure, summarise
from ddpm.sampling.optimal import best_steps
from ddpm.sampling.timesteps import uniform

CPU = torch.device("cpu")
STEPS = (10, 25, 50, 100, 1000)
EXACT, DRAWS = 100, 48


def bits(p: ReverseProcess, images: ImageSet) -> tuple[float, float]:
    """Bits/dim, and its standard error over images."""
    if p.schedule.T > EXACT:
        found = estimate(bound_of(p), images, 0, DRAWS, 32, CPU)
        return found.total, found.stderr
    bound = summarise(measure(p, images, 0, 32, CPU), p.schedule, len(images), 784)
    return bound.total, bound.stderr


def with_fixed(p: ReverseProcess, variance: Variance) -> ReverseProcess:
    """Another variance; what a network says of its own is left alone."""
    return replace(p, variance=variance, network=lambda x, t: p.network(x, t)[:, : x.shape[1]])


def main() -> None:
    """All chains."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--images", type=int, default=32)
    options = parser.parse_args()
    suffix, p = subject(options.data, options.run)
    name = f"short_chains{suffix}"
    train, test = (open_source(str(options.data / "mnist"), split) for split in ("train", "test"))
    found = curve(errors(p, train.take(torch.arange(64)), 0, 64, CPU), p.schedule)
    test = test.take(torch.arange(options.images))
    best = with_fixed(p, found.variance())
    readings = {
        "even steps, fixed large": (with_fixed(p, FixedLarge()), False),
        "even steps, fixed small": (with_fixed(p, FixedSmall()), False),
        "even steps, best variance": (best, False),
        "best steps, best variance": (best, True),
    }
    if p.variance.outputs:
        readings["even steps, learned variance"] = (p, False)
        readings["best steps, learned variance"] = (p, True)
    table: dict[str, dict[str, list[float]]] = {}
    for K in STEPS:
        row = table.setdefault(str(K), {})
        for text, (reading, chosen) in readings.items():
            if chosen and p.schedule.T == K:
                continue
            kept = best_steps(p.schedule, found, K)[0] if chosen else uniform(p.schedule, K)
            total, error = bits(reading.respace(kept) if p.schedule.T > K else reading, test)
            row[text] = [round(total, 4), round(error, 4)]
            print(f"{K:>5} {text:32} {total:8.4f} ± {error:.4f}", flush=True)
            result = {"images": options.images, "T": p.schedule.T, "bits_per_dim_and_error": table}
            save(name, result)
    print(json.dumps(table), RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
