"""Opening a trained model for a command."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace

from ddpm.cli.console import note, track
from ddpm.cli.training import assignments
from ddpm.commands.run import Trained, open_run, pick_device
from ddpm.commands.shorter import OPTIMAL, Shorter, kept_curve, measured_curve
from ddpm.evaluation.curve import At


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


def shortened(options: Namespace, t: int = 0) -> Trained:
    """The same on the chain that `shorter` asks for, up to t; a curve that is needed is measured once.

    Raises:
        UsageError: no such chain.
    """
    how, trained = shorter(options), opened(options)
    if not how.needs_curve:
        return replace(trained, process=how.of(trained.process, t=t))
    how.check(trained.process, t)
    found = kept_curve(trained)
    if found is None:
        T = trained.process.schedule.T

        def watched(measured: Iterator[At]) -> Iterator[At]:
            return track(measured, T, "measuring the error at every t, once")

        found = measured_curve(trained, watched)
    return replace(trained, process=how.of(trained.process, found, t))
