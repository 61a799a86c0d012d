"""`ddpm sample`: draw images from a model."""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import positive
from ddpm.cli.terminal.console import say, track
from ddpm.cli.terminal.files import JsonTarget, file_for, fresh_folder
from ddpm.cli.terminal.words import counted

ABOUT = "draw images from a model"
EXAMPLES = """\
ddpm sample runs/mine --num 16 --output-dir out --grid out.png
ddpm sample runs/mine --num 16 --output-dir few \\
    --sampler dpm-solver --steps 20 --spacing log-snr
ddpm sample runs/pets --num 16 --output-dir pets --label cat,dog --guidance 2
"""
WATCHED = 64


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm sample`."""
    what = parser.add_argument_group("what to draw")
    groups.run_folder(what)
    what.add_argument("--num", "--num-images", type=positive, required=True, metavar="N", help="how many images")
    groups.conditions(what, "all, if it has classes")
    groups.seed(what)
    how = parser.add_argument_group("how to draw it")
    groups.sampler(how)
    groups.chain(how)
    groups.reading_to_draw(parser)
    where = parser.add_argument_group("where it goes")
    groups.output_images(where)
    where.add_argument("--grid", metavar="FILE.png", help="all images in one picture")
    where.add_argument("--animation", metavar="FILE", help=".gif or .webp: the chains of the first 64")
    where.add_argument(
        "--npz",
        metavar="FILE.npz",
        help="integers NHWC under arr_0, labels under arr_1, with levels, layout and classes",
    )
    where.add_argument(
        "--progressive", metavar="FILE.png", help="estimates of x_0 over time, a row for each of the first 8"
    )
    where.add_argument(
        "--compare",
        metavar="FILE.png",
        help="a sheet of the samplers at 5, 10, 20 and 50 evaluations, the first 4 images from the same noise",
    )
    groups.json(where, "what was drawn and where it is")
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """Draw them: an image in each file, and the sheets that were asked for."""
    from ddpm.cli.parts.drawing import check_sampler, goes_on, numbers, told_how_long, told_how_to_go_on
    from ddpm.cli.parts.opening import opened, shortened, shorter
    from ddpm.cli.parts.sheets import SHEETS, Targets, comparison, saved
    from ddpm.cli.terminal.processes import processes
    from ddpm.sampling.images import Plan, Watch, finished
    from ddpm.storage.atomic import write_bytes
    from ddpm.trained.draw import samples
    from ddpm.trained.labels import NONE, OWN, asked, described
    from ddpm.trained.provenance import recorded

    plan = Plan(options.num, options.sampler, numbers(options), options.seed, options.batch_size, options.first)
    sampler = plan.build()
    json_target, targets = JsonTarget(options.json), Targets.of(options)
    sheet, whole = file_for(options.compare, ".png"), opened(options)
    condition = asked(whole.experiment, options.label, options.guidance, options.guidance_interval)
    how = shorter(options)
    how.check(whole.process)
    check_sampler(options, sampler, whole.process.schedule.T)
    with processes(whole.device) as world:
        world.lead(lambda: fresh_folder(options.output_dir, plan.rows))
        folder = Path(options.output_dir).expanduser()
        trained = shortened(options, whole, label=OWN if condition.labels else NONE)
        drawing = samples(trained, plan, options.spacing, condition)
        world.lead(lambda: goes_on(folder, drawing.common))
        watch = Watch(WATCHED, drawing.moves)
        total = math.ceil(plan.batches() / world.size) * drawing.moves
        chains = track(told_how_long(drawing.run(world), total, options.steps), total, "sampling")
        with told_how_to_go_on(plan, folder, [flag for flag in SHEETS if getattr(options, flag)]):
            values = saved(finished(watch(chains)), drawing, folder, world)
    targets.write(values, watch.frames, drawing)
    written = {name: str(path) for name, path in vars(targets).items() if path}
    if sheet:
        from ddpm.figures import style

        write_bytes(sheet, style.png(comparison(whole, plan, how, condition)))
        written["compare"] = str(sheet)
    json_target.write(
        {"images": plan.num, "output_dir": str(folder), **written, "evaluations": drawing.evaluations}
        | recorded(trained, plan, options.spacing, drawing.begin)
        | described(trained.experiment, condition, plan.rows),
    )
    say(f"{counted(plan.num, 'image')} in {folder}")
    for name, path in written.items():
        say(f"{name}: {path}")
    json_target.tell()
