"""The reference pages: commands from the parser, exit codes, settings and presets from the code that holds them."""

import argparse
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from unittest.mock import patch

from docs.paper_map import ROOT
from docs.tables import table, title

import ddpm
from ddpm.cli import main
from ddpm.cli.parser import COMMANDS
from ddpm.cli.terminal.speech import catalogue
from ddpm.errors import Ending, Failure
from ddpm.experiment.config import Experiment
from ddpm.experiment.presets import PRESETS
from ddpm.language import LANGUAGES, Text
from ddpm.models.networks import KINDS

ROOMS: Mapping[str, str] = {
    "diffusion": "The paper, one file for each idea",
    "sampling": "From noise to images",
    "models": "Networks",
    "analytic": "Data of which everything is known",
    "training": "Algorithm 1",
    "evaluation": "Likelihoods of a data set",
}
"""Packages whose modules the site shows, and what they hold."""
USUAL = (
    "ddpm.trained.opening",
    "ddpm.api",
    "ddpm.trained.model",
    "ddpm.trained.own",
    "ddpm.trained.measures.compared",
    "ddpm.trained.measures.distance",
    "ddpm.trained.measures.memorised",
    "ddpm.trained.measures.real_bytes",
    "ddpm.evaluation.images.score",
    "ddpm.evaluation.images.features.extractor",
    "ddpm.figures.images",
    "ddpm.figures.animation",
    "ddpm.report.answers.lab",
    "ddpm.report.answers.answer",
)
"""Modules whose public names are described on the page of names itself."""
ALONE = ("ddpm.tensors", "ddpm.seeds")
EXPLAINED = ROOT / "docs" / "reference" / "settings.txt"


def write_reference(folder: Path, named: Sequence[str]) -> None:
    """All pages below `folder`; `named` are modules that other pages link to, and which must therefore be shown."""
    (folder / "code").mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True, exist_ok=True)
        (folder / language / "commands.inc").write_text(commands_page(language), encoding="utf-8")
    (folder / "exit_codes.inc").write_text(exit_codes(), encoding="utf-8")
    (folder / "settings.inc").write_text(settings_page(), encoding="utf-8")
    (folder / "presets.inc").write_text(presets_page(), encoding="utf-8")
    shown = dict(code_pages(named))
    for name, text in shown.items():
        (folder / "code" / f"{name}.rst").write_text(text, encoding="utf-8")
    (folder / "names.inc").write_text(names("\n".join(shown.values())), encoding="utf-8")


# Commands


def parser_of(*typed: str) -> argparse.ArgumentParser:
    """The parser that answers ``ddpm ... --help``, whichever file made it."""
    asked: list[argparse.ArgumentParser] = []
    with (
        patch.object(argparse.ArgumentParser, "print_help", lambda self, file=None: asked.append(self)),
        suppress(SystemExit),
    ):
        main([*typed, "--help", "--language", "en"])
    return asked[0]


def commands() -> Mapping[str, argparse.ArgumentParser]:
    """Every command's parser, in the order of the help."""
    (choice,) = [a for a in parser_of()._actions if isinstance(a, argparse._SubParsersAction)]
    return {name: parser_of(name) for name in choice.choices}


REQUIRED, ONE_OF, IS = Text("required", "꼭 필요"), Text("one of", "이 가운데"), Text("what it is", "뜻")


def commands_page(language: str) -> str:
    """What can be typed, explained in a language."""
    return "".join(_command(name, parser, language) for name, parser in commands().items())


