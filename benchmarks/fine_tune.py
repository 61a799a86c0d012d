"""Fine-tuning: MNIST's digits 5 to 9 learned from a model of 0 to 4, beside a model that begins from nothing, same steps.

What both have in common: images, batches, times, noise, network, learning rate and number of steps. The bound is that of the first
held-out digits 5 to 9 of the test set, with the same noise.
`python -m benchmarks.fine_tune PATH_TO_MNIST [STEPS] [IMAGES]`
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ddpm
from benchmarks.machine import save
from ddpm.data.open import open_source

SETTINGS = {
    **{
        "model.channels": 16,
        "model.multipliers": [1, 2, 2],
        "model.blocks": 1,
        "model.attention": [2],
        "model.groups": 8,
    },
    **{"schedule.T": 100, "training.warmup": 50, "training.batch_size": 32, "training.lr": 2e-3},
    **{"rhythm.evaluate": 0, "rhythm.sample": 0, "data.held_out": 0.0},
}


def written(source: str, digits: range, file: Path) -> str:
    """The training images of some digits in a file, whose name is returned."""
    images = open_source(source, "train")
    rows = torch.isin(images.labels, torch.tensor(digits)).nonzero().flatten()
    np.savez(file, images=images.take(rows).tensor().numpy())
    return str(file)


def held_out(source: str, digits: range, count: int) -> np.ndarray:
    """The first test images of some digits."""
    images = open_source(source, "test")
    rows = torch.isin(images.labels, torch.tensor(digits)).nonzero().flatten()[:count]
    return images.take(rows).tensor().numpy()


def main() -> None:
    """The source, then both, one after the other."""
    source, steps, count = sys.argv[1], int((sys.argv[2:] or ["200"])[0]), int((sys.argv[3:] or ["128"])[0])
    torch.set_num_threads(1)  # the same on a machine that does other things too
    images = held_out(source, range(5, 10), count)
    result: dict[str, Any] = {"images": f"the first {count} of the digits 5 to 9 of the test set", "steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        low, high = (written(source, part, Path(folder) / f"{part.start}.npz") for part in (range(5), range(5, 10)))
        runs = {
            "0 to 4": (low, {"preset": "mnist", "settings": SETTINGS, "steps": 2 * steps}),
            "5 to 9 from nothing": (high, {"preset": "mnist", "settings": SETTINGS, "steps": steps}),
            "5 to 9 fine-tuned": (high, {"init_from": f"{folder}/0 to 4", "steps": steps}),
        }
        for name, (data, wanted) in runs.items():
            begin = time.perf_counter()
            model = ddpm.fit(data, f"{folder}/{name}", progress=False, device="cpu", **wanted)
            seconds = round(time.perf_counter() - begin)
            bound = model.bits_per_dim(images)
            found = {"bits_per_dim": round(bound.total, 4), "stderr": round(bound.stderr, 4)}
            result[name] = {**found, "steps": model.step, "training_seconds": seconds}
            print(json.dumps({name: result[name]}), flush=True)
    print(save("fine_tune", result))


if __name__ == "__main__":
    main()
