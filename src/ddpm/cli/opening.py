"""Opening a trained model for a command."""

from argparse import Namespace

from ddpm.cli.console import note
from ddpm.cli.training import assignments
from ddpm.commands.run import Trained, open_run, pick_device


def opened(options: Namespace) -> Trained:
    """The model that RUN, --weights, --device and --set name; says which damaged checkpoints were passed over."""
    trained = open_run(options.run, options.weights, pick_device(options.device), assignments(options.set))
    for line in trained.notes:
        note(f"ddpm: {line}")
    return trained
