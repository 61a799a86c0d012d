"""Whatever a command says has a Korean entry, every entry is of something that is said, and nothing of what it tells is lost."""

import argparse
import ast
import inspect
import json
import os
import re
from functools import cache

import pytest

from ddpm import catalogue
from ddpm.cli.terminal import speech
from tests.house.test_hints import GAP, KINDS, ROOT, SOURCES, named, texts

HOUSE = ROOT / "src" / "ddpm"
ENTRIES = speech.entries()
ALL = {english: korean for room in ENTRIES.values() for english, korean in room.items()}
OF_PYTHON = (
    "__init__.py",
    "api.py",
    "checks.py",
    "figures/animation.py",
    "figures/images.py",
    "report/answers/lab.py",
    "run/given_data.py",
    "trained/measures/compared.py",
    "trained/model.py",
    "trained/opening.py",
    "trained/own.py",
)
"""What only `import ddpm` reaches: no command does."""
SAME = {
    *("{}", "{} --help", "ddpm lab {}", "ddpm lab table-2 --budget 3m", "hf auth login"),
    *("pip install 'ddpm[hub]'", "pip install 'ddpm[parquet]'", "pip install 'ddpm[onnx]'", "auto, fp32, bf16, fp16"),
    *("fixed-large, fixed-small, learned", "simple, weighted, variational, hybrid", "repaint, replace, ddnm (repaint)"),
}
"""What is typed, and names: the same in Korean."""
PYTHON = {
    "the {} of a process is a {}, such as {}, not {}",
    "the {} of a process is a function, not {}",
    "ddpm.train takes a Schedule",
    "max_broken is a fraction, 0..1, not {}",
    "a network is called with (x_t, timestep), and labels third: {}",
    "a denoiser is a function (x, sigma), and labels third, not {}",
    "a denoiser is called with (x, sigma), and labels third: {}",
    "the schedule is a ddpm.Schedule, such as ddpm.cosine(), not {}",
    "p with decoder=ddpm.discretised({}) scores them",
    "print(ddpm.Experiment()) shows all of them",
}
"""Of the call of a function: no flag leads there."""
SAYS = {"say", "note", "told", "question", "Noted", "refuse", "warn", "bar.say", "bar.show", "said", "tell"}
SHOWS = {"track", "Bar"}
"""Calls whose label is followed by progress."""
DETAILS = {"ValueError", "Damaged", "Fault", "tarfile.ReadError", "Newer", "OSError"}


def _said(node):
    """The arguments of a call that somebody reads."""
    kind = ast.unparse(node.func)
    if kind in KINDS or kind in ("kind", "failure"):
        return node.args
    if kind in SAYS:
        return node.args[:1]
    if kind in SHOWS:
        return [argument for argument in node.args[1:] if isinstance(argument, ast.Constant)]
    if kind.endswith(("ArgumentTypeError", "add_argument_group")):
        return node.args
    return [keyword.value for keyword in node.keywords if keyword.arg == "help"]


