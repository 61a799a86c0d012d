"""`ddpm interpolate`: the images between two images, through the latents (section 4.4)."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, positive, whole
from ddpm.cli.terminal.console import say, track
from ddpm.cli.terminal.files import fresh_folder
from ddpm.cli.terminal.words import counted

ABOUT = "draw the images between two images, through the latents"
EXAMPLES = """\
ddpm interpolate runs/mine a.png b.png --timestep 500 --output-dir between
ddpm interpolate runs/mine a.png b.png --timestep 500 --num 5 \\
    --encoding deterministic --output-dir exact
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm interpolate`."""
    what = parser.add_argument_group("what to draw")
    groups.run_folder(what)
    what.add_argument("first", type=filled, metavar="A.png", help="one picture, of any size")
    what.add_argument("second", type=filled, metavar="B.png", help="the other")
    what.add_argument("--num", type=positive, default=9, metavar="N", help="images, the two ends included (9)")
    groups.conditions(what, "none")
    what.add_argument("--seed", type=natural, default=0, metavar="S", help="random seed of the noise (0)")
    how = parser.add_argument_group("how to draw it")
    how.add_argument(
        "--timestep", type=whole, required=True, metavar="T", help="how far into the noise: 0 mixes pixels"
    )
    how.add_argument(
        "--encoding",
        default="stochastic",
        metavar="NAME",
        help="how latents are made of the two images: stochastic (by random noise, as in the paper), deterministic (by DDIM: "
        "the two ends come back nearly as they were) (stochastic)",
    )
    how.add_argument("--steps", type=positive, metavar="K", help="use K of the T steps from latents to images (all)")
    groups.precision(groups.reading(parser))
    where = parser.add_argument_group("where it goes")
    where.add_argument(
        "--output-dir", type=filled, required=True, metavar="DIR", help="folder for 000000.png ... and row.png"
    )
    groups.running(parser)


def run(options: Namespace) -> None:
    """Draw them, each in its file and side by side."""
    from ddpm.cli.parts.opening import given_photo, opened
    from ddpm.data.imageset import to_levels
    from ddpm.figures.pictures import save_each, shown, tile
    from ddpm.sampling.chain import last_of
    from ddpm.trained.interpolate import interpolate
    from ddpm.trained.labels import asked_of_edit

    trained = opened(options)
    experiment, condition = (
        trained.experiment,
        asked_of_edit(trained.experiment, options.label, options.guidance, options.guidance_interval),
    )
    photos = [given_photo(name, *experiment.shape[1:]) for name in (options.first, options.second)]
    first, second = (photo.seen(experiment.shape, experiment.levels) for photo in photos)
    total, steps = interpolate(
        trained,
        (first, second),
        options.timestep,
        options.num,
        options.seed,
        options.encoding,
        options.steps,
        condition,
    )
    folder = fresh_folder(options.output_dir)
    last = last_of(track(steps, total, "interpolating"))
    values = to_levels(last.x.cpu(), experiment.levels)
    save_each(values, folder, levels=experiment.levels)
    tile(shown(values, experiment.levels), len(values)).save(folder / "row.png")
    say(f"{counted(options.num, 'image')} in {folder}, side by side in {folder / 'row.png'}")
