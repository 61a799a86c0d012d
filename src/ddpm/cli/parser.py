"""What can be typed: the commands, and errors of one line."""

import argparse
import difflib
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from ddpm import __version__
from ddpm.cli import flags, image_flags
from ddpm.errors import UsageError

EPILOG = """\
start here:
  ddpm demo                                            digits, in a few minutes, with a report
  ddpm train --data FOLDER --output-dir runs/mine      your own images
  ddpm sample runs/mine --num 16 --output-dir out      images from the model
  ddpm evaluate runs/mine --data FOLDER                bits/dim of held-out images
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """argparse's, with names that are not broken at a hyphen."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line and the nearest flag as a hint."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **{"formatter_class": Help, **options})

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
        raise UsageError(message, *hints, f"{self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its flags; `--batch_size` is taken for `--batch-size`.

    Raises:
        UsageError: what was typed makes no sense.
    """
    parser, commands = _parsers()
    dashed = [_dashed(argument) for argument in arguments]
    namespace, unknown = parser.parse_known_args(dashed)
    if unknown:
        commands[namespace.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return namespace


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    devices = ["auto", "cpu", "cuda", "mps"]
    common.add_argument("--device", default="auto", choices=devices, help="where to compute (auto)")

    parser = Parser(
        "ddpm", description="Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020).", epilog=EPILOG
    )
    parser.allow_abbrev = False
    parser.add_argument("--version", action="version", version=f"ddpm {__version__}")
    commands: Any = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    made: dict[str, Parser] = {}

    def command(name: str, text: str) -> Parser:
        made[name] = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            parents=[common],
            allow_abbrev=False,
        )
        return made[name]

    flags.demo(command("demo", "train, sample and evaluate on the embedded digits, with a report"))
    flags.train(command("train", "train a model; the same command again goes on"))
    image_flags.sample(command("sample", "draw images from a model"))
    flags.evaluate(command("evaluate", "bits/dim of a data set, exactly, with its standard error"))
    image_flags.interpolate(command("interpolate", "the way from one image to another through the latents"))
    image_flags.inpaint(command("inpaint", "fill a hole in an image"))
    image_flags.edit(command("edit", "draw an image anew, enlarge it or colour it"))
    flags.schedule(command("schedule", "the tables of a noise schedule"))
    flags.data(command("data", "what a data source holds"))
    flags.lab(command("lab", "the questions of the study notes, answered with live numbers"))
    flags.verify(command("verify", "whether the checkpoints of a run are whole, and where it would go on"))
    return parser, made