@cache
def templates():
    """What can be said, with `GAP` for what is filled in, and where."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    modules = {path.relative_to(ROOT / "src").with_suffix("").as_posix().replace("/", "."): path for path in SOURCES}
    own = {path: named(tree) for path, tree in trees.items()}
    found = {}
    for path, tree in trees.items():
        if path.relative_to(HOUSE).as_posix() in OF_PYTHON:
            continue
        names = dict(own[path])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                known = own[modules[node.module]]
                names = {alias.name: known[alias.name] for alias in node.names if alias.name in known} | names
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for text in (text for argument in _said(node) for text in texts(argument, names)):
                    bare = re.sub(r"^(\{\}  |ddpm: |warning: |error: |hint: )+", "", text).strip()
                    if re.search("[a-z]{2,}", bare.replace(GAP, "")) and not re.search("[가-힣]", bare):
                        found.setdefault(bare, f"{path.relative_to(HOUSE)}:{node.lineno}")
        about = names.get("ABOUT", []) if path.parent.name == "cli" else []
        found |= {text: path.name for value in about for text in texts(value, names)}
    return found


def _makes(template, entry):
    """Whether the words of the template stand in the entry, from its beginning to its end, with anything in the gaps."""
    begin, *middle = template.split(GAP)
    if not middle:
        return template == entry
    *middle, end = middle
    return (
        entry.startswith(begin) and _makes_on(middle, entry[len(begin) : len(entry) - len(end)]) and entry.endswith(end)
    )


def _makes_on(parts, rest):
    for part in parts:
        _, found, rest = rest.partition(part) if part else ("", "-", rest)
        if not found:
            return False
    return True


def test_everything_that_is_said_has_an_entry():
    """One of the same words: its gaps may hold words of ours, as "is read-only" in "cannot write {}: {} {}"."""
    assert len(templates()) > 580
    left = {
        t: where
        for t, where in templates().items()
        if t not in ALL and not any(part in entry and _makes(t, entry) for part in [_longest(t)] for entry in ALL)
    }
    bare = {t: where for t, where in left.items() if t not in SAME | PYTHON}
    assert not bare, "\n".join(f"{where}: {template}" for template, where in bare.items())


def test_what_is_the_same_in_korean_is_said():
    for template in SAME - {"{}"} | PYTHON:
        assert template in templates(), template


@cache
def _pieces():
    """All texts of the house of which entries may be made, those of argparse and of the operating system too."""
    found = set(templates())
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {text.strip() for node in ast.walk(tree) for text in texts(node, {})}
    parser = ast.parse(inspect.getsource(argparse))
    found |= {re.sub(r"%(\(\w+\))?[srd]", GAP, text) for node in ast.walk(parser) for text in texts(node, {})}
    return found | {os.strerror(number) for number in range(1, 140)}


def _letters(text):
    return sum(map(len, re.findall("[A-Za-z]+", catalogue.GAP.sub("", text.replace(GAP, "")))))


def _longest(piece):
    """Of the words between gaps: where they are not, the rest need not be looked for."""
    return max(piece.split(GAP), key=len)


def _stands_in(piece, entry):
    """Whether its words are in the entry, in order."""
    return _makes_on(piece.split(GAP), entry)


COUNTED = re.compile(
    r"\{n\} (?:(?:broken |test |train |validation )?(?:image|class|step|thread|answer|evaluation|file)(?:e?s)?(?:,? .*)?"
    r"|[sh]|gone|added|changed|relabelled|decoded otherwise)"
)
"""Numbers of things, which `counted` makes, and what is said with them; seconds and hours; kinds of change to data."""
MADE = {
    "argument {name}: expected one argument": "of two messages of argparse",
    "the mask is {n}x{n} pixels, the image {n}x{n}, of another shape: both are cut to their middle": "of two texts",
    "the data as understood: {words}; {n} held out, {words}{more}{more}": "without a folder",
}


@pytest.mark.parametrize("room", speech.ROOMS)
def test_no_entry_is_of_what_nobody_says(room):
    pieces = [(piece, _letters(piece), _longest(piece)) for piece in _pieces() if _letters(piece) > 1]
    dead = [
        entry
        for entry in ENTRIES[room]
        if _letters(entry)
        and not COUNTED.fullmatch(entry)
        and not any(
            part in entry and 2 * letters >= _letters(entry) and _stands_in(piece, entry)
            for piece, letters, part in pieces
        )
    ]
    assert [entry for entry in dead if entry not in MADE] == []


@pytest.mark.parametrize("room", speech.ROOMS)
def test_entries(room):
    """Sorted, Korean, with every gap of the English, and no English sentence left in them."""
    entries = ENTRIES[room]
    assert list(entries) == sorted(entries)
    for english, korean in entries.items():
        gaps = [gap for gap in catalogue.GAP.findall(english) if gap != "{is}"]
        assert {int(place) for place in re.findall(r"\{(\d+)\}", korean)} == set(range(len(gaps))), english
        assert not re.search(r"\{(?!\d+\}|\.\.\.)", korean), korean
        assert re.search("[가-힣]", korean) or len(english.split()) < 5, english
        assert english == english.strip(), english


def test_no_text_is_in_two_rooms():
    assert sum(map(len, ENTRIES.values())) == len(ALL)


def test_the_files_are_as_they_are_written():
    """One entry a line, in the order of the alphabet, so that two people add two of them."""
    for room, entries in ENTRIES.items():
        text = (HOUSE / "cli" / "korean" / f"{room}.json").read_text(encoding="utf-8")
        assert text == json.dumps(entries, ensure_ascii=False, indent=1) + "\n"
