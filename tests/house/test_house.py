"""The house rules that no tool checks: sizes, silence, safety, and that what is typed in the help is what exists."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm.cli import parser
from ddpm.cli.flags import names
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.diffusion.variance import VARIANCES
from ddpm.experiment.presets import PRESETS
from ddpm.models.precision import PRECISIONS
from ddpm.sampling import SAMPLERS
from ddpm.sampling.timesteps import SPACINGS
from ddpm.trained.edit import METHODS
from ddpm.trained.interpolate import ENCODINGS
from ddpm.training.replicas import PARALLEL

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def crowded(text):
    """What in a file is too long, or missing: at most 500 lines, a module docstring of at most 8, functions of one screen of code."""
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    if len(text.splitlines()) > 500:
        yield "more than 500 lines"
    if not docstring:
        yield "no module docstring"
    elif len(docstring.splitlines()) > 8:
        yield "a module docstring of more than 8 lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            explained = node.body[0].end_lineno - node.body[0].lineno if ast.get_docstring(node) else 0
            if node.end_lineno - node.lineno - explained >= 60:
                yield f"{node.name}: 60 lines or more, beside the docstring"


def test_a_file_holds_one_idea():
    wrong = [f"{path.relative_to(ROOT)}: {what}" for path in SOURCES for what in crowded(path.read_text())]
    assert len(SOURCES) > 100
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""A."""\n' + "x = 1\n" * 500, "more than 500 lines"),
        ("x = 1", "no module docstring"),
        ('"""A.' + "\nB" * 8 + '"""', "a module docstring of more than 8 lines"),
        ('"""A."""\nclass A:\n    def f():\n' + "        x = 1\n" * 60, "f: 60 lines or more, beside the docstring"),
    ],
    ids=["file", "silent", "docstring", "function"],
)
def test_what_is_too_long_is_seen(text, found):
    assert list(crowded(text)) == [found]


MANY = {
    "diffusion": "a file for each idea of the paper",
    "sampling": "a file for each sampler",
    "run": "a file for each part of a run",
    "laboratory": "a file for each group of questions",
    "cli": "a file for each command",
    "codec": "a file for each part of the code",
    "trained": "a file for each thing that a model does",
}
"""Folders of more than twelve files, and why."""


def test_a_folder_is_a_room():
    """At most twelve files beside `__init__.py`, where nothing says why there are more."""
    folders = {path.parent for path in SOURCES}
    files = {folder: len(list(folder.glob("[!_]*.py"))) for folder in folders}
    full = {str(folder.relative_to(ROOT / "src" / "ddpm")) for folder, count in files.items() if count > 12}
    assert full == set(MANY)


def test_tests_lie_in_the_rooms_of_what_they_test():
    """Below tests/, a folder is a room of the source; but for the house itself, the examples, and what tests share."""
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py")}
    rooms = {path.parent.relative_to(ROOT / "src" / "ddpm").as_posix() for path in SOURCES}
    assert not folders - rooms - {"house", "harness", "examples"}
    assert not list((ROOT / "tests" / "harness").glob("test_*.py"))


EXECUTES = {"eval", "exec", "compile", "__import__", "importlib.import_module", "os.system", "os.popen", "os.startfile"}
"""No way from a string to code. (`torch.compile` and `re.compile` are others.)"""
UNPICKLES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "subprocess",
    "runpy",
}


STARTS = ("subprocess", "workers.py")
"""Who may start processes: those that decode images, by a fixed command."""


def _modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def executed(tree):
    """What in a file could run somebody else's code, by line."""
    for name in _modules(tree):
        if name.split(".")[0] in UNPICKLES:
            yield name
    for name, node in _calls(tree):
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        safe = {kind: isinstance(given.get(kind), ast.Constant) and given[kind].value for kind in given}
        if name in EXECUTES:
            yield name
        if name in ("torch.load", "torch.serialization.load") and safe.get("weights_only") is not True:
            yield name
        if name in ("np.load", "numpy.load") and not ("allow_pickle" in given and safe["allow_pickle"] is False):
            yield name


