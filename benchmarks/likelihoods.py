"""Three likelihoods of one model on the same held-out digits: the bound, K weighted chains, and the probability flow.

`python -m benchmarks.likelihoods [RUN [IMAGES]]`; without RUN, the preset "digits" is trained for 300 steps first.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.digits import QUIET, trained
from benchmarks.machine import save
from ddpm.evaluation.likelihood import Likelihood
from ddpm.evaluation.rate import measure, summarise
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.trained.evaluate import images_to_evaluate
from ddpm.trained.likelihoods import LikelihoodOptions, of_bound
from ddpm.trained.loaded import LoadedModel, load_run

CPU, STEPS, IMAGES, TOLERANCE = torch.device("cpu"), 300, 8, 1e-3
WAYS: list[tuple[str, LikelihoodOptions]] = [
    ("importance-weighted", LikelihoodOptions(draws=1)),
    ("importance-weighted", LikelihoodOptions(draws=8)),
    ("flow", LikelihoodOptions(trace="hutchinson", probes=1, tolerance=TOLERANCE)),
    ("flow", LikelihoodOptions(trace="exact", tolerance=TOLERANCE)),
]


def model() -> LoadedModel:
    """Of the run that was named, or a new one."""
    if sys.argv[1:]:
        return load_run(sys.argv[1], "ema", CPU)
    with tempfile.TemporaryDirectory() as folder:
        return trained(changed(digits(), {**QUIET, "training.steps": STEPS}), Path(folder))


def row(found: Likelihood, seconds: float) -> dict[str, Any]:
    """One line of the table."""
    return {
        "bits_per_dim": round(found.total, 4),
        "stderr": round(found.stderr, 4),
        "evaluations_per_image": round(found.evaluations, 1),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """All of them, one after the other."""
    torch.set_num_threads(1)
    opened = model()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else IMAGES
    images, p = images_to_evaluate(opened, "digits", "test", count), opened.process
    began = time.monotonic()
    found = {"bound": of_bound(summarise(measure(p, images, 0, count, CPU), p.schedule, count, 64))}
    table = {"bound": row(found["bound"], time.monotonic() - began)}
    print(json.dumps(table), flush=True)
    for name, ways in WAYS:
        began, words = time.monotonic(), ways.words(name)
        found[words] = ways.added(name, ways.parts(name, opened, images), images)
        table[words] = row(found[words], time.monotonic() - began)
        print(words, json.dumps(table[words]), flush=True)
    last = found[WAYS[-1][1].words("flow")].per_image
    paired = {words: (one.per_image - last) for words, one in found.items()}
    print(
        save(
            "likelihoods",
            {
                "steps": opened.step,
                "images": count,
                "T": p.schedule.T,
                "tolerance": TOLERANCE,
                "methods": table,
                "above_the_flow_with_exact_trace": {
                    words: [round(float(d.mean()), 4), round(float(d.std()) / count**0.5, 4)]
                    for words, d in paired.items()
                },
            },
        )
    )


if __name__ == "__main__":
    main()
