"""The equations of the paper, the list of the tests' proofs, and the docstrings of this repository that name them."""

from collections.abc import Iterator
from pathlib import Path

from ddpm.laboratory.notes import mentions
from ddpm.laboratory.notes.mentions import Place, labels, where

__all__ = ["EQUATIONS", "PROOFS", "ROOT", "Place", "labels", "link", "places", "where"]

ROOT = Path(__file__).resolve().parents[1]
EQUATIONS = [*(f"Eq. {n}" for n in range(1, 27)), *(f"Algorithm {n}" for n in range(1, 5))]
PROOFS = [f"T{n}" for n in range(1, 24)]


def places(folder: str) -> Iterator[Place]:
    """Everything with a docstring in the Python files below a folder of the repository."""
    return mentions.places(ROOT / folder, ROOT)


def link(place: Place) -> str:
    """To its description on the site."""
    return f":py:obj:`{place.module}.{place.name}`" if place.name else f":py:mod:`{place.module}`"
