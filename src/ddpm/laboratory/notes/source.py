"""The code that a statement of the notes points to: its file, its first line and its text."""

import ast
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """`name` is dotted, below `ddpm`; `path` begins with the package: ddpm/diffusion/forward.py."""

    name: str
    path: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """ddpm/diffusion/forward.py:35."""
        return f"{self.path}:{self.line}"


@cache
def source_of(name: str) -> Source:
    """The class, function, method or property `ddpm.{name}`, such as "diffusion.forward.ForwardProcess.step".

    It is read from the file, as a decorated function does not know where it was written.

    Raises:
        LookupError: there is none.
    """
    package, parts = Path(str(files("ddpm"))), name.split(".")
    length = next((n for n in range(len(parts), 0, -1) if package.joinpath(*parts[:n]).with_suffix(".py").exists()), 0)
    path = package.joinpath(*parts[:length]).with_suffix(".py")
    if not length:
        raise LookupError(name)
    text = path.read_text(encoding="utf-8")
    inside, node = ast.parse(text).body, None
    for part in parts[length:]:
        found = (child for child in inside if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == part)
        node = next(found, None)
        inside = node.body if node is not None else []
    if node is None:
        raise LookupError(name)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return Source(name, path.relative_to(package.parent).as_posix(), node.lineno, textwrap.dedent("\n".join(lines)))
