"""The page of the numbered equations E1 to E92 that docstrings name, each with the code that names it."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.paper_map import ROOT
from docs.tables import title

LEDGER = ROOT / "docs" / "ledger.json"
NUMBER = re.compile(r"\bE(\d{1,2})(?:-E?(\d{1,2}))?\b")
GROUPS: Mapping[str, str] = {
    "E1": "Data and the forward process",
    "E18": "The bound",
    "E42": "Variances",
    "E47": "Means and losses",
    "E55": "Scores and Langevin dynamics",
    "E60": "The decoder",
    "E67": "Training and sampling",
    "E72": "Progressive coding and interpolation",
    "E81": "Network and training",
    "E85": "Data of which everything is known",
}
"""Where a new part begins."""


def equations() -> list[dict[str, str]]:
    """All of them: name, title, tex, says."""
    return json.loads(LEDGER.read_text(encoding="utf-8"))


def write_ledger(path: Path, packages: tuple[str, ...]) -> None:
    """The page, with links into these packages."""
    named: dict[str, list[str]] = {}
    for package in packages:
        for place, numbers in mentions(package):
            for number in numbers:
                named.setdefault(number, []).append(place)
    path.write_text("".join(_entry(row, named.get(row["name"], [])) for row in equations()), encoding="utf-8")


def _entry(row: Mapping[str, str], places: list[str]) -> str:
    text = title(GROUPS[row["name"]], "-") if row["name"] in GROUPS else ""
    text += f".. _{row['name']}:\n\n.. rubric:: {row['name']}. {row['title']}\n\n.. math::\n\n   {row['tex']}\n\n{row['says']}\n\n"
    return text + (f"In the code: {', '.join(places)}.\n\n" if places else "")


def mentions(package: str) -> Iterator[tuple[str, set[str]]]:
    """What in a package names equations, as a link, and which."""
    for path in sorted((ROOT / "src" / "ddpm" / package).rglob("*.py")):
        module = (
            path.relative_to(ROOT / "src").as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        )
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if numbers := numbers_in(ast.get_docstring(tree)):
            yield f":py:mod:`{module}`", numbers
        for node in tree.body:
            yield from _inside(node, module)


def _inside(node: ast.stmt, name: str) -> Iterator[tuple[str, set[str]]]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return
    inner = f"{name}.{node.name}"
    if numbers := numbers_in(ast.get_docstring(node)):
        yield f":py:obj:`{inner}`", numbers
    for child in node.body if isinstance(node, ast.ClassDef) else ():
        yield from _inside(child, inner)


def numbers_in(text: str | None) -> set[str]:
    """Of "E29, E31-E33" E29, E31, E32 and E33."""
    found = ((int(first), int(last or first)) for first, last in NUMBER.findall(text or ""))
    return {f"E{n}" for first, last in found for n in range(first, last + 1) if 1 <= n <= 92}
