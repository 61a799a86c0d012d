"""The training of a run, while it goes on or after it: its log and its newest picture."""

import base64
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from ddpm.errors import NotFound
from ddpm.explorer.asks.asked import Parameters
from ddpm.explorer.subject import Begun, Subject
from ddpm.explorer.worker import Steps
from ddpm.sampling.images import evenly

MOST = 400
"""Lines of the log that are told."""
LARGEST = 4 * 2**20
"""Bytes of a picture."""


class Training(Parameters):
    """`known` is the step of the picture that the page has."""

    known: Annotated[int, Field(ge=-1)] = -1


def training(subject: Subject | Begun, asked: Training) -> Steps:
    """Loss and held-out bound by steps, evenly chosen, the newest picture if it is new, and whether the run has ended."""
    folder = subject.folder
    if not folder.config.exists():
        raise NotFound(f"the run is no longer there: {str(folder.path)!r}")
    rows = subject.log.rows()
    pictures = sorted(folder.samples.glob("step-*.png"))
    step = int(pictures[-1].stem.removeprefix("step-")) if pictures else -1
    answer = {
        "steps": folder.read_experiment().training.steps,
        "loss": _points(rows, "loss"),
        "bits_per_dim": _points(rows, "bits_per_dim"),
        "last": rows[-1]["step"] if rows else 0,
        "seconds": rows[-1].get("seconds", 0.0) if rows else 0.0,
        "ended": folder.exit.exists(),
        "picture_step": step,
    }
    with suppress(OSError):  # the run was deleted just now
        if step > asked.known and pictures[-1].stat().st_size <= LARGEST:
            answer["picture"] = "data:image/png;base64," + base64.b64encode(pictures[-1].read_bytes()).decode()
    yield answer


def _points(rows: list[dict[str, float]], name: str) -> list[list[float]]:
    points = [[row["step"], row[name]] for row in rows if name in row]
    return [points[i] for i in sorted(set(evenly(len(points), min(MOST, len(points)))))] if points else []
