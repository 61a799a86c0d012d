"""`ddpm export`: a model of ours for another library."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.terminal.console import note, say, show

ABOUT = "write a model for another library"
EXAMPLES = """\
ddpm export runs/mine exported --format diffusers
ddpm export runs/mine exported --format onnx
ddpm export runs/mine hf:me/mine --private
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm export`."""
    what = parser.add_argument_group("what to write")
    groups.run_folder(what)
    where = parser.add_argument_group("where it goes")
    where.add_argument("output_dir", type=filled, metavar="DIR", help="a new folder, or hf:OWNER/NAME")
    where.add_argument(
        "--private",
        action="store_true",
        help="make a repository of the hub that nobody else sees; one that is there stays as it is",
    )
    where.add_argument(
        "--format",
        default="diffusers",
        metavar="NAME",
        help="diffusers: a folder for its DDPMPipeline; onnx, torch-export: the network as a graph, with all that sampling "
        "needs (diffusers)",
    )
    groups.reading(parser)
    groups.running(parser)


def run(options: Namespace) -> None:
    """Write it, and say what does not carry over."""
    from ddpm.cli.parts.opening import opened
    from ddpm.trained.export import export

    folder = Path(options.output_dir).expanduser()
    for line in export(opened(options), folder, options.format, say, private=options.private):
        note(f"ddpm: not carried over: {line}")
    show(f"{options.format}: {folder}")
