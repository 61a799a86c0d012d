"""`ddpm explore RUN --export page.html`: a model in one file that any browser runs, with nothing else and no network.

The page is the one that the server shows; `page/engine/` takes the server's place, and computes by the weights in the file.
"""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from torch import Tensor

from ddpm.diffusion.learned import ScheduledNetwork
from ddpm.explorer.join import joined
from ddpm.explorer.model_data import HALF, curve_data, images_data, network_data, process_data, weights_data
from ddpm.tensors import ImageBatch
from ddpm.trained.measured_curve import kept_curve
from ddpm.trained.model import TrainedModel
from ddpm.version import VERSION

Code = Mapping[str, Mapping[str, Any]]
"""Lines of the library that the page shows, by name: {"file", "line", "text"}."""
NO_CODE: Code = {}


def exported(
    trained: TrainedModel,
    x_0: ImageBatch,
    labels: Tensor,
    images_are: str,
    code: Code = NO_CODE,
    dtype: str = HALF,
    page: Traversable | Path | None = None,
) -> str:
    """The page as text.

    Args:
        trained: the model; its measured curve goes with it, if there is one (`ddpm.trained.measured_curve`).
        x_0: some images to look at, (N, C, H, W) on the model's levels.
        labels: the class of each, -1 for none, (N,).
        images_are: where they are from, such as "held out".
        code: what "show me the code" shows.
        dtype: of the weights in the file: "float16", or "float32", twice as large.
        page: the folder of the page; None for that of the explorer.

    Raises:
        UsageError: the network is no U-Net of this library, or a part of the process is somebody's own.
    """
    folder = files("ddpm.explorer") / "page" if page is None else page
    return joined(folder, model_of(trained, x_0, labels, images_are, code, dtype))


def model_of(
    trained: TrainedModel, x_0: ImageBatch, labels: Tensor, images_are: str, code: Code, dtype: str
) -> dict[str, Any]:
    """All that the engine is told. Of a path only its last name goes into a file that one gives away."""
    network = trained.network.network if isinstance(trained.network, ScheduledNetwork) else trained.network
    return {
        "name": Path(trained.loaded.name).name,
        "version": VERSION,
        "step": trained.step,
        "weights_are": trained.loaded.weights,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "shape": list(trained.shape),
        "classes": list(trained.classes),
        "network": network_data(network),
        "process": process_data(trained.process),
        "curve": curve_data(kept_curve(trained.loaded)),
        "images": images_data(x_0, labels, trained.levels, images_are),
        "code": {name: dict(one) for name, one in code.items()},
        "weights": weights_data(network, dtype),
    }
