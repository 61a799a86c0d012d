"""Writes the model that comes with the package, `ddpm:mnist`, from a run: `python -m benchmarks.shipped_mnist RUN DATA`.

RUN is what this leaves, in two hours and twenty minutes on one core; DATA is the folder of MNIST's four files:
`ddpm train --data DATA --output-dir RUN --preset mnist --steps 8000 --batch-size 32 --set model.channels=16`
The moving average of its weights is rounded to half precision, and the codec's two profiles are measured for what that leaves.
The bits/dim of test images, before and after rounding, go to benchmarks/results/shipped_mnist.json.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ddpm
from benchmarks.machine import save
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import to_json
from ddpm.interop import shipped
from ddpm.interop.foreign import Foreign
from ddpm.run.folder import RunFolder
from ddpm.run.imported import write
from ddpm.run.log import read_metrics
from ddpm.storage import tensorfile
from ddpm.trained.coding import codec_of
from ddpm.trained.loaded import load_run

NAME = "mnist"
IMAGES = 64
CPU = torch.device("cpu")


def halved(run: str) -> tuple[Experiment, int, dict[str, Tensor]]:
    """What the run was to do, its steps, and the moving average of its weights in half precision."""
    trained = load_run(run, "ema", CPU)
    assert isinstance(trained.process.network, torch.nn.Module)
    weights = {name: one.detach().half() for name, one in trained.process.network.named_parameters()}
    return trained.experiment, trained.step, weights


def measured(
    experiment: Experiment, step: int, weights: dict[str, Tensor]
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Of a run with these weights: the codec's files by their names, and the bound of test images."""
    with tempfile.TemporaryDirectory() as beside:
        run = RunFolder(Path(beside) / "run")
        float32 = shipped.whole(weights)
        write(Foreign(shipped.FORMAT, experiment, float32, float32, step, {}), NAME, run)
        codec_of(load_run(str(run.path), "ema", CPU), chain=True)
        files = {file.name: file.read_bytes() for file in run.codecs.iterdir()}
        return files, bits(str(run.path), experiment.data.source)


def bits(run: str, data: str) -> dict[str, float]:
    """The bound of all steps, on the first test images."""
    bound = ddpm.load(run).bits_per_dim(data, num_images=IMAGES, progress=False)
    return {"bits_per_dim": bound.total, "stderr": bound.stderr}


def facts(run: str, experiment: Experiment) -> dict[str, Any]:
    """How the model was trained."""
    last = read_metrics(RunFolder(Path(run)).metrics)[-1]
    return {
        "parameters": experiment.size()[1],
        "T": experiment.schedule.T,
        "step": last["step"],
        "batch_size": experiment.training.batch_size,
        "training_seconds": last["seconds"],
    }


def main() -> None:
    """Round, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("data")
    options = parser.parse_args()
    experiment, step, weights = halved(options.run)
    here = replace(experiment, data=replace(experiment.data, source=options.data))
    files, bound = measured(here, step, weights)
    result = facts(options.run, experiment) | {"test_images": IMAGES, "half": bound}
    result["float32"] = bits(options.run, options.data)
    print(result, save("shipped_mnist", result))  # before the model changes the sources
    folder = Path(shipped.__file__).with_name(NAME)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / shipped.CODECS).mkdir(parents=True)
    (folder / shipped.CONFIG).write_text(to_json(replace(experiment, data=replace(experiment.data, source=NAME))))
    (folder / shipped.WEIGHTS).write_bytes(b"".join(bytes(data) for _, data in tensorfile.written(weights)))
    for name, data in files.items():
        (folder / shipped.CODECS / name).write_bytes(data)


if __name__ == "__main__":
    main()
