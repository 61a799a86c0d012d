"""`ddpm data`: what a data source holds."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.flags.names import SOURCE
from ddpm.cli.terminal.console import say, show
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted

if TYPE_CHECKING:
    from ddpm.data.splits import Options

ABOUT = "show what a data source holds, and which files are broken"
EXAMPLES = """\
ddpm data photos
ddpm data digits --json digits.json
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm data`."""
    what = parser.add_argument_group("which data")
    what.add_argument("source", type=filled, metavar="SOURCE", help=SOURCE)
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="data.B=VALUE",
        help="what the files do not say: data.layout=NHW (NCHW, NHWC) or data.levels=N",
    )
    groups.json(parser.add_argument_group("where it goes"), "the same as JSON")
    groups.running(parser)


SAID = ("data.layout", "data.levels")
"""Settings that say what files hold; the others say what a training makes of it."""


def _options(texts: Sequence[str]) -> "Options":
    """How the source is read.

    Raises:
        UsageError: another setting, or a value that it cannot have.
    """
    from ddpm.cli.flags.settings import assignments
    from ddpm.experiment.request import reading

    return reading(assignments(texts, "--set data.B=VALUE"), SAID)


def run(options: Namespace) -> None:
    """Look at every image, and say what is there."""
    from ddpm.data.describe import describe

    json_target = JsonTarget(options.json)
    found = describe(options.source, _options(options.set))
    json_target.write(found)
    if "channels" in found:
        say(
            f"{found['source']}: {found['images']:,} images ({found['train']:,} to train on, {found['test']:,} held out)"
        )
        say(f"{found['channels']} x {found['height']} x {found['width']} (channels, height, width)")
        say(
            f"{found['levels']} levels, {found['distinct_values']} of them in use; "
            f"{counted(found['classes'], 'class')}{_in_use(found)}{_named(found)}"
        )
    else:
        _say_sizes(found)
    bits = found["bits_in_use"]
    if bits and bits < SIXTEEN:  # 0 bits are those of images that are all black
        say(f"the values use {bits} of {SIXTEEN} bits: to train on these alone, --set data.levels={2**bits}")
    if found["understood"] is not None:
        _say_understood(found["understood"])
        _say_passed_over(found["passed_over"])
    say(counted(len(found["broken"]), "broken file"))
    for broken in found["broken"]:
        show(f"  {broken['file']}: {said(broken['reason'])}")
    json_target.tell()


def _say_sizes(found: Mapping[str, Any]) -> None:
    """Of images that have several sizes."""
    from ddpm.data.splits import proposed_side

    say(f"{found['source']}: {found['images']:,} images of {len(found['sizes'])} sizes")
    say(f"{found['train']:,} to train on, {found['test']:,} held out")
    if found["size_range"]:
        for side, (least, median, most) in found["size_range"].items():
            say(f"  {side}: {least:g} to {most:g}, median {median:g}")
    for size in found["sizes"][:10]:
        say(f"  {size['width']} x {size['height']} (width, height): {size['images']:,}")
    if len(found["sizes"]) > 10:
        say(f"  and {len(found['sizes']) - 10} more sizes")
    if found["size_range"]:
        side, why = proposed_side(min(median for _, median, _ in found["size_range"].values()))
        say("to train on them, give one size: --set data.resolution=HEIGHT,WIDTH (scales to cover it, cuts the centre)")
        say(f"such as --set data.resolution={side}: {why}")


SPLITS = {
    "train": "to train on",
    "test": "held out",
    "validation": "in neither of these, read by --split validation",
    None: "in no split, read by --split all alone",
}
MOST = 12
SIXTEEN = 16


def _say_understood(found: Mapping[str, Any]) -> None:
    """What the folders mean, as a tree."""
    say("as understood:")
    margin = "  "
    if found["around"]:
        say(f"  {found['around']}/ lies around the others and is no class")
        margin = "    "
    for name in found["the_only_split"]:
        say(f"{margin}{name}/ is the only split: its images are all that there are")
    own = any(part["folders"] for part in found["splits"])
    for part in found["splits"]:
        where = f"{', '.join(part['folders'])}: " if part["folders"] else ""
        how = " by their names" if part["split"] == "test" and not own else ""
        use = SPLITS[part["split"]]
        count = counted(part["images"], "image")
        show(f"{margin}{where}{said(f'{count} {use}{how}')}")
        classes = [f"{name} {count:,}" for name, count in part["classes"].items()]
        if classes:
            more = f", and {len(classes) - MOST:,} more classes" if len(classes) > MOST else ""
            show(f"{margin}  {', '.join(classes[:MOST])}{said(more)}")
        if strays := part["in_no_class"]["images"]:
            say(f"{margin}  {strays:,} in no class, the first: {part['in_no_class']['first']}")


def _say_passed_over(found: Sequence[Mapping[str, Any]]) -> None:
    say(f"passed over: {sum(one['count'] for one in found) or 'nothing'}")
    for one in found:
        first = one["first"] if one["count"] == 1 else said(f"the first: {one['first']}")
        show(f"  {said(one['why'])}: {one['count']:,}, {first}")


def _in_use(found: Mapping[str, Any]) -> str:
    """Of classes of which some do not occur, how many do."""
    return f", {found['classes_in_use']:,} of them in use" if found["classes_in_use"] < found["classes"] else ""


def _named(found: Mapping[str, Any], most: int = MOST) -> str:
    """The names of the classes, if they have any."""
    names = found["class_names"]
    return f" ({', '.join(names[:most])}{', ...' if len(names) > most else ''})" if names else ""
