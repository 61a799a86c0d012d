"""`ddpm train`: the flags of a training, and the report at its end; `parts.training` shows it as it goes."""

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, number, positive, span
from ddpm.cli.flags.names import PRESETS, SCHEDULES, SOURCE
from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.streams import require_told
from ddpm.errors import Interrupted
from ddpm.parallel import launch

if TYPE_CHECKING:
    from ddpm.experiment.config import Experiment
    from ddpm.run.folder import RunFolder
    from ddpm.run.start import Start

ABOUT = "train a model; the same command goes on with a stopped run"
EXAMPLES = """\
ddpm train --data pets --conditional --output-dir runs/pets --budget 2h
ddpm train --output-dir runs/pets --steps 40000
ddpm train --data birds --output-dir runs/birds --init-from runs/pets
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm train`."""
    what = parser.add_argument_group("what to train, and where")
    what.add_argument("--data", type=filled, metavar="SOURCE", help=f"{SOURCE} (that of the run in RUN)")
    what.add_argument("--output-dir", type=filled, required=True, metavar="RUN", help="run folder")
    what.add_argument(
        "--preset", type=filled, metavar="NAME", help=f"{PRESETS} (digits for digits, laptop on a CPU, else small)"
    )
    what.add_argument("--config", type=filled, metavar="FILE", help="a config.json instead of a preset")
    what.add_argument(
        "--conditional",
        action="store_true",
        help="learn the images of each class, by the data's labels (for ddpm sample --label)",
    )
    _beginning(what)
    process = parser.add_argument_group("the diffusion process (as in the preset)")
    process.add_argument("--schedule", metavar="NAME", help=f"{SCHEDULES}, learned, or a .json of ddpm schedule")
    process.add_argument("--prediction", metavar="NAME", help="what the network predicts: eps, x0, mean, v")
    process.add_argument("--variance", metavar="NAME", help="fixed-large, fixed-small, learned")
    process.add_argument("--objective", metavar="NAME", help="simple, weighted, variational, hybrid")
    how = parser.add_argument_group("how to train (as in the preset)")
    how.add_argument("--steps", type=positive, metavar="N", help="steps of training in all")
    how.add_argument(
        "--budget", type=span, metavar="TIME", help="train for so long instead: 90 (seconds), 30m, 2h, 1h30m"
    )
    how.add_argument("--batch-size", type=positive, metavar="B", help="images in a step")
    how.add_argument("--lr", type=number, metavar="X", help="learning rate")
    how.add_argument(
        "--seed", type=natural, metavar="S", help="random seed of initialisation, batches, noise and dropout"
    )
    how.add_argument("--precision", metavar="NAME", help="auto, fp32, bf16, fp16")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        help="any field of config.json, such as parallel=fsdp (or ddp)",
    )
    how.add_argument(
        "--resume",
        type=filled,
        default="auto",
        metavar="HOW",
        help="auto (continue the run in RUN, if there is one), never, or a checkpoint (auto)",
    )
    how.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        help="change a run from here on: training.lr or training.batch_size",
    )
    how.add_argument(
        "--curve",
        action="store_true",
        help="at the end measure the error that optimal steps and variances need",
    )
    groups.running(parser)


def _beginning(group: _ArgumentGroup) -> None:
    """With which weights a new run begins."""
    group.add_argument(
        "--init-from",
        type=filled,
        metavar="RUN",
        help="begin a new run with the weights of another one, of a checkpoint or of ddpm:mnist: its preset, network and process stay",
    )
    group.add_argument(
        "--init-weights", default="ema", metavar="NAME", help="which of its weights: ema, raw or ema-DECAY (ema)"
    )


def place_of(options: Namespace) -> "tuple[RunFolder, Start]":
    """Where the run is, and how it starts."""
    from ddpm.cli.flags.settings import assignments
    from ddpm.run.folder import RunFolder
    from ddpm.run.imported import own_folder
    from ddpm.run.start import start_of

    change = assignments(options.change, "--change A.B=VALUE")
    return RunFolder(own_folder(options.output_dir)), start_of(options.resume, change)


def experiment_of(options: Namespace) -> "Experiment":
    """What the flags ask for."""
    from ddpm.cli.flags.settings import assignments
    from ddpm.experiment.request import SHORT
    from ddpm.parallel.device import pick_device
    from ddpm.run.asked import asked_for

    return asked_for(
        *place_of(options),
        options.data,
        options.preset,
        Path(options.config) if options.config else None,
        {name: getattr(options, name) for name in SHORT},
        assignments(options.set),
        conditional=options.conditional,
        init_from=options.init_from,
        init_weights=options.init_weights,
        device_type=pick_device(options.device).type,
    )


def run(options: Namespace) -> None:
    """Train, then write the report."""
    try:
        from ddpm.run.ending import told_what_stands
    except KeyboardInterrupt:  # so much is imported that somebody may think better of it
        raise Interrupted("interrupted before training began: nothing was written") from None
    folder, start = place_of(options)
    with told_what_stands(folder):
        _trained_in(folder, start, options)


def _trained_in(folder: "RunFolder", start: "Start", options: Namespace) -> None:
    from ddpm.cli.flags.settings import assignments
    from ddpm.cli.parts.training import ask, follow
    from ddpm.experiment.request import says_how_long
    from ddpm.parallel.device import pick_device
    from ddpm.run.ending import recorded

    consent = (
        None
        if says_how_long(Path(options.config) if options.config else None, vars(options), assignments(options.set))
        else ask
    )
    experiment, device = experiment_of(options), pick_device(options.device)
    with recorded(folder):
        follow(experiment, folder, device, start, consent)
        if not launch.number():
            _told_of(folder, options)
        require_told()


def _told_of(folder: "RunFolder", options: Namespace) -> None:
    """The report of a finished training and, if asked for, its measured curve. What draws is imported here: training begins without."""
    from ddpm.cli.parts.opening import watched
    from ddpm.parallel.device import pick_device
    from ddpm.report.training import report_training
    from ddpm.trained.loaded import load_run
    from ddpm.trained.measured_curve import kept_curve, measured_curve

    say(f"done: {folder.path}; report: {report_training(folder, options.language)}")
    if options.curve:
        trained = load_run(str(folder.path), "ema", pick_device(options.device))
        if kept_curve(trained) is None:
            measured_curve(trained, watched(trained))
