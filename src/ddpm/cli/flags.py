"""The flags of each command. Names of presets, schedules and the like are checked later, where they are defined."""

import argparse

SOURCE = (
    "'digits' (embedded), a folder of images, an IDX file or folder (MNIST), .npz/.npy (uint8), CIFAR-10 .bin files"
)
PRESETS = "digits, mnist, small, cifar10, celeba-hq, lsun-bedroom, lsun-bedroom-large"
SAMPLERS = "ancestral, ddim, dpm-solver, dpm-solver-2s, dpm-solver-sde, multistep, unipc, heun, corrected, langevin, langevin-ncsn"
SPACINGS = "uniform, quadratic, trailing, leading, log-snr, optimal"
SCHEDULES = "linear, cosine, quadratic, constant, warmup, jsd, log-snr"


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {text!r}")
    return value


def _count(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0: {text!r}")
    return value


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1: {text!r}")
    return value


def demo(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm demo`."""
    parser.add_argument("--output-dir", type=_name, default="runs/demo", metavar="RUN", help="run folder (runs/demo)")
    parser.add_argument("--budget", type=_seconds, default=180.0, metavar="SECONDS", help="training time (180)")


def train(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm train`."""
    parser.add_argument("--data", type=_name, required=True, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--output-dir", type=_name, required=True, metavar="RUN", help="run folder")
    parser.add_argument("--preset", default="", metavar="NAME", help=f"{PRESETS} (small; digits for digits)")
    parser.add_argument("--config", default="", metavar="FILE", help="a config.json instead of a preset")
    parser.add_argument(
        "--conditional",
        action="store_true",
        help="learn the images of each class, by the data's labels (for ddpm sample --label)",
    )
    parser.add_argument("--steps", type=_positive, metavar="N", help="steps of training in all")
    parser.add_argument("--batch-size", type=_positive, metavar="B", help="images in a step")
    parser.add_argument("--lr", type=float, metavar="X", help="learning rate")
    parser.add_argument("--seed", type=int, metavar="S", help="of initialisation, batches, noise and dropout")
    parser.add_argument("--schedule", metavar="NAME", help=f"{SCHEDULES}, learned, or a .json of ddpm schedule")
    parser.add_argument("--prediction", metavar="NAME", help="eps, x0, mean, v")
    parser.add_argument("--variance", metavar="NAME", help="fixed-large, fixed-small, learned")
    parser.add_argument("--objective", metavar="NAME", help="simple, weighted, variational, hybrid")
    parser.add_argument("--precision", metavar="NAME", help="auto, fp32, bf16, fp16")
    parser.add_argument(
        "--resume", default="auto", metavar="HOW", help="auto (go on if there is a run), never, or a checkpoint"
    )
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="any field of config.json")


def sample(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm sample`."""
    parser.add_argument("run", type=_name, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--num", type=_positive, required=True, metavar="N", help="how many images")
    parser.add_argument("--output-dir", type=_name, required=True, metavar="DIR", help="where 000000.png ... go")
    _sampler(parser)
    _chain(parser)
    parser.add_argument(
        "--label",
        metavar="A,B",
        help="classes by name or number, in turn; all, or none: whatever the model likes (all, if it has classes)",
    )
    parser.add_argument(
        "--guidance",
        type=float,
        metavar="W",
        help="classifier-free: 0 ignores the label, 1 heeds it, more is more typical and less varied (1)",
    )
    parser.add_argument(
        "--guidance-interval",
        metavar="A,B",
        help="guide only at steps A to B of the whole chain's 1..T (all)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="image i depends on this and i alone (0)")
    parser.add_argument(
        "--first", type=_count, default=0, metavar="I", help="number of the first image (0): a run can be cut"
    )
    parser.add_argument("--batch-size", type=_positive, default=64, metavar="B", help="images at a time (64)")
    _reading(parser)
    parser.add_argument("--grid", metavar="FILE.png", help="all images in one")
    parser.add_argument("--animation", metavar="FILE", help=".gif or .webp: the chains of the first 64")
    parser.add_argument("--npz", metavar="FILE.npz", help="uint8 NHWC, under arr_0; labels under arr_1")
    parser.add_argument("--progressive", metavar="FILE.png", help="estimates of x_0 over time, a row for each image")
    parser.add_argument("--json", metavar="FILE", help="what was drawn and where it is; - for the terminal")


def _sampler(parser: argparse.ArgumentParser) -> None:
    """How a chain goes down."""
    parser.add_argument(
        "--sampler",
        default="ancestral",
        metavar="NAME",
        help=f"{SAMPLERS} (ancestral: Algorithm 2)",
    )
    parser.add_argument("--eta", type=float, metavar="X", help="of ddim: 0 without noise ... 1 (0)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="another option of the sampler: order=3 (multistep, unipc), churn=10 (heun), snr=0.2, corrections=2 ...",
    )


def _chain(parser: argparse.ArgumentParser, steps: str = "of the chain's T (all)") -> None:
    """On which chain the model is read."""
    parser.add_argument("--steps", type=_positive, metavar="K", help=steps)
    parser.add_argument("--spacing", default="uniform", metavar="NAME", help=f"which K: {SPACINGS} (uniform)")
    parser.add_argument(
        "--variance",
        metavar="NAME",
        help="fixed-large, fixed-small, learned, optimal (as trained); the optimal ones are measured once on training data",
    )


def _reading(parser: argparse.ArgumentParser) -> None:
    """How the network of a trained model is read."""
    parser.add_argument("--weights", default="ema", choices=["ema", "raw"], help="moving average or last (ema)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="process.B=VALUE",
        help="read the network otherwise: process.limit=unlimited, process.variance=fixed-small, process.sigma_1=beta-1",
    )


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm evaluate`."""
    parser.add_argument("run", type=_name, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--data", type=_name, required=True, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or all (test)")
    _chain(parser)
    parser.add_argument(
        "--metrics",
        default="bpd",
        metavar="A,B",
        help="bpd, rate-distortion, importance-weighted, flow (bpd); bits/dim of the last two come in one table with bpd",
    )
    parser.add_argument(
        "--draws", type=_positive, default=16, metavar="K", help="of importance-weighted: chains for each image (16)"
    )
    parser.add_argument(
        "--trace",
        default="hutchinson",
        metavar="NAME",
        help="of flow: hutchinson, or exact, which costs an evaluation for each dimension (hutchinson)",
    )
    parser.add_argument("--probes", type=_positive, default=1, metavar="N", help="of hutchinson: for each image (1)")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=1e-4,
        metavar="X",
        help="of flow: error of a step, of x in [-1, 1] and in nats/dim (1e-4)",
    )
    parser.add_argument("--num-images", type=_positive, metavar="N", help="the first N (all)")
    parser.add_argument(
        "--evaluations", type=_positive, metavar="N", help="estimate bpd from N >= 2 t for each image (all T, exactly)"
    )
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="what a model with classes is told: own (each image's), none, or one class for all (own)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise (0)")
    parser.add_argument("--batch-size", type=_positive, default=128, metavar="B", help="images at a time (128)")
    _reading(parser)
    parser.add_argument("--json", metavar="FILE", help="all numbers; - for the terminal")
    parser.add_argument("--plot", metavar="FILE.png", help="the bound by t")


def interpolate(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm interpolate`."""
    parser.add_argument("run", type=_name, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("first", metavar="A.png", help="one image")
    parser.add_argument("second", metavar="B.png", help="another")
    parser.add_argument(
        "--timestep", type=int, required=True, metavar="T", help="how far into the noise: 0 mixes pixels"
    )
    parser.add_argument("--num", type=_positive, default=9, metavar="N", help="images, the ends included (9)")
    parser.add_argument(
        "--output-dir", type=_name, required=True, metavar="DIR", help="where 000000.png ... and row.png go"
    )
    parser.add_argument(
        "--encoding",
        default="stochastic",
        metavar="NAME",
        help="to the latents: stochastic (drawn, the paper's), deterministic (DDIM's: the ends come back) (stochastic)",
    )
    parser.add_argument("--steps", type=_positive, metavar="K", help="of the T from the latents to the image (all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise (0)")
    _reading(parser)


def inpaint(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm inpaint`."""
    parser.add_argument("run", type=_name, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("image", type=_name, metavar="IMAGE", help="an image of the model's size")
    parser.add_argument("mask", type=_name, metavar="MASK", help="of the same size: white is drawn, black is kept")
    parser.add_argument("--method", default="repaint", metavar="NAME", help="repaint, replace, ddnm (repaint)")
    parser.add_argument(
        "--resamplings", type=_positive, metavar="R", help="go over the same steps R times (repaint: 10, ddnm: 1)"
    )
    parser.add_argument(
        "--jump", type=_positive, default=10, metavar="J", help="steps that are gone over at a time (10)"
    )
    _editing(parser, "of the chain's T (all; repaint was published with 250)")


def edit(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm edit`."""
    parser.add_argument("run", type=_name, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("image", type=_name, metavar="IMAGE", help="an image of the model's size, or as said below")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--timestep", type=int, metavar="T", help="draw it anew from its own x_t: the larger T, the less is left of it"
    )
    what.add_argument(
        "--super-resolve",
        type=_positive,
        metavar="F",
        help="enlarge IMAGE, F times smaller than the model's, means of FxF",
    )
    what.add_argument("--colour", action="store_true", help="colour IMAGE, of which only the grey values count")
    _editing(parser, "of the chain's T, or of those up to --timestep (all)")


def _editing(parser: argparse.ArgumentParser, steps: str) -> None:
    """How images are drawn from a given one, and where they go."""
    parser.add_argument("--num", type=_positive, default=4, metavar="N", help="how many images (4)")
    parser.add_argument("--output-dir", type=_name, required=True, metavar="DIR", help="where 000000.png ... go")
    _sampler(parser)
    _chain(parser, steps)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="image i depends on this and i alone (0)")
    parser.add_argument("--batch-size", type=_positive, default=64, metavar="B", help="images at a time (64)")
    _reading(parser)
    parser.add_argument("--grid", metavar="FILE.png", help="what was given and all images in one")
    parser.add_argument("--json", metavar="FILE", help="what was drawn and where it is; - for the terminal")


def schedule(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm schedule`."""
    parser.add_argument(
        "name", type=_name, metavar="NAME|RUN|FILE.json", help=f"{SCHEDULES}, a run folder, or a file of --json"
    )
    parser.add_argument("--steps", type=_positive, metavar="T", help="number of steps (1000)")
    parser.add_argument("--json", metavar="FILE", help="all tables; - for the terminal")
    parser.add_argument("--plot", metavar="FILE.png", help="a picture")


def data(parser: argparse.ArgumentParser) -> None:
    """Of `ddpm data`."""
    parser.add_argument("source", type=_name, metavar="SOURCE", help=SOURCE)
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
        "--output-dir", default="runs/lab", metavar="DIR", help="where figures and lab.html go (runs/lab)"
    )
    parser.add_argument("--language", default="en", choices=["en", "ko"], help="of questions and answers (en)")
    parser.add_argument(
        "--schedule",
        type=_name,
        default="linear",
        metavar="NAME|RUN|FILE.json",
        help=f"{SCHEDULES} (linear); a run folder; or a file of ddpm schedule --json",
    )
    parser.add_argument("--steps", type=_positive, metavar="T", help="of the schedule (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of what is simulated (0)")
    parser.add_argument("--json", metavar="FILE", help="questions, answers and tables; - for the terminal")
