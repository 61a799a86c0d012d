"""All the questions by name: Q1 to Q35 in the order of the notes, then those that have a word for a name."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import matplotlib as mpl
import torch

from ddpm.diffusion.schedule import SignalRemains
from ddpm.errors import chosen
from ddpm.figures.style import STYLE
from ddpm.laboratory import (
    bound,
    coding,
    derivation,
    divergence,
    estimators,
    forward,
    loss,
    parameters,
    posterior,
    reverse,
    schedules,
    score,
    variances,
)
from ddpm.laboratory.answer import Answer, Question, Setting
from ddpm.laboratory.basics import chains, ends, latents, likelihood, maps

_MODULES = (
    forward,
    posterior,
    reverse,
    variances,
    bound,
    derivation,
    divergence,
    estimators,
    parameters,
    loss,
    score,
    coding,
    schedules,
    likelihood,
    chains,
    latents,
    maps,
    ends,
)


def _place(question: Question) -> tuple[int, str]:
    number = question.name.removeprefix("Q")
    return (int(number), "") if number.isdigit() else (1000, question.name)


QUESTIONS: Mapping[str, Question] = {
    question.name: question for question in sorted((q for m in _MODULES for q in m.QUESTIONS), key=_place)
}


ELSE = (
    "a line of the notes (000:163)",
    "ERR-1 to ERR-70",
    "Eq. 1 to 26",
    "Algorithm 1 to 4",
    "E1 to E92",
    "all",
    "notes",
)
"""What the laboratory knows beside questions."""


def find(name: str) -> Question:
    """A question by its name, in upper or lower case.

    Raises:
        UsageError: there is none.
    """
    return chosen(QUESTIONS, name.upper() if name.upper() in QUESTIONS else name, "question", *ELSE)


@contextmanager
def one_thread() -> Iterator[None]:
    """Of torch: for a few numbers at a time more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ask(question: Question, setting: Setting) -> Answer:
    """Run its experiment, figures in the house's style; schedules that it makes for comparison do not warn."""
    with one_thread(), mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", SignalRemains)
        return question.experiment(setting)
