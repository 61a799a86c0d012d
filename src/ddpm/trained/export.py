"""A trained model for another library."""

import os
import shutil
from pathlib import Path

import torch

from ddpm.errors import CannotCreate, StorageError, UsageError, chosen
from ddpm.interop import WRITERS
from ddpm.trained.loaded import LoadedModel


def export(trained: LoadedModel, folder: Path, name: str) -> list[str]:
    """Write the weights that were loaded, and how they are read, into a new folder, whole or not at all.

    Args:
        trained: the model.
        folder: new, or empty.
        name: of a format that we write: "diffusers".

    Returns:
        What does not carry over, a line for each.

    Raises:
        UsageError: no such format, or one that cannot express this model; what is named.
        CannotCreate: the folder holds something, or cannot be made.
        StorageError: the disk is full or fails.
    """
    write = chosen(WRITERS, name, "format")
    if trained.experiment.schedule.learned:
        raise UsageError("a model with a learned schedule cannot be exported: it is a part of its network")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreate(f"{str(folder)!r} is not empty", "use another `output_dir`")
    beside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    network = trained.process.network
    assert isinstance(network, torch.nn.Module)
    weights = {name: weight.detach().cpu() for name, weight in network.named_parameters()}
    try:
        beside.mkdir(parents=True)
        lost = write(trained.experiment, weights, beside)
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise StorageError(f"cannot write {str(folder)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return lost