def _command(name: str, parser: argparse.ArgumentParser, language: str) -> str:
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    places = [action for action in shown if not action.option_strings]
    flags = [action for action in shown if action.option_strings]
    usage = " ".join(["ddpm", name, *(_value(action) for action in places), "[flags]"])
    usage = " ".join([usage, *(_flag(action, 0) for action in flags if action.required)])
    text = (f".. _command-{name}:\n\n" if language == "en" else "") + title(f"ddpm {name}", "-")
    about = parser.description if language == "en" else catalogue().in_korean(COMMANDS[name].ABOUT) + "."
    text += f"{_plain(about or '')}\n\n.. code-block:: console\n\n   $ {usage}\n\n"
    rows = [[f"``{_value(action)}``", _help(action, language)] for action in places]
    for action in flags:
        written = ", ".join(f"``{_flag(action, i)}``" for i in range(len(action.option_strings)))
        rows.append([written, _help(action, language)])
    return text + table(("", IS.in_language(language)), rows, (30, 70))


def _help(action: argparse.Action, language: str) -> str:
    text = _plain(action.help if language == "en" else catalogue().in_korean(action.help or ""))
    if action.choices and not all(str(choice) in text for choice in action.choices):
        text += f"; {ONE_OF.in_language(language)} {', '.join(f'``{choice}``' for choice in action.choices)}"
    return text + (f"; **{REQUIRED.in_language(language)}**" if action.required and action.option_strings else "")


def _flag(action: argparse.Action, i: int) -> str:
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return f"{action.option_strings[i]}{value}"


def _value(action: argparse.Action) -> str:
    if action.metavar:
        name = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    elif action.choices:
        name = "NAME"
    else:
        name = action.dest.upper()
    repeated = {"*": f"[{name} ...]", "+": f"{name} ...", "?": f"[{name}]"}
    return repeated.get(str(action.nargs), name)


def _plain(text: str) -> str:
    """Somebody's words as reStructuredText: nothing in them is markup, and flags are shown as code."""
    text = re.sub(r"([*`|\\])", r"\\\1", " ".join(text.replace("%%", "%").split()))
    text = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text)
    text = re.sub(r"(?<![\w`-])(--[a-z][a-z_-]*[a-z])(?=[가-힣])", r"``\1``\\ ", text)  # markup ends before a space
    return re.sub(r"(?<![\w`-])(--[a-z][a-z_-]*[a-z])", r"``\1``", text)


# Exit codes


def exit_codes() -> str:
    """Every exit code with the failures that have it."""
    kinds: dict[int, list[str]] = {0: ["Done"]}
    for kind in _kinds(Ending):
        says = inspect.getdoc(kind) or ""
        kinds.setdefault(kind.code, []).append(says.splitlines()[0].rstrip("."))
    kinds[Failure.code] = ["A bug of ours; the traceback is in a file that the message names"]
    return table(
        ("code", "what happened"), [[f"``{code}``", "; ".join(kinds[code])] for code in sorted(kinds)], (12, 88)
    )


def _kinds(kind: type[Ending]) -> Iterator[type[Ending]]:
    for child in kind.__subclasses__():
        if child.__module__ == Failure.__module__:
            yield child
            yield from _kinds(child)


# Settings and presets


