"""`ddpm explore RUN --export page.html`: a model in one file that any browser runs, with nothing else and no network.

The page is the one that the server shows; `page/engine/` takes the server's place, and computes by the weights in the file.
"""

from pathlib import Path
from typing import Any

from ddpm.diffusion.learned import ScheduledNetwork
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.explorer.asks import about, schedule
from ddpm.explorer.join import Files, joined
from ddpm.explorer.model_data import HALF, curve_data, images_data, network_data, process_data, weights_data
from ddpm.explorer.page_files import page_files
from ddpm.explorer.subject import Subject
from ddpm.sampling.optimal import Curve
from ddpm.trained.measured_curve import kept_curve
from ddpm.version import VERSION

BACKEND, ENGINE = "backend.js", 'export { backend } from "./engine/page.js";\n'
"""The module that says which backend answers the page, and what it says in an exported one."""
IMAGES = 64
"""Images of the data that go with the model."""


def exported(subject: Subject, dtype: str = HALF) -> str:
    """The page as text.

    Args:
        subject: the model, and images to look at, of which the first `IMAGES` go with it. The network's error is measured on them
            where it was not measured before (`asks.schedule`), which takes some seconds.
        dtype: of the weights in the file: "float16", or "float32", twice as large.

    Raises:
        UsageError: the network is no U-Net of this library, or a part of the process is somebody's own.
    """
    return joined(explorer_files(), model_of(subject, dtype))


def explorer_files() -> Files:
    """The explorer's page, answered by the engine."""
    return {path.removeprefix("/"): data.decode() for path, (data, _) in page_files().items()} | {BACKEND: ENGINE}


def model_of(subject: Subject, dtype: str) -> dict[str, Any]:
    """All that the engine is told. Of a path only its last name goes into a file that one gives away."""
    trained = subject.model
    network = trained.network.network if isinstance(trained.network, ScheduledNetwork) else trained.network
    return {
        "network": network_data(network),
        "process": process_data(trained.process),
        "weights": weights_data(network, dtype),
        "name": Path(subject.name).name,
        "version": VERSION,
        "step": trained.step,
        "weights_are": trained.loaded.weights,
        "schedule": trained.experiment.schedule.name,
        "schedules": list(SCHEDULES),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "shape": list(trained.shape),
        "classes": list(trained.classes),
        "curve": curve_data(_curve(subject)),
        "images": images_data(subject.x_0[:IMAGES], subject.labels[:IMAGES], trained.levels, subject.images_are),
        "code": {name: next(about.code(subject, about.Code(name=name))) for name in about.SOURCES},
    }


def _curve(subject: Subject) -> Curve:
    """The network's error at every t."""
    known = subject.curve or kept_curve(subject.model.loaded)
    measuring = schedule.measured(subject)
    while known is None:
        try:
            next(measuring)
        except StopIteration as end:
            known = end.value
    subject.curve = known
    return known
