"""Models of the Hugging Face hub, `hf:OWNER/NAME[@REVISION][/FOLDER]`: the files that are needed are downloaded once, then read.

A name means what is there now; what is written down is the commit that was found. FOLDER may also be one file of weights.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from ddpm.data.sources.hub import COMMIT, PREFIX, Name, asking, parse
from ddpm.errors import NotFound, Unavailable
from ddpm.interop.diffusers.reading import WEIGHTS

KIND = "model"
FOLDERS = ("", "unet/", "unet_ema/", "scheduler/")
"""Of a pipeline, with what is read."""
CONFIGURATIONS = ("config.json", "scheduler_config.json")


def is_name(path: object) -> bool:
    """Whether it is a name of the hub, and no path."""
    return str(path).startswith(PREFIX)


def fetched(source: str) -> tuple[str, Path]:
    """The name with its commit, and the folder or file in the hub's own cache ($HF_HOME); downloaded if it is not there.

    Raises:
        UsageError: it is no such name, or huggingface_hub is not installed.
        NotFound: there is no such model, none for you, or nothing in it that is read.
        Unavailable: the hub cannot be reached.
        StorageError: the disk is full or fails.
    """
    name = parse(source, KIND)
    with asking(name, KIND):
        from huggingface_hub import HfApi, constants, snapshot_download, utils  # noqa: PLC0415 (an extra, and half a second)

        if name.commit:  # the same files for ever, so that nobody need be asked
            cache = Path(constants.HF_HUB_CACHE) / f"models--{name.name.replace('/', '--')}"
            place = cache / "snapshots" / name.commit / name.folder
            if _whole(place):
                return str(name), place
        found = HfApi().model_info(name.name, revision=name.commit or name.revision)
        if not COMMIT.fullmatch(commit := str(found.sha)):
            raise Unavailable(f"the hub did not say which commit it has: {source!r}: {commit!r}")
        files = _needed(name, [file.rfilename for file in found.siblings or []])
        if not sys.stderr.isatty():
            utils.disable_progress_bars()  # they would fill a log
        there = snapshot_download(name.name, revision=commit, allow_patterns=[escape(file) for file in files])
    return str(replace(name, commit=commit)), Path(there) / name.folder


def _whole(place: Path) -> bool:
    """Whether a file, or the configuration and the weights of a model, were downloaded before."""
    folders = [place / folder for folder in FOLDERS]
    return place.is_file() or any(
        (folder / "config.json").is_file() and any((folder / weights).is_file() for weights in WEIGHTS)
        for folder in folders
    )


def _needed(name: Name, files: Sequence[str]) -> list[str]:
    """Configurations, and of each network one file of weights: safetensors where there is one; or the one file that was named.

    Raises:
        NotFound: there are no weights.
    """
    if name.folder in files:
        return [name.folder]
    within = f"{name.folder}/" if name.folder else ""
    places = [f"{within}{folder}" for folder in FOLDERS]
    if name.folder in ("unet", "unet_ema"):
        places.append("scheduler/")
    weights = [next((f"{place}{one}" for one in WEIGHTS if f"{place}{one}" in files), None) for place in places]
    if not any(weights):
        some = ", ".join(files[:8])
        raise NotFound(
            f"no weights in {str(name)!r}: none of {', '.join(WEIGHTS)}", f"hf:OWNER/NAME/FILE reads one of {some}"
        )
    configurations = [f"{place}{one}" for place in places for one in CONFIGURATIONS if f"{place}{one}" in files]
    return [*configurations, *(one for one in weights if one)]
