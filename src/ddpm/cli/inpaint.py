"""`ddpm inpaint`: fill a hole in an image."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, positive
from ddpm.cli.terminal.console import note

ABOUT = "fill a hole in an image"
EXAMPLES = """\
ddpm inpaint runs/mine a.png mask.png --steps 250 --output-dir filled
ddpm inpaint runs/mine a.png mask.png --method replace --num 8 \\
    --output-dir faster --grid faster.png
ddpm inpaint runs/mine photo.jpg mask.png --output-dir whole --paste
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm inpaint`."""
    what = parser.add_argument_group("what to draw")
    groups.run_folder(what)
    what.add_argument("image", type=filled, metavar="IMAGE", help="a picture, of any size")
    what.add_argument("mask", type=filled, metavar="MASK", help="a picture, of any size: white is drawn, black is kept")
    hole = parser.add_argument_group("how the hole is filled")
    hole.add_argument("--method", default="repaint", metavar="NAME", help="repaint, replace, ddnm (repaint)")
    hole.add_argument(
        "--resamplings",
        type=positive,
        metavar="R",
        help="make most steps R times, at about R times the cost (repaint: 10, ddnm: 1)",
    )
    hole.add_argument("--jump", type=positive, default=10, metavar="J", help="repeat J steps at a time (10)")
    groups.editing(parser, what, "use K of the chain's T steps (all; repaint was published with 250)")


def run(options: Namespace) -> None:
    """Draw them."""
    from dataclasses import replace
    from functools import partial
    from pathlib import Path

    from ddpm.cli.parts.editing import Targets, opened_for_edit, plan_of
    from ddpm.cli.parts.opening import given_photo, told
    from ddpm.data.masks import read_mask
    from ddpm.figures.paste import pasted
    from ddpm.figures.pictures import BACKGROUND, to_pictures
    from ddpm.trained.edit import inpaint

    plan, targets = plan_of(options), Targets(options)
    trained, condition = opened_for_edit(options)
    shape, levels = trained.experiment.shape, trained.experiment.levels
    size = shape[1:]
    photo, mask = given_photo(options.image, *size), read_mask(Path(options.mask).expanduser())
    told(mask.said(photo.size, *size))
    image, hole = photo.seen(shape, levels), mask.seen(*size)
    edit = inpaint(trained, image, hole, plan, options.method, options.jump, options.resamplings)
    if bool(hole.all()):
        note("ddpm: the mask is white everywhere: nothing of the image is kept")
    given = to_pictures(image, levels)
    whole = partial(pasted, photo.picture, hole=mask.over(photo.size, *size)) if options.paste else None
    edit = replace(edit, condition=condition, spacing=options.spacing)
    targets.draw(edit, [given, given.masked_fill(hole, BACKGROUND)], whole)
