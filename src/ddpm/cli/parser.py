"""What can be typed: the commands, and errors of one line."""

import argparse
import difflib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

from ddpm.cli import (
    compare,
    compress,
    data,
    decompress,
    demo,
    distance,
    edit,
    evaluate,
    explore,
    export_model,
    import_model,
    inpaint,
    inspect_file,
    interpolate,
    lab,
    rate_distortion,
    sample,
    schedule,
    train,
    verify,
)
from ddpm.cli.flags import groups
from ddpm.cli.terminal.speech import asked, said
from ddpm.errors import UsageError
from ddpm.report.text import wrapped
from ddpm.version import VERSION

GROUPS: Mapping[str, Mapping[str, ModuleType]] = {
    "start": {"demo": demo, "train": train, "sample": sample, "evaluate": evaluate, "compare": compare},
    "with an image": {"inpaint": inpaint, "edit": edit, "interpolate": interpolate},
    "as files": {
        "compress": compress,
        "decompress": decompress,
        "inspect": inspect_file,
        "rate-distortion": rate_distortion,
    },
    "other libraries": {"import": import_model, "export": export_model},
    "look inside": {
        "explore": explore,
        "distance": distance,
        "schedule": schedule,
        "lab": lab,
        "data": data,
        "verify": verify,
    },
}
"""The commands: each is a file with `ABOUT`, `EXAMPLES`, `flags(parser)` and `run(options)`."""
COMMANDS: Mapping[str, ModuleType] = {name: file for group in GROUPS.values() for name, file in group.items()}

EXAMPLES = """\
ddpm demo
ddpm train --data photos --output-dir runs/mine --set data.resolution=32
ddpm sample runs/mine --num 16 --output-dir out
ddpm evaluate runs/mine --data photos
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """argparse's, with names that are not broken at a hyphen, and a first line of what is required alone."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return list(wrapped(said(text), width))

    def start_section(self, heading: str | None) -> None:
        """Its title in the language of the command."""
        super().start_section(heading and said(heading))

    def _format_usage(
        self, usage: str | None, actions: Iterable[Any], groups: Iterable[Any], prefix: str | None
    ) -> str:
        if usage is None:
            parts = [_typed(action) for action in actions if not action.option_strings]
            parts += [_typed(action) for action in actions if action.option_strings and action.required]
            one_of = [group._group_actions for group in groups if group.required]
            parts += [f"({' | '.join(_typed(action) for action in choices)})" for choices in one_of]
            whole = " ".join(part.replace(" ", "\0") for part in [self._prog, *parts, "[flags]"])
            usage = textwrap.fill(whole, self._width - 8, subsequent_indent=" " * 9, break_on_hyphens=False)
        return said(f"usage: {usage}").replace("\0", " ") + "\n\n"


def _typed(action: argparse.Action) -> str:
    """How an argument is typed: RUN, [QUESTION], --num N or --colour."""
    words = [*action.option_strings[:1], *([str(action.metavar)] if action.metavar else [])]
    return f"[{' '.join(words)}]" if action.nargs == "?" else " ".join(words)


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line and the nearest flag as a hint."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **{"formatter_class": Help, "allow_abbrev": False, "add_help": False, **options})

    def knows(self, flag: str) -> bool:
        """Whether it is one of its flags."""
        return flag in self._option_string_actions

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a page.

        Raises:
            UsageError: always.
        """
        hints = []
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if message.startswith("unrecognized arguments"):
            near = difflib.get_close_matches(unknown.split("=")[0], self._option_string_actions, n=1)
            hints = [f"did you mean {near[0]}?"] if near else []
        if ": invalid choice: " in message and message.startswith("argument COMMAND"):
            typed = message.split(": invalid choice: '")[1].split("'", maxsplit=1)[0]
            near = difflib.get_close_matches(typed, COMMANDS, n=1)
            hints = [f"did you mean {near[0]}?"] if near else []
        if message.endswith("expected one argument"):
            flag = message.removeprefix("argument ").split(":")[0]
            action = self._option_string_actions.get(flag)
            hints = [f"it is typed {flag} {action.metavar}"] if action is not None else []
        raise UsageError(message, *hints, f"{self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its flags; `--batch_size` is taken for `--batch-size`.

    Raises:
        UsageError: what was typed makes no sense.
    """
    parser, commands = _parsers()
    dashed = [_dashed(argument) for argument in arguments]
    for command in commands.values():  # also where it is typed before the command
        command.set_defaults(language=asked(dashed))
    _refuse_unknown(dashed, commands)
    namespace, unknown = parser.parse_known_args(dashed)
    if unknown:
        commands[namespace.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return namespace


def _refuse_unknown(arguments: Sequence[str], commands: Mapping[str, Parser]) -> None:
    """Flags that a command has not, before what it lacks: a flag that is misspelt would be told to be missing.

    Raises:
        UsageError: there is such a flag.
    """
    name = next((argument for argument in arguments if argument in commands), None)
    if name is None or {"-h", "--help"} & set(arguments):
        return
    behind = arguments[arguments.index(name) + 1 :]
    flags = behind[: behind.index("--")] if "--" in behind else behind
    unknown = [
        flag
        for flag in flags
        if flag.startswith("--") and " " not in flag and not commands[name].knows(flag.split("=")[0])
    ]
    if unknown:
        commands[name].error(f"unrecognized arguments: {' '.join(unknown)}")


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        "ddpm",
        usage="ddpm COMMAND [flags]",
        description=f"{said('Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020).')}\n\n{_listed()}",
        epilog=f"{_examples(EXAMPLES)}\n{said('ddpm COMMAND --help shows the flags of a command.')}",
    )
    top = parser.add_argument_group("flags")
    groups.language(top)
    top.add_argument("--version", action="version", version=f"ddpm {VERSION}", help="show the version")
    top.add_argument("-h", "--help", action="help", help="show this help")
    commands: Any = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="ddpm", help=argparse.SUPPRESS, parser_class=Parser
    )
    made: dict[str, Parser] = {}
    for name, command in COMMANDS.items():
        about = said(command.ABOUT)
        about = about[0].upper() + about[1:] + "."
        brackets = said("A value in brackets at the end of a flag is its default.")
        epilog = f"{brackets}\n\n{_examples(command.EXAMPLES)}"
        made[name] = commands.add_parser(name, description=about, epilog=epilog)
        command.flags(made[name])
    return parser, made


def _listed() -> str:
    """The commands in their groups, each in a line."""
    lines = []
    for title, commands in GROUPS.items():
        lines += [f"{said(title)}:", *(f"  {name:<15} {said(command.ABOUT)}" for name, command in commands.items()), ""]
    return "\n".join(lines).rstrip()


def _examples(commands: str) -> str:
    return f"{said('examples:')}\n" + textwrap.indent(commands, "  ")
