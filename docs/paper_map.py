"""Which code says each equation of the paper, and which test proves it, read from the docstrings themselves.

A docstring names what it holds as "Eq. 6-7", "Algorithm 1", or, in the numbers of the tests' list, "T13". What stands in
parentheses with a year belongs to another paper.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EQUATIONS = [*(f"Eq. {n}" for n in range(1, 27)), *(f"Algorithm {n}" for n in range(1, 5))]
PROOFS = [f"T{n}" for n in range(1, 24)]

_ELSEWHERE = re.compile(r"\([^()]*\b(?:19|20)\d\d[^()]*\)")
_NUMBERS = r"\d+(?:-\d+)?(?:(?:,| and)\s\d+(?:-\d+)?)*"
_MENTION = re.compile(rf"\b(?P<kind>Eq\.|Algorithms?)\s(?P<numbers>{_NUMBERS})|\b(?P<test>T\d+(?:(?:,| and)\sT\d+)*)\b")


@dataclass(frozen=True)
class Place:
    """A module, class, function or method and the labels that its docstring mentions."""

    path: str
    line: int
    name: str
    labels: frozenset[str]

    @property
    def module(self) -> str:
        """As it is imported: ddpm.diffusion.forward."""
        return self.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def labels(text: str) -> frozenset[str]:
    """What a text mentions: of "Eq. 6-7" Eq. 6 and Eq. 7."""
    found: set[str] = set()
    for mention in _MENTION.finditer(_ELSEWHERE.sub("", text)):
        if mention["test"]:
            found |= set(re.findall(r"T\d+", mention["test"]))
            continue
        kind = "Eq." if mention["kind"] == "Eq." else "Algorithm"
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", mention["numbers"]):
            found |= {f"{kind} {n}" for n in range(int(first), int(last or first) + 1)}
    return frozenset(found)


def places(folder: str) -> Iterator[Place]:
    """Everything with a docstring in the Python files below a folder of the repository."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield from _walk(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT).as_posix(), "")


def _walk(node: ast.AST, path: str, outer: str) -> Iterator[Place]:
    if isinstance(node, ast.Module):
        yield Place(path, 1, "", labels(ast.get_docstring(node) or ""))
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            name = f"{outer}{child.name}"
            yield Place(path, child.lineno, name, labels(ast.get_docstring(child) or ""))
            yield from _walk(child, path, f"{name}.")


def where(label: str, among: Iterable[Place]) -> list[Place]:
    """Places that mention a label: functions if there are any, else modules."""
    all_ = [place for place in among if label in place.labels]
    return [place for place in all_ if place.name] or all_
