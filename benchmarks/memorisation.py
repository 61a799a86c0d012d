"""Does the memorisation report find out a net that copies, and let one go that does not? Digits, the preset's network.

`python -m benchmarks.memorisation [STEPS]`: one net on 50 digits and one on all 1,497, for as many steps; 200 samples of each
against the 300 held-out digits. About eight minutes of one core.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import save
from ddpm.data.open import open_source
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue
from ddpm.run.train import train_run
from ddpm.trained.measures.memorised import memorised
from ddpm.trained.model import TrainedModel
from ddpm.trained.opening import load

CPU = torch.device("cpu")
QUIET = {"rhythm.evaluate": 0, "rhythm.sample": 0, "rhythm.save": 0}
FEW, SAMPLES = 50, 200


def trained(source: str, steps: int, folder: Path) -> TrainedModel:
    """The preset on these images, without dropout, after so many steps of 64 images."""
    settings: dict[str, Any] = {
        **QUIET,
        "data.source": source,
        "data.held_out": 0,
        "data.levels": 17,
        "training.steps": steps,
        "training.batch_size": 64,
        "model.dropout": 0,
    }
    for _ in train_run(changed(digits(), settings), RunFolder(folder), CPU, Continue(), lambda: False):
        pass
    return load(folder, device=CPU)


def measured(model: TrainedModel) -> dict[str, Any]:
    """What the report says of its samples."""
    found = memorised(model, "digits", num_samples=SAMPLES, progress=False)
    return {name: value for name, value in found.about.items() if name not in ("per_sample", "manifest")}


def main() -> None:
    """Both nets."""
    steps = int((sys.argv[1:] or ["600"])[0])
    torch.set_num_threads(1)
    result: dict[str, Any] = {"steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.npz"
        np.savez(few, images=open_source("digits", "train").tensor()[:FEW, 0].numpy())
        for name, source in ((f"{FEW} digits", str(few)), ("1,497 digits", "digits")):
            result[name] = measured(trained(source, steps, Path(folder) / name))
            print(name, json.dumps(result[name]), flush=True)
    print(save("memorisation", result))


if __name__ == "__main__":
    main()
