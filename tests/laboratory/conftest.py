"""Answers at the paper's setting, computed once."""

from functools import lru_cache

import pytest

from ddpm.diffusion.schedule import linear
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.questions import ask, find


@pytest.fixture(scope="session")
def answers():
    """A function from a question's name to its answer at linear, T = 1000 (or another), seed 0."""
    return lru_cache(maxsize=None)(lambda name, T=1000: ask(find(name), Setting("linear", linear(T))))