def settings(kind: type = Experiment, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, allowed values and default of every field of config.json."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint, name = hints[field.name], f"{prefix}{field.name}"
        if isinstance(hint, type) and is_dataclass(hint):
            yield from settings(hint, f"{name}.")
        elif field.name == "model":
            yield from of_networks(f"{name}.")
        else:
            default = field.default_factory() if field.default is MISSING else field.default  # type: ignore[misc]
            yield name, allowed(hint), _written(default)


def of_networks(prefix: str) -> Iterator[tuple[str, str, str]]:
    """Those of every kind of network: of the paper's, then what others have beside them."""
    seen: set[str] = set()
    for kind in KINDS.values():
        found = [each for each in settings(kind, prefix) if each[0] not in seen]
        seen |= {name for name, _, _ in found}
        yield from found


def allowed(hint: Any) -> str:  # noqa: ANN401
    """A type in words: its kind and its limits."""
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        limits = [text for mark in marks for text in _limits(mark)]
        return ", ".join([allowed(kind), *limits])
    arguments = [a for a in get_args(hint) if a is not ...]
    if get_origin(hint) in (tuple, list, Sequence):
        return f"a list of: {allowed(arguments[0])}" if arguments else "a list"
    if get_origin(hint) in (dict, Mapping):
        return "names with numbers"
    if arguments:
        return " or ".join(allowed(a) if not isinstance(a, int | str) else str(a) for a in arguments)
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _limits(mark: Any) -> Iterator[str]:  # noqa: ANN401
    for attribute, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if getattr(mark, attribute, None) is not None:
            yield f"{words} {getattr(mark, attribute)}"
    if getattr(mark, "min_length", None):
        yield f"{mark.min_length} or more of them"
    if getattr(mark, "max_length", None):
        yield f"at most {mark.max_length} of them"


def _written(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "not given"
    if isinstance(value, tuple | list):
        return ",".join(str(part) for part in value) or "none"
    return str(value) if value not in ("", {}) else "none"


def explained() -> Mapping[str, str]:
    """One line on each setting, from docs/reference/settings.txt: ``name: words``."""
    lines = [line for line in EXPLAINED.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return dict(line.split(": ", 1) for line in lines)


def settings_page() -> str:
    """All settings, a table for each group."""
    words = explained()
    groups: dict[str, list[list[str]]] = {}
    for name, values, default in settings():
        group = name.rpartition(".")[0] or "The run as a whole"
        groups.setdefault(group, []).append(
            [f"``{name}``", words.get(name, ""), _plain(values), f"``{default}``"],
        )
    header = ("setting", "what it is", "values", "default")
    return "".join(title(group, "-") + table(header, rows, (26, 42, 20, 12)) for group, rows in groups.items())


def presets_page() -> str:
    """Every preset: what it is for, and what it sets beside the defaults."""
    text = ""
    for name, make in PRESETS.items():
        here = dict(_values(make()))
        usual = dict(_values(Experiment()))
        other = [
            [f"``{key}``", f"``{_written(here[key])}``"] for key in here if here[key] != usual[key] and key != "preset"
        ]
        says = " ".join((inspect.getdoc(make) or "").split())
        text += title(name, "-") + _plain(says) + "\n\n" + table(("setting", "value"), other, (40, 60))
    return text


def _values(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            yield from _values(inner, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", inner


# The code


def code_pages(named: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A page for each room: its modules, by autodoc."""
    pages = {room: [*_modules(room)] for room in ROOMS}
    inside = {module for modules in pages.values() for module in modules} | set(ALONE)
    pages["more"] = [*ALONE, *sorted(set(named) - inside)]
    about = {**ROOMS, "more": "Beside the paper"}
    for room, modules in pages.items():
        head = title(f"ddpm.{room}" if room in ROOMS else "Other modules") + f"{about[room]}.\n\n"
        yield room, head + "".join(title(name, "-") + f".. automodule:: {name}\n\n" for name in modules)


def _modules(room: str) -> Iterator[str]:
    package = importlib.import_module(f"ddpm.{room}")
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not found.name.rpartition(".")[2].startswith("_"):
            yield found.name


def names(shown: str) -> str:
    """Every name of ``ddpm.__all__``: the usual things described, the parts with a line and a link into the pages of `shown`."""
    here, rows = "", []
    for name in getattr(ddpm, "__all__", ()):
        if name.startswith("_"):
            continue
        value = getattr(ddpm, name)
        home = getattr(value, "__module__", "")
        if home in USUAL:
            here += f".. auto{'class' if inspect.isclass(value) else 'function'}:: ddpm.{name}\n\n"
        elif f".. automodule:: {home}\n" in shown:
            rows.append([f":py:obj:`ddpm.{name} <{home}.{value.__qualname__}>`", _summary(value)])
        elif isinstance(value, Mapping):
            rows.append([f"``ddpm.{name}``", "by name: " + ", ".join(f"``{key}``" for key in value)])
        else:
            rows.append([f"``ddpm.{name}``", _plain(_summary(value))])
    return here + (title("The parts", "-") + table(("name", "what it is"), rows, (34, 66)) if rows else "")


def _summary(value: object) -> str:
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
