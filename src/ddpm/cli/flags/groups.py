"""Flags that several commands have in common: each function adds one titled group, or flags to a group."""

from argparse import ArgumentParser, _ArgumentGroup

from ddpm.cli.flags.kinds import count, filled, natural, number, positive, span
from ddpm.cli.flags.names import DISTANCES, FEATURES, SAMPLERS, SOURCE, SPACINGS
from ddpm.language import LANGUAGES, machine_language


def run_folder(group: _ArgumentGroup) -> None:
    """RUN: a trained model."""
    group.add_argument(
        "run",
        type=filled,
        metavar="RUN",
        help="run folder or checkpoint; or ddpm:mnist, a small model that comes with ddpm",
    )


def data(group: _ArgumentGroup) -> None:
    """--data SOURCE."""
    group.add_argument("--data", type=filled, required=True, metavar="SOURCE", help=SOURCE)


def scored_images(group: _ArgumentGroup) -> None:
    """Which images are scored, and what the model is told of them."""
    group.add_argument(
        "--split", default="test", metavar="NAME", help="part of the data: test, train, validation or all (test)"
    )
    group.add_argument("--num-images", type=positive, metavar="N", help="the first N images (all)")
    group.add_argument(
        "--label",
        metavar="NAME",
        help="class given to a model that knows classes: own (that of each image), none, or one name for all (own)",
    )


def features(group: _ArgumentGroup) -> None:
    """--features NAME: what images are compared by."""
    group.add_argument("--features", metavar="NAME", help=f"{FEATURES} (digits of grey images, colour of others)")


def distances(group: _ArgumentGroup, default: str | None = "fid,kid") -> None:
    """--metrics A,B of images and --features NAME; without a default it is known whether they were asked for."""
    group.add_argument("--metrics", default=default, metavar="A,B", help=f"{DISTANCES} (fid,kid)")
    features(group)


def table_and_plot(group: _ArgumentGroup, table: str, plot: str) -> None:
    """--csv FILE and --plot FILE."""
    group.add_argument("--csv", metavar="FILE.csv", help=f"{table}, for a spreadsheet")
    group.add_argument("--plot", metavar="FILE.png", help=plot)


def sampler(group: _ArgumentGroup) -> None:
    """How a chain goes down."""
    group.add_argument("--sampler", default="ancestral", metavar="NAME", help=f"{SAMPLERS} (ancestral: Algorithm 2)")
    group.add_argument("--eta", type=number, metavar="X", help="of ddim: how much noise, from 0 (none) to 1 (0)")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="another option of the sampler: order=3 (multistep, unipc), churn=10 (heun), snr=0.2, corrections=2 ...",
    )


def chain(group: _ArgumentGroup, steps: str = "use K of the chain's T steps (all)") -> None:
    """On which steps the model is read."""
    group.add_argument("--steps", type=positive, metavar="K", help=steps)
    group.add_argument(
        "--spacing", default="uniform", metavar="NAME", help=f"which K steps to use: {SPACINGS} (uniform)"
    )


def variance(group: _ArgumentGroup) -> None:
    """Which variance the reverse process has."""
    group.add_argument(
        "--variance",
        metavar="NAME",
        help="fixed-large, fixed-small, learned, or optimal, which is measured once on training data (as trained)",
    )
    group.add_argument("--exact", action="store_true", help="of optimal: measure every t, not some with lines between")


def reading(parser: ArgumentParser) -> _ArgumentGroup:
    """How the network of a trained model is read."""
    group = parser.add_argument_group("how the network is read")
    group.add_argument(
        "--weights",
        default="ema",
        metavar="NAME",
        help="ema: the moving average, raw: the last ones, ema-DECAY: one of training.more_ema_decays (ema)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="process.B=VALUE",
        help="read the network otherwise: process.limit=unlimited, process.variance=fixed-small, process.sigma_1=beta-1",
    )
    return group


def reading_to_draw(parser: ArgumentParser) -> None:
    """How it is read by the commands that draw and score: with which variance, and in which precision."""
    group = reading(parser)
    variance(group)
    precision(group)


def precision(group: _ArgumentGroup) -> None:
    """--precision NAME."""
    group.add_argument(
        "--precision",
        default="fp32",
        metavar="NAME",
        help="inside the network: fp32, bf16, fp16, auto (bf16 where the machine computes in it); 16 bits give other pixels (fp32)",
    )


