"""Which format a folder or a file is of."""

from pathlib import Path

from ddpm.errors import NotFound, UsageError
from ddpm.interop import diffusers
from ddpm.interop.foreign import Foreign

FORMATS = {"diffusers": diffusers}
"""Those that are read."""
WRITERS = {"diffusers": diffusers.write}
"""Those that are written."""


def recognised(path: Path) -> str | None:
    """The name of the format, or None; little is read."""
    return next((name for name, module in FORMATS.items() if module.recognises(path)), None)


def read(path: Path) -> Foreign:
    """A model of any format.

    Raises:
        NotFound: there is nothing there.
        UsageError: it is of no format that is known, or uses what we cannot express; that is named.
        DataError: it is damaged or hostile.
        Mismatch: weights and configuration are not of the same network.
    """
    if not path.exists():
        raise NotFound(f"no such model: {str(path)!r}")
    name = recognised(path)
    if name is None:
        raise UsageError(
            f"no model of a format that is known: {str(path)!r}",
            f"known are {', '.join(FORMATS)}: a folder with model_index.json, unet/config.json, or config.json of a UNet2DModel",
        )
    return FORMATS[name].read(path)
