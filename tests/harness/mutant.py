"""Functions of the package made wrong on purpose, as `tests/mutations.toml` says, in the source of a copy.

A mutation names a function, MODULE:NAME, and either what it `returns` instead, or a piece of its code, `old`, and what
stands there instead, `new`. Code is compared as syntax: layout, comments, parentheses and the rest of the function are free.
"""

import ast
import copy
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).resolve().parents[1] / "mutations.toml"


class Missing(Exception):
    """What a mutation speaks of is not in the source, or more than once."""


@dataclass(frozen=True)
class Mutation:
    """Function `target` does something else; then `test`, below tests, must fail. `proof` is what the test proves.

    In `returns`, an expression, stand the function's own arguments; `right`, the function as it is (of a method, without
    `self`); and `was`, what that returns for these arguments. A target may be a constant too. `old` is an expression,
    statements, or the head of a block, as "if x:"; it must be there once.
    """

    proof: str
    target: str
    test: str
    returns: str | None = None
    old: str | None = None
    new: str | None = None

    @property
    def file(self) -> Path:
        """Below the folder of the sources."""
        return Path(*self.target.partition(":")[0].split(".")).with_suffix(".py")

    def applied(self, source: str) -> str:
        """The source of the target's module, mutated."""
        return ast.unparse(self.mutated(ast.parse(source)))

    def mutated(self, tree: ast.Module) -> ast.Module:
        """The same as a tree, changed in place; `Missing` where there is nothing to change."""
        around, found = _find(tree, self.target.partition(":")[2])
        if self.returns is not None and isinstance(found, ast.FunctionDef):
            at = around.body.index(found)
            around.body[at : at + 1] = _returning(found, self.returns, around)
        elif self.returns is not None:
            found.value = ast.parse(self.returns, mode="eval").body
        else:
            _replace(found, self.old, self.new)
        return ast.fix_missing_locations(tree)


def mutations() -> list[Mutation]:
    """All of them."""
    return [Mutation(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutation"]]


def _find(tree, name):
    """A function, class or assigned name by its dotted name, and the block that it stands in."""
    around = found = tree
    for part in name.split("."):
        inside = [node for node in found.body if part in _names(node)]
        if len(inside) != 1:
            raise Missing(f"{name}: {part} is there {len(inside)} times")
        around, found = found, inside[0]
    return around, found


def _names(node):
    """What a statement gives a name to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _returning(function, returns, around):
    """The function under another name, and one of its own name that returns the expression."""
    right, wrong = copy.deepcopy(function), function
    right.name, right.decorator_list = f"_right_{function.name}", []
    own = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    given = [*own, *(f"*{rest.arg}" for rest in [function.args.vararg] if rest)]
    given += [f"{argument.arg}={argument.arg}" for argument in function.args.kwonlyargs]
    bound = right.name
    if isinstance(around, ast.ClassDef):
        bound, given = f"{own[0]}.{right.name}", given[1:]
    lines = [f"right = {bound}"]
    if re.search(r"\bwas\b", returns):
        lines.append(f"was = right({', '.join(given)})")
    wrong.body = ast.parse("\n".join([*lines, f"_ = {returns}"])).body
    wrong.body[-1] = ast.Return(wrong.body[-1].value)
    wrong.returns = None  # what is wrong may be of another type
    return [right, wrong]


def _replace(found, old, new):
    """In a function, the one place that is like `old` becomes `new`: the head of a block, statements, or an expression."""
    if old.endswith(":"):
        places = _heads(found, ast.parse(f"{old} ...").body[0])
        replace = ast.parse(f"{new} ...").body[0].test
    else:
        pattern, replace = ast.parse(old).body, ast.parse(new).body
        whole = len(pattern) != 1 or len(replace) != 1 or not isinstance(pattern[0], ast.Expr)
        if whole or not isinstance(replace[0], ast.Expr):
            places, replace = _statements(found, pattern), replace or [ast.Pass()]
        else:
            places, replace = _expressions(found, pattern[0].value), replace[0].value
    places = list(places)
    if len(places) != 1:
        raise Missing(f"{found.name}: {old!r} is there {len(places)} times")
    node, field, at = places[0]
    if at is None:
        setattr(node, field, replace)
    else:
        getattr(node, field)[at] = replace


def _heads(found, pattern):
    """Where an `if` or `while` asks this."""
    for node in ast.walk(found):
        if isinstance(node, type(pattern)) and _dump([node.test]) == _dump([pattern.test]):
            yield node, "test", None


def _statements(found, pattern):
    """Where statements follow one another in a block."""
    for node in ast.walk(found):
        for field, block in ast.iter_fields(node):
            for at in range(len(block) if isinstance(block, list) else 0):
                if _dump(block[at : at + len(pattern)]) == _dump(pattern):
                    yield node, field, slice(at, at + len(pattern))


def _expressions(found, pattern):
    """Where an expression stands."""
    for node in ast.walk(found):
        for field, value in ast.iter_fields(node):
            for at, child in enumerate(value if isinstance(value, list) else [value]):
                if type(child) is type(pattern) and _dump([child]) == _dump([pattern]):
                    yield node, field, at if isinstance(value, list) else None


def _dump(nodes):
    return [ast.dump(node) if isinstance(node, ast.AST) else node for node in nodes]
