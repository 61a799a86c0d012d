"""`ddpm data`: what a data source holds."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.flags.names import SOURCE
from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget

ABOUT = "show what a data source holds, and which files are broken"
EXAMPLES = """\
ddpm data photos
ddpm data digits --json digits.json
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm data`."""
    what = parser.add_argument_group("which data")
    what.add_argument("source", type=filled, metavar="SOURCE", help=SOURCE)
    groups.json(parser.add_argument_group("where it goes"), "the same as JSON")
    groups.running(parser)


def run(options: Namespace) -> None:
    """Look at every image, and say what is there."""
    from ddpm.data.describe import describe

    json_target = JsonTarget(options.json)
    found = describe(options.source)
    if "channels" in found:
        say(
            f"{found['source']}: {found['images']:,} images ({found['train']:,} to train on, {found['test']:,} held out)"
        )
        say(f"{found['channels']} x {found['height']} x {found['width']} (channels, height, width)")
        say(
            f"{found['levels']} levels, {found['distinct_values']} of them in use; {found['classes']} classes{_named(found)}"
        )
    else:
        _say_sizes(found)
    say(f"{len(found['broken'])} broken files")
    for broken in found["broken"]:
        say(f"  {broken['file']}: {broken['reason']}")
    json_target.write(found)


def _say_sizes(found: Mapping[str, Any]) -> None:
    """Of images that have several sizes."""
    say(f"{found['source']}: {found['images']:,} images of {len(found['sizes'])} sizes")
    say(f"{found['train']:,} to train on, {found['test']:,} held out")
    for size in found["sizes"][:10]:
        say(f"  {size['width']} x {size['height']} (width, height): {size['images']:,}")
    if len(found["sizes"]) > 10:
        say(f"  and {len(found['sizes']) - 10} more sizes")
    if found["sizes"]:
        say("to train on them, give one size: --set data.resolution=HEIGHT,WIDTH (scales to cover it, cuts the centre)")


def _named(found: Mapping[str, Any], most: int = 12) -> str:
    """The names of the classes, if they have any."""
    names = found["class_names"]
    return f" ({', '.join(names[:most])}{', ...' if len(names) > most else ''})" if names else ""
