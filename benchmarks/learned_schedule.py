"""What learning the schedule gains: against linear, cosine and log-SNR, on a mixture exactly and on the digits by training.

`python -m benchmarks.learned_schedule [STEPS]`. Mixture: three components on a line, the best network and the best
variance for each schedule, L - H(x_0) by quadrature, the learned schedule by Adam on that very number. Digits: the preset
trained by the bound for the same number of steps with each schedule, and once more with the learned table, fixed.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.digits import QUIET, measured, trained
from benchmarks.machine import save
from ddpm.diffusion.schedule import cosine, linear, log_snr
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.laboratory.schedules import above_entropy, learn

LENGTHS, ITERATIONS = (10, 30, 100), 400
BY_THE_BOUND = {"objective": "variational"}
DIGITS: Mapping[str, Mapping[str, Any]] = {
    "linear, betas times 4": {
        "schedule": {"name": "linear", "T": 250, "options": {"beta_1": 4e-4, "beta_T": 0.08}},
        **BY_THE_BOUND,
    },
    "cosine": {"schedule": {"name": "cosine", "T": 250, "options": {}}, **BY_THE_BOUND},
    "log-snr": BY_THE_BOUND,
    "log-snr by the hybrid: the preset": {},
    "learned": {"schedule.name": "learned", **BY_THE_BOUND},
}


def on_the_mixture(T: int) -> dict[str, float]:
    """All schedules of T steps; linear keeps T steps of a thousand."""
    fixed = {
        "linear": linear(1000).respace([round(1000 * (i + 1) / T) for i in range(T)]),
        "cosine": cosine(T),
        "log-snr": log_snr(T, noise_1=0.05),
    }
    result = {name: float(above_entropy(schedule)) for name, schedule in fixed.items()}
    result["learned"] = float(above_entropy(learn(fixed["log-snr"], ITERATIONS, lr=0.03)))
    return {name: round(value, 5) for name, value in result.items()}


def on_the_digits(steps: int) -> dict[str, Any]:
    """Every schedule trained for so many steps; the learned one's table again, fixed."""
    result: dict[str, Any] = {}
    variants: dict[str, Mapping[str, Any]] = dict(DIGITS)
    while variants:
        name = next(iter(variants))
        settings = variants.pop(name)
        experiment = changed(digits(), {**settings, **QUIET, "training.steps": steps})
        with tempfile.TemporaryDirectory() as folder:
            model = trained(experiment, Path(folder))
            result[name] = measured(model)
        print(name, json.dumps(result[name]), flush=True)
        if name == "learned":
            p = model.process
            table = {"name": "table", "T": p.schedule.T, "options": {}, "beta": p.schedule.beta[1:].tolist()}
            variants["the learned table, fixed"] = {"schedule": table, **BY_THE_BOUND}
            variants["the learned table, fixed, by the hybrid"] = {"schedule": table}
            log_snr_ = p.schedule.log_snr
            result["log SNR learned"] = {str(t): round(float(log_snr_[t]), 3) for t in (1, 2, 10, 50, 125, 200, 250)}
    return result


def main() -> None:
    """Both parts."""
    torch.set_num_threads(2)
    steps = int((sys.argv[1:] or ["1000"])[0])
    mixture = {str(T): on_the_mixture(T) for T in LENGTHS}
    print(json.dumps(mixture), flush=True)
    result = {"mixture_excess_nats": mixture, "digits": on_the_digits(steps)}
    print(save("learned_schedule", result))


if __name__ == "__main__":
    main()