def test_the_library_neither_prints_nor_unpickles():
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        assert [name for name in executed(tree) if (name, path.name) != STARTS] == [], path
        if "cli" not in path.relative_to(ROOT / "src" / "ddpm").parts:
            assert not [node.lineno for name, node in _calls(tree) if name == "print"], path


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=asked)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "importlib.import_module(name)",
    ],
)
def test_what_would_unpickle_is_seen(line):
    assert list(executed(ast.parse(line)))


def test_every_durable_operation_goes_through_one_module():
    """Nothing else flushes, and what makes checkpoints neither writes nor removes by itself."""
    for path in SOURCES:
        names = {name.split(".")[-1] for name, _ in _calls(ast.parse(path.read_text()))}
        if path.name == "durable.py":
            assert {"fsync", "unlink", "rmdir", "mkdir", "replace"} <= names
        elif path.parent.name in ("training", "checkpoints", "storage") and path.name != "atomic.py":
            assert not names & {"fsync", "unlink", "rmdir", "rmtree", "mkdir", "write_bytes", "write_text"}, path


def test_nothing_in_the_project_knows_the_workplace():
    """No path of a developer's machine, and nothing at run time that users do not have."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in files:
        if name.endswith((".py", ".md", ".toml", ".txt", ".yml")) and name != "tests/house/test_house.py":
            assert not re.search(r"/work/(main|shared|\.library)", (ROOT / name).read_text()), name
    for path in SOURCES:
        assert "shared/" not in path.read_text(), path


@pytest.mark.parametrize(
    ("text", "mapping"),
    [(names.PRESETS, PRESETS), (names.SCHEDULES, SCHEDULES)],
    ids=["presets", "schedules"],
)
def test_the_help_names_what_exists(text, mapping):
    assert text.split(", ") == list(mapping)


@pytest.mark.parametrize(
    ("command", "flag", "mapping"),
    [
        ("train", "--prediction", PREDICTIONS),
        ("train", "--variance", VARIANCES),
        ("train", "--objective", OBJECTIVES),
        ("train", "--precision", PRECISIONS),
        ("train", "--set", PARALLEL),
        ("sample", "--sampler", SAMPLERS),
        ("sample", "--spacing", {**SPACINGS, "optimal": None}),
        ("evaluate", "--variance", {**VARIANCES, "optimal": None}),
        ("inpaint", "--sampler", SAMPLERS),
        ("inpaint", "--spacing", {**SPACINGS, "optimal": None}),
        ("inpaint", "--method", METHODS),
        ("edit", "--sampler", SAMPLERS),
        ("edit", "--spacing", {**SPACINGS, "optimal": None}),
        ("interpolate", "--encoding", ENCODINGS),
    ],
)
def test_every_choice_is_in_its_help(command, flag, mapping):
    help_text = " ".join(parser._parsers()[1][command].format_help().split("examples:")[0].split())
    described = help_text[help_text.rindex(f"{flag} ") :]
    for name in mapping:
        assert name in described[:260], name


def test_help_imports_nothing_heavy():
    """`ddpm --help` answers at once: no torch, numpy or matplotlib in a fresh interpreter."""
    code = (
        "import sys\nfrom ddpm.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "print(sorted({'torch', 'numpy', 'matplotlib', 'pydantic', 'PIL', 'jaxtyping'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "ddpm demo" in done.stdout


HEAVY = "{'matplotlib', 'tensorboard', 'scipy.stats', 'scipy.integrate', 'scipy.optimize', 'torch._dynamo', 'sympy', 'sklearn'}"
"""What takes a second to import, and only a report, a likelihood, a codec or a compiler needs."""


def _heavy(code, *arguments):
    """Which of `HEAVY` a command had imported when it printed them."""
    code = f"import os, sys\n{code}".replace("SEEN", f"print('seen', sorted({HEAVY} & set(sys.modules)), flush=True)")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (seen,) = [line for line in done.stdout.splitlines() if line.startswith("seen")]
    return seen


def test_training_begins_without_what_draws_its_report(tmp_path):
    """A run waits for nothing heavy up to the end of its first step: half of the time that it took to begin was imports."""
    code = """
