"""Opening a trained model for a command."""

from argparse import Namespace
from dataclasses import replace

from ddpm.cli.console import note, track
from ddpm.cli.training import assignments
from ddpm.commands.run import Trained, open_run, pick_device
from ddpm.commands.shorter import OPTIMAL, UNKNOWN, Shorter, kept_curve, measured_curve
from ddpm.sampling.optimal import Curve


def opened(options: Namespace) -> Trained:
    """The model that RUN, --weights, --device and --set name; says which damaged checkpoints were passed over."""
    settings = assignments(options.set)
    if getattr(options, "variance", None) not in (None, OPTIMAL):
        settings["process.variance"] = options.variance
    trained = open_run(options.run, options.weights, pick_device(options.device), settings)
    for line in trained.notes:
        note(f"ddpm: {line}")
    return trained


def shorter(options: Namespace) -> Shorter:
    """What --steps, --spacing and --variance say."""
    return Shorter(options.steps or 0, options.spacing, options.variance or "")


def measured(options: Namespace, t: int | None = None) -> tuple[Trained, Curve]:
    """The whole model, and its curve if --spacing or --variance needs one: measured once, kept beside the model.

    Raises:
        UsageError: there is no such chain, up to t.
    """
    how, trained = shorter(options), opened(options)
    how.check(trained.process, t)
    found = (kept_curve(trained) if how.needs_curve else UNKNOWN) or measured_curve(
        trained, lambda errors: track(errors, trained.process.schedule.T, "measuring the error at every t, once")
    )
    return trained, found


def shortened(options: Namespace, t: int | None = None) -> Trained:
    """The model on the chain that `shorter` asks for, up to t.

    Raises:
        UsageError: there is no such chain.
    """
    trained, found = measured(options, t)
    return replace(trained, process=shorter(options).of(trained.process, found, t))
