"""`ddpm import`: a model of another library becomes a run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget

ABOUT = "make a run of a model of another library"
EXAMPLES = """\
ddpm import ddpm-cifar10-32 runs/cifar
ddpm evaluate runs/cifar --data cifar-10-batches-bin
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm import`."""
    what = parser.add_argument_group("what to read")
    what.add_argument(
        "source",
        type=filled,
        metavar="SOURCE",
        help="a folder of diffusers: a pipeline, a checkpoint of its training script, or a UNet2DModel alone",
    )
    where = parser.add_argument_group("where it goes")
    where.add_argument("output_dir", type=filled, metavar="RUN", help="a new run folder")
    groups.json(where, "what was found")
    groups.running(parser)


def run(options: Namespace) -> None:
    """Read it, write it, and say what was found."""
    from ddpm.run.folder import RunFolder
    from ddpm.run.imported import import_run

    json_target = JsonTarget(options.json)
    folder = RunFolder(Path(options.output_dir).expanduser())
    foreign = import_run(Path(options.source).expanduser(), folder)
    json_target.write({"format": foreign.format, "run": str(folder.path), "found": dict(foreign.facts)})
    width = max(map(len, foreign.facts))
    for name, value in {"format": foreign.format, **foreign.facts}.items():
        say(f"{name:<{width}}  {value}")
    say(f"a run: {folder.path}")
    json_target.tell()
