"""How many evaluations of the network the cheap estimate of the bound saves, against one fresh t per image, uniform.

`python -m benchmarks.cheap_bound [RUN DATA [IMAGES]]`: two models of the digits, trained for 200 steps each, or a run of
one's own. All errors are of the same target, the bound of the same images. The plain estimator (uniform t, weight T) and
equal strata (t = 1 always, the rest in equal parts) are drawn 2,000 times from a table of every t of every image; the
cheap estimate is repeated with fresh evaluations, and its pilot is counted. `variance` is per evaluation.
"""

import json
import math
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.digits import QUIET, trained
from benchmarks.machine import save
from ddpm.checkpoints import found
from ddpm.data.imageset import ImageSet
from ddpm.evaluation.cheap import Estimate, Target, bound_of, difference_of, estimate
from ddpm.evaluation.rate import measure
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.run.folder import RunFolder
from ddpm.trained.evaluate import images_to_evaluate
from ddpm.trained.loaded import LoadedModel, load_run

CPU, STEPS, SEEDS, IMAGES, BATCH = torch.device("cpu"), 200, 40, 30, 512
MODELS: dict[str, dict[str, Any]] = {
    "log-snr, T = 250, learned variance": {},
    "linear, T = 1000, fixed-small": {
        "schedule": {"name": "linear", "T": 1000, "options": {}},
        "process.variance": "fixed-small",
        "objective": "simple",
    },
}


def table(model: LoadedModel, images: ImageSet) -> Tensor:
    """L_{t-1} of every image at t = 1..T, each with noise of its own: (images, T) bits/dim."""
    bits = torch.zeros(len(images), model.process.schedule.T + 2, dtype=torch.float64)
    for term in measure(model.process, images, 0, BATCH, CPU):
        bits[term.rows, term.t] = term.nats / (math.prod(images.shape) * math.log(2))
    return bits


def variance_of_strata(bits: Tensor, edges: list[int], repeats: int = 2000) -> float:
    """Times evaluations: of the mean over images, where each draws one t in each part low < t <= high of the table."""
    random, total = torch.Generator().manual_seed(0), torch.zeros(repeats, dtype=torch.float64)
    for low, high in pairwise(edges):
        t = torch.randint(low, high, (repeats, len(bits)), generator=random)
        total += (high - low) * bits[torch.arange(len(bits)), t].mean(1)
    return float(total.var()) * len(bits) * (len(edges) - 1)


def scatter(estimates: list[Estimate]) -> dict[str, Any]:
    """What the estimates say of themselves, against how they scatter."""
    totals = torch.tensor([e.total for e in estimates], dtype=torch.float64)
    reported = torch.tensor([e.monte_carlo for e in estimates], dtype=torch.float64)
    off, spent = totals - totals.mean(), estimates[0].evaluations
    return {
        "mean": float(totals.mean()),
        "standard_deviation": float(totals.std()),
        "reported_root_mean_square": float((reported**2).mean().sqrt()),
        "within_2_reported": float((off.abs() < 2 * reported).double().mean()),
        "stderr_over_images": estimates[0].stderr,
        "evaluations_per_image": spent / estimates[0].images,
        "variance": float(totals.var()) * spent,
        "repeats": len(estimates),
    }


def repeated(target: Target, images: ImageSet, evaluations: int, pairing: str = "fresh") -> dict[str, Any]:
    """The cheap estimate with `SEEDS` seeds."""
    return scatter([estimate(target, images, seed, evaluations, BATCH, CPU, pairing) for seed in range(1, SEEDS + 1)])


def compared(model: LoadedModel, earlier: LoadedModel | None, images: ImageSet) -> dict[str, Any]:
    """All estimators on one model."""
    bits, T = table(model, images), model.process.schedule.T
    terms, prior = bits[:, 1:-1], bits[:, -1]
    exact = float((terms.sum(1) + prior).mean())
    by_formula = float((T * (terms**2).sum(1) - terms.sum(1) ** 2).mean())
    result: dict[str, Any] = {
        "images": len(images),
        "every_t_once": exact,
        "standard_deviation_between_images": float((terms.sum(1) + prior).std()),
        "plain": {"variance": variance_of_strata(terms, [0, T]), "variance_by_formula": by_formula},
        "equal strata, 8": {
            "variance": variance_of_strata(terms, [0, 1, *(1 + (T - 1) * i // 7 for i in range(1, 8))])
        },
    }
    for evaluations, pairing in ((4, "fresh"), (8, "fresh"), (8, "antithetic")):
        name = f"cheap, {evaluations}, {pairing}"
        result[name] = repeated(bound_of(model.process), images, evaluations, pairing)
        result[name]["plain evaluations for one"] = result["plain"]["variance"] / result[name]["variance"]
        print(name, json.dumps(result[name]), flush=True)
    if earlier is not None:
        both = repeated(difference_of(earlier.process, model.process), images, 4)
        alone = repeated(bound_of(earlier.process), images, 4)["variance"] + result["cheap, 4, fresh"]["variance"]
        both["evaluations saved by common noise"] = 2 * alone / both["variance"]
        result[f"difference of steps {earlier.step} and {model.step}, 4"] = both
        print("difference", json.dumps(both), flush=True)
    return result


def before(model: LoadedModel, run: str) -> LoadedModel | None:
    """The checkpoint before the last one, if there is one."""
    folders = found(RunFolder(Path(run)).checkpoints)
    return load_run(str(folders[-2]), model.weights, CPU) if len(folders) > 1 else None


def main() -> None:
    """The models of the digits, or a run."""
    torch.set_num_threads(1)
    if sys.argv[1:]:
        run, data, *count = sys.argv[1:]
        model = load_run(run, "ema", CPU)
        images = images_to_evaluate(model, data, "test", int((count or [IMAGES])[0]))
        print(save(f"cheap_bound_{Path(run).name}", {run: compared(model, before(model, run), images)}))
        return
    result: dict[str, Any] = {}
    for name, settings in MODELS.items():
        experiment = changed(digits(), {**settings, **QUIET, "training.steps": STEPS, "rhythm.save": 20})
        with tempfile.TemporaryDirectory() as folder:
            model = trained(replace(experiment, precision="fp32"), Path(folder))
            images = images_to_evaluate(model, "digits", "test", IMAGES)
            print(name, flush=True)
            result[name] = compared(model, before(model, folder), images)
    print(save("cheap_bound", result))


if __name__ == "__main__":
    main()
