"""A network as ONNX or as a program of `torch.export`, for any number of images; and how far what was written is from it."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FIRST_VARIANCES, VARIANCES, FixedLarge, FixedSmall, beta_1
from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment
from ddpm.interop.graphs import recipe
from ddpm.models.shape import class_number
from ddpm.seeds import generator
from ddpm.storage import durable
from ddpm.storage.atomic import write_json

FORMATS: Mapping[str, str] = {"onnx": "network.onnx", "torch-export": "network.pt2"}
"""The file of each."""
NEEDS = ("onnx", "onnxscript", "onnxruntime")
"""What is not in every installation: the first two write the graph, the last runs it."""
BOUND = 1e-4
"""How far the written network may be from ours, in times of the norm of an output; float32's rounding is a hundredth of it."""
BATCHES = (1, 2, 5)
"""As many images are given to both."""


def write_onnx(experiment: Experiment, weights: Mapping[str, Tensor], folder: Path) -> list[str]:
    """Write network.onnx (and network.onnx.data, where the weights are more than 1.5 GB), schedule.json and sample.py.

    Args:
        experiment: how the network is read.
        weights: under our names.
        folder: where; it is there.

    Returns:
        What does not carry over: nothing.

    Raises:
        UsageError: a package that it needs is not installed.
        OSError: the disk is full or fails.
    """
    for package in NEEDS:
        if find_spec(package) is None:
            raise UsageError(f"ONNX needs {package}, which is not installed", "pip install 'ddpm[onnx]'")
    program = _described(experiment, weights, folder)
    with _quiet():
        graph = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=_inputs(experiment), output_names=["output"]
        )
    assert graph is not None
    graph.save(folder / FORMATS["onnx"])
    for file in folder.glob(
        f"{FORMATS['onnx']}*"
    ):  # weights that a file of ONNX cannot hold, 2 GB, lie beside it in one of their own
        durable.sync(file)
    return []


def write_torch_export(experiment: Experiment, weights: Mapping[str, Tensor], folder: Path) -> list[str]:
    """Write network.pt2, schedule.json and sample.py into a folder that is there; as `write_onnx`, and needs torch alone."""
    program = _described(experiment, weights, folder)
    file = io.BytesIO()
    with _quiet():
        torch.export.save(program, file)
    durable.write(folder / FORMATS["torch-export"], [file.getbuffer()])
    return []


def apart(experiment: Experiment, weights: Mapping[str, Tensor], folder: Path) -> float:
    """The largest difference of the written network to ours, relative to our output: over images of noise at times from 1 to T.

    It opens the file as whoever has only the folder does (`recipe.opened`).
    """
    network, schedule = _network(experiment, weights)
    with _quiet():
        written = recipe.opened(folder)
    random, worst = generator(0, "export"), 0.0
    for count in BATCHES:
        asked = _random_inputs(experiment, schedule, count, random)
        with torch.no_grad():
            ours = network(*asked)
        theirs = torch.from_numpy(np.ascontiguousarray(written(*(tensor.numpy() for tensor in asked))))
        if theirs.shape != ours.shape:
            return float("inf")
        difference, size = ((tensor.double().flatten(1).norm(dim=1)) for tensor in (theirs - ours, ours))
        worst = max(worst, float(torch.where(difference == 0, 0.0, difference / size).nan_to_num(torch.inf).max()))
    return worst


def _described(experiment: Experiment, weights: Mapping[str, Tensor], folder: Path) -> torch.export.ExportedProgram:
    """The traced network; what is to be known of it, and how to draw with it, is written."""
    network, schedule = _network(experiment, weights)
    write_json(folder / "schedule.json", told(experiment, schedule))
    durable.write(folder / "sample.py", [Path(recipe.__file__).read_bytes()])
    asked = _random_inputs(experiment, schedule, 2, generator(0, "export"))
    batch = torch.export.Dim("batch", min=1)
    with _quiet(), torch.no_grad():
        return torch.export.export(network, asked, dynamic_shapes=tuple({0: batch} for _ in asked))


def _network(experiment: Experiment, weights: Mapping[str, Tensor]) -> tuple[nn.Module, Schedule]:
    with torch.device("meta"):
        network = experiment.network()
    network.load_state_dict(dict(weights), assign=True)
    network.eval().requires_grad_(False)  # noqa: FBT003
    return network, experiment.schedule_of(network)


def _inputs(experiment: Experiment) -> list[str]:
    return ["x_t", "timestep", *(["label"] if experiment.model.classes else [])]


def _random_inputs(
    experiment: Experiment, schedule: Schedule, count: int, random: torch.Generator
) -> tuple[Tensor, ...]:
    """Images of noise, at random steps with the first and the last among them, of random classes and none."""
    steps = torch.randint(1, schedule.T + 1, (count,), generator=random)
    steps[0], steps[-1] = 1, schedule.T
    x, timestep = torch.randn(count, *experiment.shape, generator=random), schedule.timestep_map[steps].float()
    if not experiment.model.classes:
        return x, timestep
    return x, timestep, torch.randint(-1, class_number(experiment.model), (count,), generator=random)


def told(experiment: Experiment, schedule: Schedule) -> dict[str, Any]:
    """What schedule.json says; tables have T + 1 entries, and entry 0 is the clean image.

    Whatever is predicted, the estimate of x_0 is a sum of x_t and the output, each times a number of its table.
    """
    process, every = experiment.process, torch.arange(schedule.T + 1)
    one, none = torch.ones(schedule.T + 1, 1, dtype=torch.float64), torch.zeros(schedule.T + 1, 1, dtype=torch.float64)
    x_0 = PREDICTIONS[process.prediction].x_0
    first = FIRST_VARIANCES[process.sigma_1]
    tables = {
        "timestep": schedule.timestep_map,
        "alpha_bar": schedule.alpha_bar,
        "one_minus_alpha_bar": schedule.one_minus_alpha_bar,
        "x_0_of_x_t": x_0(schedule, one, none, every)[:, 0],
        "x_0_of_output": x_0(schedule, none, one, every)[:, 0],
        "posterior_x_0": schedule.posterior_x_0,
        "posterior_x_t": schedule.posterior_x_t,
    }
    if process.variance == "learned":
        tables["log_variance"] = FixedSmall(first).table(schedule).log()
        tables["log_variance_large"] = FixedLarge(beta_1).table(schedule).log()
    else:
        variance: Any = VARIANCES[process.variance](first)
        tables["log_variance"] = variance.table(schedule).log()
    return {
        "inputs": _inputs(experiment),
        "shape": list(experiment.shape),
        "range": [-1, 1],
        "levels": experiment.levels,
        "classes": list(experiment.classes),
        "no_class": -1,
        "prediction": process.prediction,
        "variance": process.variance,
        "limit": process.limit,
        "schedule": experiment.schedule.name,
        "T": schedule.T,
        "tables": {name: table.double().tolist() for name, table in tables.items()},
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of itself while it traces: packages that we do not use, and its own deprecated ways."""
    loud = logging.getLogger("torch.onnx")
    before = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        loud.setLevel(before)
