"""All the questions by name: Q1 to Q35 in the order of the notes, then those that have a word for a name."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import matplotlib as mpl
import torch

from ddpm.diffusion.schedule import SignalRemains
from ddpm.errors import SHOWN, UsageError, chosen
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
from ddpm.laboratory.derivations.every import DERIVATIONS

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


NUMBERED = re.compile(r"Q\d+", re.IGNORECASE)


def _place(question: Question) -> tuple[int, str]:
    number = question.name.removeprefix("Q")
    return (int(number), "") if number.isdigit() else (1000, question.name)


QUESTIONS: Mapping[str, Question] = {
    question.name: question for question in sorted((q for m in _MODULES for q in m.QUESTIONS), key=_place)
}


SEVERAL = ("all", "table-2")
"""What `ddpm lab` does beside single answers."""
ELSE = (
    *DERIVATIONS,
    "a line of the notes (000:163)",
    "ERR-1 to ERR-70",
    "Eq. 1 to 26",
    "Algorithm 1 to 4",
    "E1 to E92",
    "notes",
    *SEVERAL,
)
"""What the laboratory knows beside questions."""


def written(asked: str) -> str:
    """A name in upper or lower case as it is written here: "MEAN" is mean, "q17" Q17; what is no name stays as it is."""
    names = (*QUESTIONS, *DERIVATIONS, "notes", *SEVERAL)
    return {name.lower(): name for name in names}.get(asked.lower(), asked)


def find(name: str) -> Question:
    """A question by its name, in upper or lower case.

    Raises:
        UsageError: there is none.
    """
    numbers = [known for known in QUESTIONS if NUMBERED.fullmatch(known)]
    if NUMBERED.fullmatch(name) and written(name) not in QUESTIONS:
        raise UsageError(
            f"a numbered question is {numbers[0]} to {numbers[-1]}: {name[:SHOWN]}", "for example: ddpm lab Q20"
        )
    return chosen(QUESTIONS, written(name), "question", *ELSE)


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
