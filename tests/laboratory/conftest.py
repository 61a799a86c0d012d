"""Answers at the paper's setting, computed once; and what verdicts might have said."""

import sys
from functools import lru_cache

import pytest

from ddpm.diffusion.schedule import linear
from ddpm.laboratory.answer import Setting, Text
from ddpm.laboratory.questions import ask, find
from ddpm.laboratory.verdict import verdict


@pytest.fixture(scope="session")
def answers():
    """A function from a question's name to its answer at linear, T = 1000 (or another), seed 0."""
    return lru_cache(maxsize=None)(lambda name, T=1000: ask(find(name), Setting("linear", linear(T))))


@pytest.fixture
def every_case(monkeypatch):
    """The Korean of every case of a verdict, with the numbers of this answer, whether it holds or not."""
    said = []

    def recorded(*cases):
        said.extend(Text(en, ko).ko for _, en, ko in cases)
        return verdict(*cases)

    for name, module in list(sys.modules.items()):
        if name.startswith("ddpm.laboratory.") and getattr(module, "verdict", None) is verdict:
            monkeypatch.setattr(module, "verdict", recorded)
    return said
