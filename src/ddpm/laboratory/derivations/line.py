"""A derivation is a column of lines that all have one value; a slip is a line of the notes that has another.

The code of a line is ordinary Python on the quantities of a `place`: numbers, to see its value; or symbols of sympy, by
which the tests prove that a line follows from the one before.
"""

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from ddpm.laboratory.answer import Text

Value = Callable[[Any], Any]
"""From the quantities of a place to a number, or to an expression of sympy."""


@dataclass(frozen=True)
class Line:
    """A line: `tex`, how one comes to it from the line before (`rule`), and its `value`. `name` is the paper's, if it has one."""

    tex: str
    rule: Text
    value: Value
    name: str = ""

    @property
    def code(self) -> str:
        """The Python of `value`: `beta / sqrt(1 - alpha_bar)`."""
        return code_of(self.value)


@dataclass(frozen=True)
class Slip:
    """What the notes have in the place of line number `at`, counted from 0: `erratum` is its name in the errata."""

    erratum: str
    at: int
    tex: str
    value: Value

    @property
    def code(self) -> str:
        """As `Line.code`."""
        return code_of(self.value)


@dataclass(frozen=True)
class Derivation:
    """Lines with one value.

    Args:
        name: by which `ddpm lab` finds it.
        title: what is derived.
        where: file and line of the notes that ask for it, or that try it.
        quantity: what the lines are, as in a caption.
        place: makes the quantities at a t from a `Setting`'s schedule, t, x_0 and seed.
        lines: from the first to the last.
        slips: the notes' wrong lines.
        symbols: the same quantities for sympy; None where the lines hold integrals or matrices, which numbers check.
        tolerance: by how much the lines' numbers may differ, relative to the largest; rounding only.
    """

    name: str
    title: Text
    where: str
    quantity: Text
    place: Callable[..., Any]
    lines: Sequence[Line]
    slips: Sequence[Slip] = ()
    symbols: Callable[[], Any] | None = None
    tolerance: float = 1e-9


@cache
def _lambdas(module: ModuleType) -> dict[int, str]:
    """What the lambdas of a module return, as they are written, by the number of the line on which they begin."""
    source = inspect.getsource(module)
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(source)):  # from the outside in: a lambda in a lambda does not replace it
        if isinstance(node, ast.Lambda):
            found.setdefault(node.lineno, ast.get_source_segment(source, node.body) or "")
    return found


def code_of(value: Value) -> str:
    """What a `lambda p: ...` returns, on one line, without the `p.` before every quantity."""
    module = inspect.getmodule(value)
    assert module is not None
    code = " ".join(_lambdas(module)[value.__code__.co_firstlineno].split())
    code = re.sub(r"(?<=[(\[]) | (?=[)\]])", "", code)  # where brackets were broken over lines
    return re.sub(r"\(p\)|\bp\.|(?<=\()p, ", "", code).replace(",)", ")")
