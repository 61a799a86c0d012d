"""The flags of each command. Names of presets, schedules and the like are checked later, where they are defined."""

import argparse

from ddpm.cli.flag_groups import (
    PRESETS,
    SCHEDULES,
    SOURCE,
    chain,
    filled,
    number,
    positive,
    reading,
    seconds,
    tolerance,
    whole,
)


def demo(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm demo`."""
    parser.add_argument("--output-dir", type=filled, default="runs/demo", metavar="RUN", help="run folder (runs/demo)")
    parser.add_argument("--budget", type=seconds, default=180.0, metavar="SECONDS", help="training time (180)")


def train(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm train`."""
    parser.add_argument("--data", type=filled, required=True, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--output-dir", type=filled, required=True, metavar="RUN", help="run folder")
    parser.add_argument("--preset", type=filled, metavar="NAME", help=f"{PRESETS} (small; digits for digits)")
    parser.add_argument("--config", type=filled, metavar="FILE", help="a config.json instead of a preset")
    parser.add_argument(
        "--conditional",
        action="store_true",
        help="learn the images of each class, by the data's labels (for ddpm sample --label)",
    )
    parser.add_argument("--steps", type=positive, metavar="N", help="steps of training in all")
    parser.add_argument("--batch-size", type=positive, metavar="B", help="images in a step")
    parser.add_argument("--lr", type=number, metavar="X", help="learning rate")
    parser.add_argument("--seed", type=whole, metavar="S", help="of initialisation, batches, noise and dropout")
    parser.add_argument("--schedule", metavar="NAME", help=f"{SCHEDULES}, learned, or a .json of ddpm schedule")
    parser.add_argument("--prediction", metavar="NAME", help="eps, x0, mean, v")
    parser.add_argument("--variance", metavar="NAME", help="fixed-large, fixed-small, learned")
    parser.add_argument("--objective", metavar="NAME", help="simple, weighted, variational, hybrid")
    parser.add_argument("--precision", metavar="NAME", help="auto, fp32, bf16, fp16")
    parser.add_argument(
        "--resume",
        type=filled,
        default="auto",
        metavar="HOW",
        help="auto (go on if there is a run), never, or a checkpoint",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        help="any field of config.json, such as parallel=fsdp (or ddp)",
    )


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm evaluate`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--data", type=filled, required=True, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or all (test)")
    chain(parser)
    parser.add_argument(
        "--metrics",
        default="bpd",
        metavar="A,B",
        help="bpd, rate-distortion, importance-weighted, flow (bpd); bits/dim of the last two come in one table with bpd",
    )
    parser.add_argument(
        "--draws", type=positive, metavar="K", help="of importance-weighted: chains for each image (16)"
    )
    parser.add_argument(
        "--trace",
        metavar="NAME",
        help="of flow: hutchinson, or exact, which costs an evaluation for each dimension (hutchinson)",
    )
    parser.add_argument("--probes", type=positive, metavar="N", help="of hutchinson: for each image (1)")
    parser.add_argument(
        "--tolerance",
        type=tolerance,
        metavar="X",
        help="of flow: error of a step, of x in [-1, 1] and in nats/dim (1e-4)",
    )
    parser.add_argument("--num-images", type=positive, metavar="N", help="the first N (all)")
    parser.add_argument(
        "--evaluations",
        type=positive,
        metavar="N",
        help="estimate bpd from N >= 2 t for each image, after a pilot (all T, exactly)",
    )
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="what a model with classes is told: own (each image's), none, or one class for all (own)",
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="of the noise (0)")
    parser.add_argument("--batch-size", type=positive, default=128, metavar="B", help="images at a time (128)")
    reading(parser)
    parser.add_argument("--json", metavar="FILE", help="all numbers; - for the terminal")
    parser.add_argument("--plot", metavar="FILE.png", help="the bound by t")


def schedule(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm schedule`."""
    parser.add_argument(
        "name", type=filled, metavar="NAME|RUN|FILE.json", help=f"{SCHEDULES}, a run folder, or a file of --json"
    )
    parser.add_argument("--steps", type=positive, metavar="T", help="number of steps (1000)")
    parser.add_argument("--json", metavar="FILE", help="all tables; - for the terminal")
    parser.add_argument("--plot", metavar="FILE.png", help="a picture")


def data(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm data`."""
    parser.add_argument("source", type=filled, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--json", metavar="FILE", help="the same as JSON; - for the terminal")


def verify(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm verify`."""
    parser.add_argument("run", type=filled, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--json", metavar="FILE", help="the same as JSON; - for the terminal")


def lab(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm lab`."""
    parser.add_argument(
        "question",
        nargs="?",
        default="",
        metavar="QUESTION",
        help="Q1 ... Q35, another's name, or all (none: list them)",
    )
    parser.add_argument(
        "--output-dir", type=filled, default="runs/lab", metavar="DIR", help="where figures and lab.html go (runs/lab)"
    )
    parser.add_argument("--language", default="en", choices=["en", "ko"], help="of questions and answers (en)")
    parser.add_argument(
        "--schedule",
        type=filled,
        default="linear",
        metavar="NAME|RUN|FILE.json",
        help=f"{SCHEDULES} (linear); a run folder; or a file of ddpm schedule --json",
    )
    parser.add_argument("--steps", type=positive, metavar="T", help="of the schedule (1000)")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="of what is simulated (0)")
    parser.add_argument("--json", metavar="FILE", help="questions, answers and tables; - for the terminal")
