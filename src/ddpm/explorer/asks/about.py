"""What the model is, its images, and the lines of the library that a scene shows."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

import ddpm
from ddpm.analytic.mixture import Mixture
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import excess
from ddpm.codec.codec import Codec
from ddpm.diffusion.bound import term
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import SCHEDULES, from_log_snr
from ddpm.errors import chosen
from ddpm.evaluation.closeness import search
from ddpm.explorer.asks.asked import Parameters, Row
from ddpm.explorer.subject import Begun, Subject
from ddpm.explorer.wire import array
from ddpm.explorer.worker import Steps
from ddpm.sampling import SAMPLERS
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.ddim import DDIM
from ddpm.sampling.dpm_solver import DPMSolver
from ddpm.sampling.inverse import Outside
from ddpm.sampling.langevin import Langevin
from ddpm.sampling.optimal import best_steps, jumps
from ddpm.trained.interpolate import interpolate

SOURCES: Mapping[str, Callable[..., Any]] = {
    "q.sample": ForwardProcess.sample,
    "q.posterior": ForwardProcess.posterior,
    "p": ReverseProcess.__call__,
    "term": term,
    "ancestral": Ancestral.step,
    "ddim": DDIM.step,
    "dpm-solver": DPMSolver.step,
    "schedule": from_log_snr,
    "jumps": jumps,
    "best_steps": best_steps,
    "hole": Outside,
    "interpolate": interpolate,
    "codec": Codec.progressive,
    "search": search,
    "given": Mixture.given,
    "kernel": Diffused.reverse,
    "excess": excess,
    "langevin": Langevin.step,
}
"""What "show me the code" shows, by name: nothing else is read."""
FOR_IMAGES = tuple(name for name in SAMPLERS if name not in ("flow", "langevin", "langevin-ncsn"))
"""Samplers whose number of evaluations is known beforehand."""


class Nothing(Parameters):
    """No parameters."""


class Some(Parameters):
    """Images of the data, from the first one on."""

    first: Row = 0
    count: Annotated[int, Field(ge=1, le=64)] = 16


class Code(Parameters):
    """A name of `SOURCES`."""

    name: str


def model(subject: Subject, _asked: Nothing) -> Steps:
    """What the page has to know of the model; `seconds` is the time of one call of the network on one image, measured now."""
    trained = subject.model
    process = trained.experiment.process
    yield {
        "waits": False,
        "name": subject.name,
        "shape": list(trained.shape),
        "levels": trained.levels,
        "T": trained.schedule.T,
        "parameters": sum(weight.numel() for weight in trained.network.parameters()),
        "step": trained.step,
        "weights": trained.loaded.weights,
        "prediction": process.prediction,
        "variance": process.variance,
        "schedule": trained.experiment.schedule.name,
        "schedules": list(SCHEDULES),
        "classes": list(trained.classes),
        "alpha_bar": trained.schedule.alpha_bar.tolist(),
        "samplers": list(FOR_IMAGES),
        "images": len(subject.x_0),
        "images_are": subject.images_are,
        "seconds": subject.seconds,
        "version": ddpm.__version__,
        "exported": False,
        "trained_on": subject.has_training_images,
        "trains": subject.folder.metrics.exists(),
    }


def run(begun: Begun, _asked: Nothing) -> Steps:
    """What is known of a run before its first checkpoint; `waits` says that there is no model yet."""
    yield {
        "waits": True,
        "name": begun.name,
        "shape": list(begun.experiment.shape),
        "T": begun.experiment.schedule.T,
        "step": None,
        "version": ddpm.__version__,
        "exported": False,
        "trains": True,
    }


def images(subject: Subject, asked: Some) -> Steps:
    """Some of the images, with the names of their classes."""
    rows = range(asked.first, min(asked.first + asked.count, len(subject.x_0)))
    x_0 = subject.x_0[rows.start : rows.stop] if rows else subject.x_0[:0]
    labels = [subject.label(row) for row in rows]
    numbers = [int(subject.labels[row]) for row in rows]
    yield {"first": asked.first, "total": len(subject.x_0), "x_0": array(x_0), "labels": labels, "numbers": numbers}


def code(_subject: Subject | Begun, asked: Code) -> Steps:
    """The source of a function, and where it stands."""
    found = inspect.unwrap(chosen(SOURCES, asked.name, "piece of code"))
    lines, first = inspect.getsourcelines(found)
    file = Path(inspect.getsourcefile(found) or "").relative_to(Path(ddpm.__file__).parent.parent)
    yield {"file": file.as_posix(), "line": first, "text": inspect.cleandoc("\n" + "".join(lines)) + "\n"}