from ddpm.training import trainer
update = trainer.update
def first(*parts):
    assert update(*parts).step == 1
    SEEN
    os._exit(0)
trainer.update = first
from ddpm.cli import main
main(sys.argv[1:])
"""
    small = "model.channels=8", "model.blocks=1", "training.batch_size=2"
    settings = [word for setting in small for word in ("--set", setting)]
    asked = "--data", "digits", "--output-dir", tmp_path / "run", "--steps", "1"
    assert _heavy(code, "train", *asked, *settings) == "seen []"


def test_sampling_imports_nothing_that_it_does_not_use(tmp_path):
    code = "from ddpm.cli import main\nassert main(sys.argv[1:]) == 0\nSEEN"
    asked = "--num", "1", "--steps", "1", "--grid", tmp_path / "grid.png", "--output-dir", tmp_path / "images"
    assert _heavy(code, "sample", "ddpm:mnist", *asked) == "seen []"
    assert (tmp_path / "grid.png").exists()


def test_a_schedule_is_told_without_what_would_plot_it():
    assert _heavy("from ddpm.cli import main\nassert main(sys.argv[1:]) == 0\nSEEN", "schedule", "linear") == "seen []"


def test_what_benchmarks_and_pages_import_exists():
    """They are seldom run: a name that moves must take them along."""
    files = [path for folder in ("benchmarks", "docs", "examples") for path in (ROOT / folder).rglob("*.py")]
    nodes = [(path.name, node) for path in files for node in ast.walk(ast.parse(path.read_text()))]
    asked = [
        (file, node.module, alias.name)
        for file, node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "ddpm"
        for alias in node.names
    ]
    missing = [
        (file, module, name)
        for file, module, name in asked
        if not hasattr(importlib.import_module(module), name) and not importlib.util.find_spec(f"{module}.{name}")
    ]
    assert len(asked) > 100
    assert not missing


def test_the_readme_runs(tmp_path, monkeypatch):
    """Every python block of the README, in order, in one namespace."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)


def test_the_readme_shows_every_package():
    """The annotated tree names each folder and top-level module of the source."""
    readme = (ROOT / "README.md").read_text()
    for path in sorted((ROOT / "src" / "ddpm").iterdir()):
        if path.name.startswith("_") or path.name == "py.typed":
            continue
        assert (f"{path.name}/" if path.is_dir() else path.name) in readme, path.name


def without_encoding(tree):
    """Text files that are read or written in whatever encoding the machine happens to have, by line."""
    for name, node in _calls(tree):
        given = {keyword.arg for keyword in node.keywords}
        text = name.endswith((".read_text", ".write_text")) or (
            name.split(".")[-1] == "open" and any(_is_text_mode(argument) for argument in node.args)
        )
        if text and "encoding" not in given:
            yield node.lineno


def _is_text_mode(argument):
    """Whether it is a mode such as "r" or "a+"."""
    value = argument.value if isinstance(argument, ast.Constant) else ""
    return isinstance(value, str) and value != "" and set(value) <= set("rwax+")


def test_every_text_file_has_an_encoding():
    for path in SOURCES:
        assert not list(without_encoding(ast.parse(path.read_text(encoding="utf-8")))), path


@pytest.mark.parametrize("line", ["path.read_text()", "a.b().write_text(x)", 'open(path, "w")', 'path.open("a+")'])
def test_what_has_no_encoding_is_seen(line):
    assert list(without_encoding(ast.parse(line)))
    assert not list(without_encoding(ast.parse(f'{line[:-1]}, encoding="utf-8")'.replace("(, ", "("))))
