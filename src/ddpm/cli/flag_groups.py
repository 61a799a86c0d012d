"""What several commands have in common: kinds of values, names that can be given, groups of flags."""

import argparse

SOURCE = (
    "'digits' (embedded), a folder of images, .tar or .parquet files (one, or a folder of them), an IDX file or folder (MNIST), "
    ".npz/.npy (uint8), CIFAR-10 .bin files, or hf:OWNER/NAME of the Hugging Face hub; of a URL download the files first"
)
PRESETS = "digits, mnist, small, cifar10, celeba-hq, lsun-bedroom, lsun-bedroom-large"
SAMPLERS = (
    "ancestral, ddim, dpm-solver, dpm-solver-2s, dpm-solver-sde, multistep, unipc, heun, flow, "
    "corrected, langevin, langevin-ncsn"
)
SPACINGS = "uniform, quadratic, trailing, leading, log-snr, optimal"
SCHEDULES = "linear, cosine, quadratic, constant, warmup, jsd, log-snr"

TOO_MANY = 2**53
"""No table and no folder has so many; the sum of two such numbers still fits an integer of 64 bits."""


def number(text: str) -> float:
    """Any number; whether it suits is for whoever it is meant for."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number: {text!r}") from None


def whole(text: str) -> int:
    """A whole number, negative ones too."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number: {text!r}") from None


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {text!r}")
    return _bounded(value, text)


def count(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0: {text!r}")
    return _bounded(int(text), text)


def _bounded(value: int, text: str) -> int:
    if value >= TOO_MANY:
        raise argparse.ArgumentTypeError(f"must be below 2^53: {text!r}")
    return value


def filled(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    return _number(text, float("inf"), "a number of seconds above 0")


def tolerance(text: str) -> float:
    """A number between 0 and 1."""
    return _number(text, 1, "a number between 0 and 1")


def _number(text: str, below: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < below:
        raise argparse.ArgumentTypeError(f"must be {what}: {text!r}")
    return value


def sampler(parser: argparse.ArgumentParser) -> None:
    """How a chain goes down."""
    parser.add_argument(
        "--sampler",
        default="ancestral",
        metavar="NAME",
        help=f"{SAMPLERS} (ancestral: Algorithm 2)",
    )
    parser.add_argument("--eta", type=number, metavar="X", help="of ddim: 0 without noise ... 1 (0)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="another option of the sampler: order=3 (multistep, unipc), churn=10 (heun), snr=0.2, corrections=2 ...",
    )


def chain(parser: argparse.ArgumentParser, steps: str = "of the chain's T (all)") -> None:
    """On which chain the model is read."""
    parser.add_argument("--steps", type=positive, metavar="K", help=steps)
    parser.add_argument("--spacing", default="uniform", metavar="NAME", help=f"which K: {SPACINGS} (uniform)")
    parser.add_argument(
        "--variance",
        metavar="NAME",
        help="fixed-large, fixed-small, learned, optimal (as trained); the optimal ones are measured once on training data",
    )


def reading(parser: argparse.ArgumentParser) -> None:
    """How the network of a trained model is read."""
    parser.add_argument(
        "--weights",
        default="ema",
        metavar="NAME",
        help="ema: their moving average, raw: the last ones, ema-DECAY: one of training.more_ema_decays (ema)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="process.B=VALUE",
        help="read the network otherwise: process.limit=unlimited, process.variance=fixed-small, process.sigma_1=beta-1",
    )
