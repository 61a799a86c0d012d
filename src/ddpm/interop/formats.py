"""Which format a folder or a file is of."""

from contextlib import suppress
from pathlib import Path

from ddpm.errors import SHOWN, DataError, NotFound, UsageError
from ddpm.interop import diffusers, graphs, lucidrains, openai, port, tensorflow
from ddpm.interop.files import weights_in
from ddpm.interop.folders import json_in
from ddpm.interop.foreign import Foreign, Told

FOLDERS = {"diffusers": diffusers}
"""Formats of a folder."""
FILES = {"openai": openai, "port": port, "lucidrains": lucidrains, "tensorflow": tensorflow}
"""Formats of a file of weights."""
WRITERS = {"diffusers": diffusers.write, "onnx": graphs.write_onnx, "torch-export": graphs.write_torch_export}
"""Those that are written."""
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz")
NOTHING = Told()
KNOWN = (
    "known are a folder of diffusers (model_index.json, unet/config.json, or config.json of a UNet2DModel)",
    "and files of weights of OpenAI's improved- and guided-diffusion, of lucidrains' denoising-diffusion-pytorch, of the "
    "port of the authors' weights, and their own variables in an .npz",
)
NO_OTHER = "but a UNet2DModel of pixels is"
OTHERS = {
    "UNet2DConditionModel": "as it draws what a text says",
    "AutoencoderKL": "as it draws nothing by itself: it makes latents of images",
    "VQModel": "as it draws nothing by itself: it makes latents of images",
}
"""Networks of diffusers that are none of ours, and why."""


def recognised(path: Path) -> bool:
    """Whether it may be a model of another library: a folder of a format that is known, or a file of weights."""
    return any(module.recognises(path) for module in FOLDERS.values()) or (path.suffix in SUFFIXES and path.is_file())


def read(path: Path, told: Told = NOTHING) -> Foreign:
    """A model of any format.

    Args:
        path: a folder, or a file of weights.
        told: what a file does not say.

    Raises:
        NotFound: there is nothing there.
        UsageError: it is of no format that is known, something has to be told, or it uses what we cannot express; that is named.
        DataError: it is damaged or hostile.
        Mismatch: weights and configuration are not of the same network.
    """
    if not path.exists():
        raise NotFound(f"no such model: {str(path)!r}")
    if (path / "config.json").is_file() and (path / "checkpoints").is_dir():
        raise UsageError(f"this is a run already, and needs no import: {str(path)!r}")
    for module in FOLDERS.values():
        if module.recognises(path):
            return module.read(path)
    if (name := _named(path)) is not None:
        raise UsageError(f"{name} is not read, {OTHERS.get(name, NO_OTHER)}: {str(path)!r}", *KNOWN)
    if path.is_file():
        weights = weights_in(path)
        for module in FILES.values():
            if module.recognises(weights):
                try:
                    return module.read(weights, told, str(path))
                except (
                    ValueError,
                    ZeroDivisionError,
                ) as error:  # a flag that is no number, or none that makes a network
                    raise DataError(f"no network of this shape: {path}: {error}") from error
        first = next(iter(weights), "")[:SHOWN]
        raise UsageError(
            f"weights of no network that is known: {len(weights):,} tensors, the first {first!r}: {str(path)!r}",
            *KNOWN,
            "in Python ddpm.model(ddpm.ReverseProcess(network, schedule), shape) takes any network",
        )
    raise UsageError(f"no model of a format that is known: {str(path)!r}", *KNOWN)


def _named(path: Path) -> str | None:
    """The class of a model in a folder of diffusers or transformers, as its configuration calls it; None where none does."""
    for place in (path / "unet", path / "transformer", path):
        with suppress(NotFound, DataError):
            config = json_in(place / "config.json")
            architectures = config.get("architectures")
            found = config.get("_class_name") or (
                architectures[0] if isinstance(architectures, list) and architectures else None
            )
            if isinstance(found, str):
                return found[:SHOWN]
    return None
