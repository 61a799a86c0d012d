"""Which code says an equation, read from the docstrings themselves.

A docstring names what it holds as "Eq. 6-7", "Algorithm 1", or, where the paper has no number, "E31-E33". What stands in
parentheses with a year belongs to another paper.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

CODE = ("diffusion", "sampling", "training", "evaluation", "analytic")
"""The packages that hold the paper."""

_ELSEWHERE = re.compile(r"\([^()]*\b(?:19|20)\d\d[^()]*\)")
_NUMBERS = r"\d+(?:-\d+)?(?:(?:,| and)\s\d+(?:-\d+)?)*"
_MENTION = re.compile(rf"\b(?P<kind>Eq\.|Algorithms?)\s(?P<numbers>{_NUMBERS})|\b(?P<test>T\d+(?:(?:,| and)\sT\d+)*)\b")
_LEDGER = re.compile(r"\bE(\d{1,2})(?:-E?(\d{1,2}))?\b")


@dataclass(frozen=True)
class Place:
    """A module, class, function or method; `path` is below the folder that was searched."""

    path: str
    line: int
    name: str
    docstring: str

    @cached_property
    def labels(self) -> frozenset[str]:
        """What the docstring mentions, as `labels`."""
        return labels(self.docstring)

    @property
    def module(self) -> str:
        """As it is imported: ddpm.diffusion.forward."""
        return self.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def labels(text: str) -> frozenset[str]:
    """What a text mentions by the paper's numbers, or by a test's: of "Eq. 6-7" Eq. 6 and Eq. 7."""
    found: set[str] = set()
    for mention in _MENTION.finditer(_ELSEWHERE.sub("", text)):
        if mention["test"]:
            found |= set(re.findall(r"T\d+", mention["test"]))
            continue
        kind = "Eq." if mention["kind"] == "Eq." else "Algorithm"
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", mention["numbers"]):
            found |= {f"{kind} {n}" for n in range(int(first), int(last or first) + 1)}
    return frozenset(found)


def numbers_in(text: str | None) -> set[str]:
    """Of "E29, E31-E33" E29, E31, E32 and E33."""
    found = ((int(first), int(last or first)) for first, last in _LEDGER.findall(text or ""))
    return {f"E{n}" for first, last in found for n in range(first, last + 1) if 1 <= n <= 92}


def equations_in(text: str) -> set[str]:
    """All equations that a text mentions, the paper's and E1 to E92."""
    return {label for label in labels(text) if label.startswith(("Eq.", "Algorithm"))} | numbers_in(text)


def places(folder: Path, root: Path) -> Iterator[Place]:
    """Everything with a docstring in the Python files below a folder, their paths from `root`."""
    for path in sorted(folder.rglob("*.py")):
        yield from _walk(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(root).as_posix(), "")


def _walk(node: ast.AST, path: str, outer: str) -> Iterator[Place]:
    if isinstance(node, ast.Module):
        yield Place(path, 1, "", ast.get_docstring(node) or "")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            name = f"{outer}{child.name}"
            yield Place(path, child.lineno, name, ast.get_docstring(child) or "")
            yield from _walk(child, path, f"{name}.")


def where(label: str, among: Iterable[Place]) -> list[Place]:
    """Places that mention a label: functions if there are any, else modules."""
    all_ = [place for place in among if label in place.labels]
    return [place for place in all_ if place.name] or all_


@cache
def named_in_code() -> Mapping[str, Sequence[Place]]:
    """For each equation the classes and functions of the paper's packages whose docstrings name it."""
    package = Path(str(files("ddpm")))
    named: dict[str, list[Place]] = {}
    for folder in CODE:
        for place in places(package / folder, package.parent):
            for equation in equations_in(place.docstring) if place.name else ():
                named.setdefault(equation, []).append(place)
    return named
