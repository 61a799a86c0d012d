"""Every test of the list in the docstrings, from the first to the 23rd, can fail: functions broken on purpose.

They stand in `tests/mutations.toml`. The long tier runs each on a copy of the package in which that one function is wrong;
the fast one sees to it that the list stays complete and that what it names exists.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.paper_map import PROOFS, places

from tests.harness.mutant import Missing, Mutation, mutations

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
MUTATIONS = mutations()


def test_what_they_name_exists():
    """The function, what is changed in it, and the test."""
    wrong = []
    assert len({mutation.proof for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        try:
            mutation.mutated(ast.parse((SOURCES / mutation.file).read_text(encoding="utf-8")))
        except (Missing, OSError) as error:
            wrong.append(f"{mutation.proof}: {error}")
        file, _, function = mutation.test.partition("::")
        path = ROOT / "tests" / file
        if not path.exists() or f"def {function}(" not in path.read_text(encoding="utf-8"):
            wrong.append(f"{mutation.proof}: {mutation.test} is not there")
    assert not wrong, "\n".join(wrong)


def test_every_proof_has_a_mutation_of_its_own():
    """The test that has to fail is one whose docstring says that it is T-n."""
    tests = {f"{place.path.removeprefix('tests/')}::{place.name}": place.labels for place in places("tests")}
    found = {m.proof: m.test for m in MUTATIONS if re.fullmatch(r"T\d+", m.proof)}
    assert set(found) == set(PROOFS)
    assert all(proof in tests[test] for proof, test in found.items())


SOURCE = """
LIMIT = 5

class Table:
    @property
    def low(self):
        return self.first  # a remark

    def larger(self, number, *, by=1):
        if number > LIMIT:
            return (number
                    + by)
        self.note()
        return number

    def note(self):
        self.noted = True

    first = 3
"""


@pytest.mark.parametrize(
    ("target", "change", "found"),
    [
        ("Table.low", {"returns": "2 * was"}, (6, 7, True, 2)),
        ("Table.larger", {"returns": "right(number + 1, by=2 * by)"}, (3, 9, True, 3)),
        ("Table.larger", {"old": "number + by", "new": "number - by"}, (3, 5, True, 2)),
        ("Table.larger", {"old": "if number > LIMIT:", "new": "if True:"}, (3, 7, False, 3)),
        ("Table.larger", {"old": "self.note()", "new": ""}, (3, 7, False, 2)),
        ("Table", {"old": "self.noted = True", "new": "self.noted = 2\nself.more = 1"}, (3, 7, 2, 2)),
        ("LIMIT", {"returns": "9"}, (3, 6, True, 2)),
    ],
)
def test_a_function_is_made_wrong(target, change, found):
    inside = {}
    exec(Mutation("", f"m:{target}", "", **change).applied(SOURCE), inside)
    table = inside["Table"]()
    low, larger, small = table.low, table.larger(6), table.larger(2)
    assert (low, larger, getattr(table, "noted", False), small) == found


@pytest.mark.parametrize(
    ("target", "old"), [("Table.lower", "x"), ("Table.larger", "number - by"), ("Table.larger", "number"), ("x", "y")]
)
def test_what_is_not_there_once_is_told(target, old):
    with pytest.raises(Missing):
        Mutation("", f"m:{target}", "", old=old, new="1").applied(SOURCE)


def _run(package, *nodes):
    """The tests on a package that lies elsewhere."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *(f"tests/{node}" for node in nodes)]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path):
    """A copy of the package."""
    return shutil.copytree(SOURCES, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_an_unbroken_copy_passes(copied):
    said = _run(copied, *sorted({mutation.test for mutation in MUTATIONS}))
    assert said.returncode == 0, said.stdout[-2000:]


@pytest.mark.long
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.proof)
def test_a_broken_function_is_noticed(copied, mutation):
    path = copied / mutation.file
    path.write_text(mutation.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
    said = _run(copied, mutation.test)
    assert said.returncode == 1, said.stdout[-2000:]
    assert "FAILED tests/" in said.stdout, said.stdout[-2000:]