def conditions(group: _ArgumentGroup, default: str) -> None:
    """What the images show."""
    group.add_argument(
        "--label",
        metavar="A,B",
        help="classes by name or number: the images take turns; all: every class; none: the model chooses freely "
        f"({default})",
    )
    group.add_argument(
        "--guidance",
        type=number,
        metavar="W",
        help="classifier-free guidance: 0 ignores the label, 1 is the model as trained, above 1 images are more typical and "
        "less varied, and cost twice as much (1)",
    )
    group.add_argument(
        "--guidance-interval",
        metavar="A,B",
        help="guide only at steps A to B of the whole chain's 1..T (all)",
    )


def seed(group: _ArgumentGroup) -> None:
    """Which images of all that could be drawn."""
    group.add_argument(
        "--seed", type=natural, default=0, metavar="S", help="random seed: image i depends on S and i alone (0)"
    )
    group.add_argument(
        "--first",
        type=count,
        default=0,
        metavar="I",
        help="number of the first image, to draw a set in several runs (0)",
    )


def own_model(parser: ArgumentParser) -> None:
    """A trained model and real images to ask the laboratory about, and how long table-2 trains."""
    group = parser.add_argument_group("on your own model")
    group.add_argument(
        "--run",
        type=filled,
        metavar="RUN",
        help="run folder, checkpoint or ddpm:mnist: answer on its network and real images too",
    )
    group.add_argument("--data", type=filled, metavar="SOURCE", help="the real images (those of the run, held out)")
    group.add_argument("--split", metavar="NAME", help="part of the data: test, train, validation or all (test)")
    group.add_argument(
        "--num-images", type=positive, metavar="N", help="the first N of them (16; table-2: 100 held-out digits)"
    )
    group.add_argument("--weights", metavar="NAME", help="ema, raw, or another average of the run (ema)")
    group.add_argument(
        "--budget", type=span, metavar="TIME", help="of table-2: time to train its nine networks, together (3m)"
    )


def json(group: _ArgumentGroup, what: str) -> None:
    """--json FILE."""
    group.add_argument("--json", metavar="FILE", help=f"{what}; - for the terminal")


def language(group: _ArgumentGroup) -> None:
    """--language en or ko, by default that of the machine."""
    what = "language of messages and reports: en or ko (ko where LANG is ko_KR, else en)"
    group.add_argument("--language", default=machine_language(), choices=LANGUAGES, metavar="NAME", help=what)


def output(group: _ArgumentGroup, what: str) -> None:
    """-o DIR or FILE of the commands that compress."""
    group.add_argument("-o", "--output", type=filled, required=True, metavar="OUT", help=what)


def output_images(group: _ArgumentGroup) -> None:
    """--output-dir DIR of the commands that draw images."""
    group.add_argument("--output-dir", type=filled, required=True, metavar="DIR", help="folder for 000000.png ...")


def running(parser: ArgumentParser, batch_size: int | None = None) -> None:
    """What every command has, and --batch-size B with this default for those that use a trained model."""
    group = parser.add_argument_group("how the command runs")
    if batch_size is not None:
        text = f"images at a time ({batch_size})"
        group.add_argument("--batch-size", type=positive, default=batch_size, metavar="B", help=text)
    devices = ("auto", "cpu", "cuda", "mps")
    where = f"where to compute: {', '.join(devices)} (auto)"
    group.add_argument("--device", default="auto", choices=devices, metavar="NAME", help=where)
    language(group)
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    group.add_argument("-h", "--help", action="help", help="show this help")


def editing(parser: ArgumentParser, what: _ArgumentGroup, steps: str) -> None:
    """What `ddpm inpaint` and `ddpm edit` have in common: how images are drawn from a given one, and where they go."""
    what.add_argument("--num", type=positive, default=4, metavar="N", help="how many images (4)")
    conditions(what, "none")
    seed(what)
    how = parser.add_argument_group("how to draw it")
    sampler(how)
    chain(how, steps)
    reading_to_draw(parser)
    where = parser.add_argument_group("where it goes")
    output_images(where)
    where.add_argument(
        "--paste",
        action="store_true",
        help="also write IMAGE at its own size, with what was drawn in its place: DIR/pasted/000000.png ...",
    )
    where.add_argument("--grid", metavar="FILE.png", help="what was given and all images in one picture")
    json(where, "what was drawn and where it is")
    running(parser, 64)
