"""Bits/dim of held-out digits for the same processor time, by choices of network and recipe: how the preset "digits" is chosen.

`python -m benchmarks.time_to_quality [--seconds 100] [--seeds 2] [--only WORDS]`. Choices are compared on 300 images that are
taken from the training split for it; those of the test split are for what is reported (`--reported`), by a choice that was made
before. One thread; a variant's number of steps is what its own step takes, measured first. Writes
benchmarks/results/time_to_quality.json, with what it held of other variants.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.digits import QUIET, measured, trained
from benchmarks.machine import RESULTS, save
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.experiment.config import Experiment
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.trained.loaded import LoadedModel

HELD_OUT = 300
BEFORE = {
    "training.optimizer": "adam",
    "model.blocks": 2,
    "model.dropout": 0.1,
    "model.groups": 8,
    "training.batch_size": 128,
    "training.lr": 2e-3,
    "training.warmup": 100,
}
LEAN = {**BEFORE, "model.blocks": 1, "model.dropout": 0.0, "training.batch_size": 64}
STEEP = {**LEAN, "training.lr": 4e-3}
TWO_GROUPS = {**STEEP, "model.groups": 2}
MUON = {**TWO_GROUPS, "training.optimizer": "muon"}
VARIANTS: dict[str, dict[str, Any]] = {
    "the preset before": BEFORE,
    "dropout 0": {**BEFORE, "model.dropout": 0.0},
    "lean (one block, dropout 0, batch 64)": LEAN,
    "lean, lr 4e-3": STEEP,
    "lean, lr 8e-3": {**LEAN, "training.lr": 8e-3},
    "lean, lr 4e-3, batch 32": {**STEEP, "training.batch_size": 32},
    "lean, lr 4e-3, two groups": TWO_GROUPS,
    "lean, lr 6e-3, two groups": {**TWO_GROUPS, "training.lr": 6e-3},
    "lean, lr 4e-3, 48 channels, three groups": {**STEEP, "model.channels": 48, "model.groups": 3},
    "lean, lr 4e-3, two groups, Muon": MUON,
    "lean, lr 4e-3, two groups, Muon, dropout 0.05": {**MUON, "model.dropout": 0.05},
}


def parts(folder: Path) -> tuple[str, ImageSet]:
    """The training digits but for 300, as a file; and these."""
    every = open_source("digits", "train")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(7))
    pixels = np.moveaxis(every.take(order[HELD_OUT:]).images[:].numpy(), 1, 3).astype(np.uint8)
    np.savez(folder / "choosing.npz", arr_0=pixels, levels=every.levels, layout="NHWC")
    return str(folder / "choosing.npz"), every.take(order[:HELD_OUT])


def timed(experiment: Experiment, folder: Path) -> tuple[LoadedModel, float]:
    """Its moving average after training, and the processor's seconds for it."""
    began = time.process_time()
    return trained(experiment, folder), time.process_time() - began


def fitted(experiment: Experiment, seconds: float) -> Experiment:
    """With as many steps as it takes in so many seconds of the processor: the time of 40 steps less that of 10."""

    def cost(steps: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return timed(replace(experiment, training=replace(experiment.training, steps=steps)), Path(folder))[1]

    start, longer = cost(10), cost(40)
    steps = round((seconds - start) / (longer - start) * 30)
    return replace(experiment, training=replace(experiment.training, steps=steps))


def result_of(settings: dict[str, Any], source: str, images: ImageSet, seconds: float, seed: int) -> dict[str, Any]:
    """One training, and the bound of the images."""
    experiment = fitted(changed(digits(), {**settings, **QUIET, "data.source": source, "training.seed": seed}), seconds)
    with tempfile.TemporaryDirectory() as folder:
        model, spent = timed(experiment, Path(folder))
        return {"seed": seed, "seconds": round(spent, 1), **measured(model, images)}


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, nargs="+", default=[100.0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--reported", action="store_true", help="on the test split, of a choice that was made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "time_to_quality.json"
    held = json.loads(path.read_text())["found"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        source, images = parts(Path(folder))
        if options.reported:
            source, images = "digits", open_source("digits", "test").take(torch.arange(HELD_OUT))
        for name in options.only:
            for seconds in options.seconds:
                key = f"{'test' if options.reported else 'choosing'}, {seconds:g} s: {name}"
                held[key] = [result_of(VARIANTS[name], source, images, seconds, seed) for seed in range(options.seeds)]
                print(key, json.dumps(held[key]), flush=True)
                save("time_to_quality", {"held_out": HELD_OUT, "found": held})


if __name__ == "__main__":
    main()
