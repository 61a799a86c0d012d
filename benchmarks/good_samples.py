"""Samples a second at the quality of the whole chain: the Frechet distance of digits by few steps beside all 1000 ancestral ones.

`python -m benchmarks.good_samples DATA [RUN] [--images 1000] [--seeds 2]`: RUN is `ddpm:mnist` where none is named; DATA holds
`features/` and `mnist/`, as for `benchmarks.frechet`. One thread, in the precision that `ddpm sample` chooses; samples a second
are of the chain's processor time, its noise included. A distance is a mean over seeds, each of other images, with its standard error.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.frechet import CPU, Contest, Drawn
from benchmarks.machine import save
from ddpm.models.precision import choose, in_precision
from ddpm.seeds import NoiseForEach
from ddpm.trained.loaded import load_run

WHOLE = ("ancestral", "uniform", 1000)
SHORT = [("dpm-solver-sde", "trailing", K) for K in (10, 20, 25, 50)] + [
    ("ddim", "uniform", 50),
    ("ancestral", "uniform", 50),
]


class Timed:
    """A way to draw, and the processor's seconds that it took."""

    def __init__(self, draw: Drawn) -> None:
        self._draw, self.seconds = draw, 0.0

    def __call__(self, x_T: Tensor, noise: NoiseForEach) -> Tensor:
        """Draw."""
        began = time.process_time()
        found = self._draw(x_T, noise)
        self.seconds += time.process_time() - began
        return found


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("run", nargs="?", default="ddpm:mnist")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2, help="two at least")
    options = parser.parse_args()
    torch.set_num_threads(1)
    p = load_run(options.run, "ema", CPU).process
    precision = choose("auto", CPU)
    p = replace(p, network=in_precision(p.network, precision, CPU))
    found = {}
    with TemporaryDirectory() as folder:
        for name, spacing, steps in [*SHORT, WHOLE]:
            distances, spent = [], 0.0
            for seed in range(options.seeds):
                contest = Contest(p, options.data, options.images, seed, Path(folder) / "curve.json")
                draw = Timed(contest.ours(name, spacing, {}, steps))
                distances.append(contest.distance(draw)[0])
                spent += draw.seconds
            found[f"{name}, {spacing}, {steps} steps"] = {
                "frechet": round(statistics.mean(distances), 2),
                "stderr": round(statistics.stdev(distances) / len(distances) ** 0.5, 2),
                "samples_per_second": round(options.images * options.seeds / spent, 2),
            }
            print(name, spacing, steps, json.dumps(found[f"{name}, {spacing}, {steps} steps"]), flush=True)
    result = {"run": options.run, "images": options.images, "seeds": options.seeds, "precision": precision}
    print(save("good_samples", result | {"chains": found}))


if __name__ == "__main__":
    main()
