"""`ddpm compare`: bits/dim of several runs on the same images with the same noise; samples, their distances and their cost."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, positive

ABOUT = "compare runs on the same images with the same noise"
EXAMPLES = """\
ddpm compare runs/a runs/b --data photos
ddpm compare runs/a runs/b runs/c --data photos --csv runs.csv --plot runs.png
ddpm compare runs/a hers --data photos --num-samples 1000 --html both.html
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm compare`."""
    what = parser.add_argument_group("what to compare")
    what.add_argument(
        "run",
        type=filled,
        nargs="+",
        metavar="RUN",
        help="run folders, checkpoints or ddpm:mnist; all are compared with the first",
    )
    groups.data(what)
    groups.scored_images(what)
    drawn = parser.add_argument_group("what they draw, from the same noise")
    drawn.add_argument(
        "--num-samples", type=positive, metavar="N", help="draw N images of each, and measure them too (none)"
    )
    drawn.add_argument(
        "--sample-steps", type=positive, default=50, metavar="K", help="of at most K steps of the chain each (50)"
    )
    groups.sampler(drawn)
    groups.distances(drawn, None)
    how = parser.add_argument_group("how to measure it")
    groups.chain(how)
    how.add_argument(
        "--seed", type=natural, default=0, metavar="S", help="random seed of the noise, the same for all (0)"
    )
    groups.variance(groups.reading(parser))
    where = parser.add_argument_group("where the numbers go")
    groups.json(where, "all numbers")
    groups.table_and_plot(where, "a line for each run", "a picture of the bounds, and of their terms by t")
    where.add_argument(
        "--html", metavar="FILE.html", help="one page of all: tables, bounds, images from the same noise"
    )
    groups.running(parser, 128)


def run(options: Namespace) -> None:
    """Measure, and say it."""
    from ddpm.cli.parts.comparing import compare_runs
    from ddpm.cli.parts.drawn import check_drawn

    check_drawn(options)
    compare_runs(options)
