"""`ddpm distance`: how far two sets of images are from each other."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, positive

ABOUT = "measure how far two sets of images are from each other"
EXAMPLES = """\
ddpm distance out photos
ddpm distance out photos --metrics fid,kid,precision-recall --json out.json
ddpm distance out photos --features inception=weights.pth \\
    --save-moments photos.npz
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm distance`."""
    what = parser.add_argument_group("what to compare")
    side = "a SOURCE of images as --data takes them, or an .npz of moments (mu, sigma)"
    what.add_argument("first", type=filled, metavar="A", help=f"the images that are judged: {side}")
    what.add_argument("second", type=filled, metavar="B", help="the reference, such as real images")
    what.add_argument("--split", default="all", metavar="NAME", help="part of B: test, train, validation or all (all)")
    what.add_argument("--num-images", type=positive, metavar="N", help="N images of each, chosen by the seed (all)")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="data.B=VALUE",
        help="read both otherwise: data.resolution=32, data.channels=1, data.levels=N, data.layout=NHW, data.max_broken=0.1",
    )
    how = parser.add_argument_group("how to measure it")
    groups.distances(how)
    how.add_argument("--seed", type=natural, default=0, metavar="S", help="random seed of subsets and directions (0)")
    where = parser.add_argument_group("where the numbers go")
    groups.json(where, "all numbers, each with what it depends on")
    where.add_argument(
        "--save-moments",
        metavar="FILE.npz",
        help="mean and covariance of the features of B, which may be B the next time",
    )
    groups.running(parser, 128)


def run(options: Namespace) -> None:
    """Measure, and say it."""
    from ddpm.cli.parts.distances import compare_sets

    compare_sets(options)
