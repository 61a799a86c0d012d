"""`ddpm schedule`: the tables of a noise schedule."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, positive
from ddpm.cli.flags.names import SCHEDULES
from ddpm.cli.terminal.console import say, show
from ddpm.cli.terminal.files import JsonTarget, file_for

ABOUT = "show the tables of a noise schedule"
EXAMPLES = """\
ddpm schedule linear
ddpm schedule cosine --steps 4000 --plot cosine.png
ddpm schedule runs/mine --json mine.json
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm schedule`."""
    what = parser.add_argument_group("which schedule")
    what.add_argument(
        "name", type=filled, metavar="NAME|RUN|FILE.json", help=f"{SCHEDULES}, a run folder, or a file of --json"
    )
    what.add_argument("--steps", type=positive, metavar="T", help="number of steps (1000)")
    where = parser.add_argument_group("where the tables go")
    groups.json(where, "all tables")
    where.add_argument("--plot", metavar="FILE.png", help="a picture")
    groups.running(parser)


def run(options: Namespace) -> None:
    """Print ten lines of the tables, and write all."""
    from ddpm.storage.atomic import write_bytes
    from ddpm.trained.schedules import find, tables

    plot, json_target = file_for(options.plot, ".png"), JsonTarget(options.json)
    name, schedule = find(options.name, options.steps)
    values = tables(schedule)
    if plot:
        from ddpm.figures import plots, style

        write_bytes(plot, style.png(plots.schedule(schedule, name), options.language))
    json_target.write({"name": name, **values})
    say(f"{name}, T = {schedule.T}")
    show(f"{'t':>6} {'beta':>12} {'alpha_bar':>12} {'beta_tilde':>12} {'SNR':>12} {'w_t large':>12} {'w_t small':>12}")
    columns = ("beta", "alpha_bar", "beta_tilde", "snr", "w_eps_fixed_large", "w_eps_fixed_small")
    for t in sorted({1, 2, schedule.T, *(round(schedule.T * k / 10) for k in range(1, 11))} - {0}):
        if t <= schedule.T:
            show(f"{t:>6} " + " ".join(f"{values[column][t - 1]:>12.6g}" for column in columns))
    prior = ", ".join(f"{bits:.4g} ({key})" for key, bits in values["L_T_bits_per_dim"].items())
    say(f"L_T in bits/dim: {prior}")
    if plot:
        say(f"plot: {plot}")
    json_target.tell()
