"""A trained model for another library."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from ddpm.data.sources.hub import asking, parse
from ddpm.diffusion.learned import ScheduledNetwork
from ddpm.errors import CannotCreate, Mismatch, StorageError, UsageError, chosen
from ddpm.interop import WRITERS, graphs, hub
from ddpm.models.lucidrains import LucidrainsUNet
from ddpm.models.unet import UNet
from ddpm.storage.atomic import write_text
from ddpm.trained.card import card
from ddpm.trained.loaded import LoadedModel


def export(
    trained: LoadedModel,
    folder: Path,
    name: str,
    tell: Callable[[str], None] = lambda _line: None,
    *,
    private: bool = False,
) -> list[str]:
    """Write the weights that were loaded, and how they are read, into a new folder, whole or not at all.

    Args:
        trained: the model.
        folder: new, or empty; or `hf:OWNER/NAME`, a repository of the hub, which is made where there is none.
        name: of a format that we write: "diffusers", "onnx", "torch-export".
        tell: is told how far what was written is from the network, where that is measured.
        private: a repository that is made is seen by its owner alone. One that is there stays what it is.

    Returns:
        What does not carry over, a line for each.

    Raises:
        UsageError: no such format, or one that cannot express this model; what is named.
        Mismatch: what was written does not give what the network gives.
        CannotCreate: the folder holds something, or cannot be made.
        StorageError: the disk is full or fails.
        NotFound, Unavailable: the hub does not let you, or cannot be reached.
    """
    if hub.is_name(folder):
        return _pushed(trained, str(folder), name, tell, private=private)
    if private:
        raise UsageError(f"only a repository of the hub is private or not: {str(folder)!r}")
    write = chosen(WRITERS, name, "format")
    if trained.experiment.schedule.learned and name not in graphs.FORMATS:
        raise UsageError(
            "a model with a learned schedule cannot be exported: it is a part of its network",
            "`format=torch-export` writes the two apart",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotCreate(f"{str(folder)!r} is not empty", "give another folder")
    beside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    network = trained.network
    if not isinstance(network, UNet | LucidrainsUNet | ScheduledNetwork):
        raise UsageError("only a network of a run can be exported, not one's own function")
    weights = {name: weight.detach().cpu() for name, weight in network.named_parameters()}
    if not isinstance(network, ScheduledNetwork):
        made = len(weights), sum(weight.numel() for weight in weights.values())
        if made != trained.experiment.size():
            raise UsageError("the network is not the one that its configuration describes: it cannot be exported")
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


def _pushed(trained: LoadedModel, target: str, name: str, tell: Callable[[str], None], *, private: bool) -> list[str]:
    """Written beside, and from there to the hub, in one commit."""
    there = parse(target, "model")
    if there.commit or there.folder:
        raise UsageError(f"a model goes to hf:OWNER/NAME, or to a branch of it, hf:OWNER/NAME@BRANCH: {target!r}")
    with asking(there, "model"), tempfile.TemporaryDirectory() as beside:
        from huggingface_hub import HfApi  # noqa: PLC0415 (an extra, and half a second)

        lost = export(trained, Path(beside) / "model", name, tell)
        HfApi().create_repo(there.name, private=private, exist_ok=True)
        HfApi().upload_folder(
            repo_id=there.name,
            folder_path=Path(beside) / "model",
            revision=there.revision,
            commit_message=f"{name}: step {trained.step:,}, {trained.weights} weights",
        )
    return lost
