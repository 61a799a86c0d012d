"""Why the preset "digits" is what it is: other choices, each trained for the same time, the exact bound on 300 digits.

`python -m benchmarks.digits [SECONDS]`; each variant takes the preset and changes what its name says.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import save
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.evaluation.rate import measure, summarise
from ddpm.experiment.config import Experiment
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.run.folder import RunFolder
from ddpm.run.plan import fitted_to
from ddpm.run.start import Continue
from ddpm.run.train import train_run
from ddpm.trained.loaded import LoadedModel, load_run

CPU = torch.device("cpu")
FIXED = {"process.variance": "fixed-small", "process.sigma_1": "beta-1", "objective": "simple"}
VARIANTS: dict[str, dict[str, Any]] = {
    "the preset": {},
    "the published linear schedule, T = 1000, fixed-small": {
        "schedule": {"name": "linear", "T": 1000, "options": {}},
        **FIXED,
    },
    "fixed-small, sigma_1^2 = beta_1, L_simple": FIXED,
    "first noise 1/24 instead of 1/16": {"schedule.options.noise_1": 1 / 24},
    "T = 1000": {"schedule.T": 1000},
    "v instead of epsilon": {"process.prediction": "v"},
    "twice as wide, one block": {"model.channels": 64, "model.blocks": 1},
    "learning rate 1e-3": {"training.lr": 1e-3},
}


QUIET = {"rhythm.evaluate": 0, "rhythm.sample": 0, "rhythm.save": 0}


def trained(experiment: Experiment, folder: Path) -> LoadedModel:
    """Its moving average after training."""
    for _ in train_run(experiment, RunFolder(folder), CPU, Continue(), lambda: False):
        pass
    return load_run(str(folder), "ema", CPU)


def measured(model: LoadedModel, images: ImageSet) -> dict[str, Any]:
    """Its exact bound on some digits."""
    p = model.process
    bound = summarise(measure(p, images, 0, 300, CPU), p.schedule, len(images), 64)
    return {
        "bits_per_dim": round(bound.total, 4),
        "stderr": round(bound.stderr, 4),
        "L_0": round(float(bound.by_t[1]), 4),
        "T": bound.T,
        "steps": model.experiment.training.steps,
        "parameters": sum(q.numel() for q in model.experiment.network().parameters()),
    }


def main() -> None:
    """All variants, one after the other."""
    seconds, held_out = float((sys.argv[1:] or ["90"])[0]), open_source("digits", "test")
    torch.set_num_threads(2)
    result: dict[str, Any] = {"seconds": seconds, "variants": {}}
    for name, settings in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            experiment = fitted_to(changed(digits(), {**settings, **QUIET}), seconds, CPU)
            result["variants"][name] = measured(trained(experiment, Path(folder)), held_out)
        print(name, json.dumps(result["variants"][name]), flush=True)
    print(save("digits", result))


if __name__ == "__main__":
    main()
