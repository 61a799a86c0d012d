"""`ddpm verify`: whether the checkpoints of a run are whole."""

from argparse import ArgumentParser, Namespace
from typing import Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.terminal.console import say, show
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.speech import said
from ddpm.report.text import left

ABOUT = "check the checkpoints of a run, and where it would resume"
EXAMPLES = """\
ddpm verify runs/mine
ddpm verify runs/mine/checkpoints/step-000010000 --json verdict.json
"""

WIDEST = 7
"""Columns of the longest verdict, in either language."""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm verify`."""
    what = parser.add_argument_group("what to check")
    what.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    groups.json(parser.add_argument_group("where it goes"), "the same as JSON")
    groups.running(parser)


def run(options: Namespace) -> None:
    """A line for each checkpoint."""
    from ddpm.run.imported import own_folder
    from ddpm.run.verify import require_whole, resumable, verify

    json_target, verdicts = JsonTarget(options.json), []
    for verdict in verify(own_folder(options.run)):
        verdicts.append(verdict)
        worth, what = said(verdict.worth), said(verdict.damage or f"{verdict.bytes:,} bytes of tensors")
        show(f"{verdict.path.name}  {left(worth, WIDEST)}  {what}")
    values: dict[str, Any] = {"checkpoints": [verdict.values() for verdict in verdicts], "resumed_from": None}
    goes_on = resumable(verdicts)
    for newest in goes_on:
        values["resumed_from"] = str(newest.path)
    json_target.write(values)
    for newest in goes_on:
        say(f"training would go on from step {newest.step:,}: {newest.path}")
    json_target.tell()
    require_whole(verdicts)
