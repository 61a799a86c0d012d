"""`ddpm edit`: draw an image anew, enlarge it, or colour it."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, positive, whole
from ddpm.errors import UsageError

ABOUT = "draw an image anew, enlarge it or colour it"
EXAMPLES = """\
ddpm edit runs/mine small.png --super-resolve 2 --output-dir large
ddpm edit runs/mine grey.png --colour --num 8 --output-dir coloured
ddpm edit runs/mine photo.jpg --timestep 300 --output-dir whole --paste
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm edit`."""
    what = parser.add_argument_group("what to draw")
    groups.run_folder(what)
    what.add_argument("image", type=filled, metavar="IMAGE", help="a picture, of any size")
    choice = parser.add_argument_group("what to do with IMAGE (one of these)")
    one = choice.add_mutually_exclusive_group(required=True)
    one.add_argument(
        "--timestep",
        type=whole,
        metavar="T",
        help="add the noise of step T to IMAGE and draw from there: the larger T, the less of IMAGE is left",
    )
    one.add_argument(
        "--super-resolve",
        type=positive,
        metavar="F",
        help="enlarge IMAGE, which is, or becomes, F times smaller than the model's: each of its pixels is the mean of FxF",
    )
    one.add_argument("--colour", action="store_true", help="colour IMAGE, of which only the grey values count")
    groups.editing(parser, what, "use K of the chain's T steps, or of those up to --timestep (all)")


def run(options: Namespace) -> None:
    """Draw them."""
    from dataclasses import replace
    from pathlib import Path

    from ddpm.cli.parts.editing import Targets, opened_for_edit, plan_of
    from ddpm.cli.parts.opening import given_photo, told
    from ddpm.data.inputs import read_photo
    from ddpm.figures.images import BYTES
    from ddpm.figures.paste import WAYS
    from ddpm.figures.pictures import to_pictures
    from ddpm.trained.edit import colour, from_noised, require_colours, small_shape, super_resolve

    if options.paste and options.super_resolve is not None:
        raise UsageError(
            "--paste does not go with --super-resolve: what is enlarged has no place in IMAGE",
            "without --paste the enlarged images are in --output-dir",
        )
    plan, targets = plan_of(options), Targets(options)
    trained, condition = opened_for_edit(options, options.timestep)
    shape, levels = trained.experiment.shape, trained.experiment.levels
    if options.timestep is not None:
        photo = given_photo(options.image, *shape[1:])
        image = photo.seen(shape, levels)
        edit, given = from_noised(trained, image, options.timestep, plan), to_pictures(image, levels)
    elif options.super_resolve is not None:
        factor, photo = options.super_resolve, read_photo(Path(options.image).expanduser())
        small = small_shape(shape, factor)
        photo.require_smaller(*shape[1:])
        told(photo.scaled(*small[1:]))
        image = photo.seen(small, BYTES)
        edit, given = super_resolve(trained, image, factor, plan), to_pictures(image, BYTES)
        given = given.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    else:
        require_colours(trained)
        photo = given_photo(options.image, *shape[1:])
        image = photo.seen((1, *shape[1:]), BYTES)
        edit, given = colour(trained, image, plan), to_pictures(image, BYTES).expand(-1, 3, -1, -1)
    way = WAYS["colour" if options.colour else "all"]
    edit = replace(edit, condition=condition, spacing=options.spacing)
    targets.draw(edit, [given], (lambda drawn: way(photo.picture, drawn, None)) if options.paste else None)
