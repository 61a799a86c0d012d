"""A trained model for another library."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from ddpm.errors import CannotCreate, Mismatch, StorageError, UsageError, chosen
from ddpm.interop import WRITERS, graphs
from ddpm.models.lucidrains import LucidrainsUNet
from ddpm.models.unet import UNet
from ddpm.storage.atomic import write_text
from ddpm.trained.card import card
from ddpm.trained.loaded import LoadedModel


def export(
    trained: LoadedModel, folder: Path, name: str, tell: Callable[[str], None] = lambda _line: None
) -> list[str]:
    """Write the weights that were loaded, and how they are read, into a new folder, whole or not at all.

    Args:
        trained: the model.
        folder: new, or empty.
        name: of a format that we write: "diffusers", "onnx", "torch-export".
        tell: is told how far what was written is from the network, where that is measured.

    Returns:
        What does not carry over, a line for each.

    Raises:
        UsageError: no such format, or one that cannot express this model; what is named.
        Mismatch: what was written does not give what the network gives.
        CannotCreate: the folder holds something, or cannot be made.
        StorageError: the disk is full or fails.
    """
    write = chosen(WRITERS, name, "format")
    if trained.experiment.schedule.learned and name not in graphs.FORMATS:
        raise UsageError(
            "a model with a learned schedule cannot be exported: it is a part of its network",
            "`format=torch-export` writes the two apart",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreate(f"{str(folder)!r} is not empty", "use another `output_dir`")
    beside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    network = trained.process.network
    if not isinstance(network, UNet | LucidrainsUNet):
        raise UsageError("only a network of a run can be exported, not one's own function")
    weights = {name: weight.detach().cpu() for name, weight in network.named_parameters()}
    try:
        beside.mkdir(parents=True)
        lost = write(trained.experiment, weights, beside)
        apart = _apart(trained, weights, beside, name)
        if apart is not None:
            tell(f"largest difference to the network, relative, on random inputs: {apart:.1e}")
        write_text(beside / "README.md", card(trained, name, apart))
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise StorageError(f"cannot write {str(folder)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return lost


def _apart(trained: LoadedModel, weights: Mapping[str, Tensor], folder: Path, name: str) -> float | None:
    """How far a graph is from the network; None where none was written.

    Raises:
        Mismatch: too far.
    """
    if name not in graphs.FORMATS:
        return None
    found = graphs.apart(trained.experiment, weights, folder)
    if not found <= graphs.BOUND:
        raise Mismatch(
            f"the network that was written differs from ours by {found:.1e} of an output, more than {graphs.BOUND:.0e}: {name}"
        )
    return found
