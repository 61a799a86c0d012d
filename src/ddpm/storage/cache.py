"""The user's cache: what can be made again, kept for all runs and commands."""

import os
from pathlib import Path


def cache_folder(part: str) -> Path:
    """A part of it: below $DDPM_CACHE, or $XDG_CACHE_HOME/ddpm, or ~/.cache/ddpm. It need not be there."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("DDPM_CACHE") or os.path.join(home, "ddpm")) / part
