"""The flags of the commands that draw images."""

import argparse

from ddpm.cli.flag_groups import chain, count, filled, number, positive, reading, sampler, whole


def sample(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm sample`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--num", "--num-images", type=positive, required=True, metavar="N", help="how many images")
    parser.add_argument("--output-dir", type=filled, required=True, metavar="DIR", help="where 000000.png ... go")
    sampler(parser)
    chain(parser)
    _conditions(parser, "all, if it has classes")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="image i depends on this and i alone (0)")
    _first(parser)
    parser.add_argument("--batch-size", type=positive, default=64, metavar="B", help="images at a time (64)")
    reading(parser)
    parser.add_argument("--grid", metavar="FILE.png", help="all images in one")
    parser.add_argument(
        "--compare",
        metavar="FILE.png",
        help="a sheet besides: the samplers at 5, 10, 20 and 50 evaluations, the first 4 images from the same noise",
    )
    parser.add_argument("--animation", metavar="FILE", help=".gif or .webp: the chains of the first 64")
    parser.add_argument("--npz", metavar="FILE.npz", help="uint8 NHWC, under arr_0; labels under arr_1")
    parser.add_argument(
        "--progressive", metavar="FILE.png", help="estimates of x_0 over time, a row for each of the first 8"
    )
    parser.add_argument("--json", metavar="FILE", help="what was drawn and where it is; - for the terminal")


def inpaint(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm inpaint`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("image", type=filled, metavar="IMAGE", help="an image of the model's size")
    parser.add_argument("mask", type=filled, metavar="MASK", help="of the same size: white is drawn, black is kept")
    parser.add_argument("--method", default="repaint", metavar="NAME", help="repaint, replace, ddnm (repaint)")
    parser.add_argument(
        "--resamplings", type=positive, metavar="R", help="go over the same steps R times (repaint: 10, ddnm: 1)"
    )
    parser.add_argument(
        "--jump", type=positive, default=10, metavar="J", help="steps that are gone over at a time (10)"
    )
    _editing(parser, "of the chain's T (all; repaint was published with 250)")


def edit(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm edit`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("image", type=filled, metavar="IMAGE", help="an image of the model's size, or as said below")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--timestep",
        type=whole,
        metavar="T",
        help="draw it anew from its own x_t: the larger T, the less is left of it",
    )
    what.add_argument(
        "--super-resolve",
        type=positive,
        metavar="F",
        help="enlarge IMAGE, F times smaller than the model's, means of FxF",
    )
    what.add_argument("--colour", action="store_true", help="colour IMAGE, of which only the grey values count")
    _editing(parser, "of the chain's T, or of those up to --timestep (all)")


def interpolate(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm interpolate`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("first", type=filled, metavar="A.png", help="one image")
    parser.add_argument("second", type=filled, metavar="B.png", help="another")
    parser.add_argument(
        "--timestep", type=whole, required=True, metavar="T", help="how far into the noise: 0 mixes pixels"
    )
    parser.add_argument("--num", type=positive, default=9, metavar="N", help="images, the ends included (9)")
    parser.add_argument(
        "--output-dir", type=filled, required=True, metavar="DIR", help="where 000000.png ... and row.png go"
    )
    parser.add_argument(
        "--encoding",
        default="stochastic",
        metavar="NAME",
        help="to the latents: stochastic (drawn, the paper's), deterministic (DDIM's: the ends nearly come back) (stochastic)",
    )
    parser.add_argument("--steps", type=positive, metavar="K", help="of the T from the latents to the image (all)")
    _conditions(parser, "none")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="of the noise (0)")
    reading(parser)


def _editing(parser: argparse.ArgumentParser, steps: str) -> None:
    """How images are drawn from a given one, and where they go."""
    parser.add_argument("--num", type=positive, default=4, metavar="N", help="how many images (4)")
    parser.add_argument("--output-dir", type=filled, required=True, metavar="DIR", help="where 000000.png ... go")
    sampler(parser)
    chain(parser, steps)
    _conditions(parser, "none")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="image i depends on this and i alone (0)")
    _first(parser)
    parser.add_argument("--batch-size", type=positive, default=64, metavar="B", help="images at a time (64)")
    reading(parser)
    parser.add_argument("--grid", metavar="FILE.png", help="what was given and all images in one")
    parser.add_argument("--json", metavar="FILE", help="what was drawn and where it is; - for the terminal")


def _first(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--first",
        type=count,
        default=0,
        metavar="I",
        help="number of the first image (0): a run can be cut, and go on there",
    )


def _conditions(parser: argparse.ArgumentParser, default: str) -> None:
    """What the images show."""
    parser.add_argument(
        "--label",
        metavar="A,B",
        help=f"classes by name or number, in turn; all, or none: whatever the model likes ({default})",
    )
    parser.add_argument(
        "--guidance",
        type=number,
        metavar="W",
        help="classifier-free: 0 ignores the label, 1 heeds it, more is more typical and less varied, at twice the cost (1)",
    )
    parser.add_argument(
        "--guidance-interval",
        metavar="A,B",
        help="guide only at steps A to B of the whole chain's 1..T (all)",
    )
