"""Bits/dim of a DDPM of MNIST that others trained, by our exact bound, with both fixed variances: the same images, the same noise.

`python -m benchmarks.foreign_bound DATA [IMAGES]`; DATA holds mnist and checkpoints/pulfer-mnist (BrianPulfer's implementation, MIT).
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

import ddpm
from benchmarks.foreign import Digits
from benchmarks.machine import save
from ddpm.diffusion.variance import Variance
from ddpm.evaluation.rate import Bound

IMAGES, SEED, BATCH = 100, 0, 50
WAYS: dict[str, Variance] = {"fixed-large": ddpm.FixedLarge(), "fixed-small": ddpm.FixedSmall()}


def row(found: Bound) -> dict[str, Any]:
    """Of one variance, in bits/dim."""
    parts = {"bits_per_dim": found.total, "stderr": found.stderr, "L_T": found.L_T, "L_0": found.L_0}
    return {name: round(value, 6) for name, value in parts.items()}


def main() -> None:
    """Both, one after the other, and the difference image by image."""
    torch.set_num_threads(1)
    data, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else IMAGES
    network = Digits(data / "checkpoints" / "pulfer-mnist" / "ddpm_mnist.pt")
    images = ddpm.images(data / "mnist", split="test")[:count]
    found = {}
    for name, variance in WAYS.items():
        p = ddpm.ReverseProcess(network, ddpm.linear(T=1000), variance=variance)
        found[name] = ddpm.bound(p, images, seed=SEED, batch_size=BATCH)
        print(name, json.dumps(row(found[name])), flush=True)
    difference = found["fixed-large"].per_image - found["fixed-small"].per_image
    table = {"split": "MNIST test", "images": count, "seed": SEED, "variances": {n: row(f) for n, f in found.items()}}
    paired = [round(float(difference.mean()), 4), round(float(difference.std()) / count**0.5, 4)]
    print(save("foreign_bound", {**table, "fixed_large_above_fixed_small": paired}))


if __name__ == "__main__":
    main()
