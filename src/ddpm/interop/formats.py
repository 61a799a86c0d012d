"""Which format a folder or a file is of."""

from pathlib import Path

from ddpm.errors import DataError, NotFound, UsageError
from ddpm.interop import diffusers, graphs, lucidrains, openai, port, tensorflow
from ddpm.interop.files import weights_in
from ddpm.interop.foreign import Foreign, Told

FOLDERS = {"diffusers": diffusers}
"""Formats of a folder."""
FILES = {"openai": openai, "port": port, "lucidrains": lucidrains, "tensorflow": tensorflow}
"""Formats of a file of weights."""
WRITERS = {"diffusers": diffusers.write, "onnx": graphs.write_onnx, "torch-export": graphs.write_torch_export}
"""Those that are written."""
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz")
NOTHING = Told()


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
    for module in FOLDERS.values():
        if module.recognises(path):
            return module.read(path)
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
    raise UsageError(
        f"no model of a format that is known: {str(path)!r}",
        "known are a folder of diffusers (model_index.json, unet/config.json, or config.json of a UNet2DModel)",
        "and files of weights of OpenAI's improved- and guided-diffusion, of lucidrains' denoising-diffusion-pytorch, of the "
        "port of the authors' weights, and their own variables in an .npz",
    )
