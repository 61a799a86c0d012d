"""Models of the Hugging Face hub, `hf:OWNER/NAME[@REVISION][/FOLDER]`: the files that are needed are downloaded once, then read.

A name means what is there now; what is written down is the commit that was found. FOLDER may also be one file of weights.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from urllib.parse import quote

from ddpm.data.sources.hub import COMMIT, PREFIX, Name, asking, parse
from ddpm.errors import DataError, NotFound, Unavailable
from ddpm.interop.diffusers.reading import WEIGHTS
from ddpm.interop.folders import json_in
from ddpm.storage.atomic import write_text

KIND = "model"
NETWORKS = ("", "unet/", "unet_ema/")
FOLDERS = (*NETWORKS, "scheduler/")
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
    if name.commit and _kept(name):  # the same files for ever, so that nobody need be asked
        return str(name), _snapshot(name)
    try:
        return _downloaded(name)
    except Unavailable:
        if name.commit and _looks_whole(_snapshot(name)):
            return str(name), _snapshot(name)
        raise


def _downloaded(name: Name) -> tuple[str, Path]:
    """What the hub has; of files that are there already it is only asked which they are."""
    with asking(name, KIND):
        from huggingface_hub import HfApi, snapshot_download, utils  # noqa: PLC0415 (an extra, and half a second)

        found = HfApi().model_info(name.name, revision=name.commit or name.revision)
        if not COMMIT.fullmatch(commit := str(found.sha)):
            raise Unavailable(f"the hub did not say which commit it has: {str(name)!r}: {commit!r}")
        files = _needed(name, [file.rfilename for file in found.siblings or []])
        if not sys.stderr.isatty():
            utils.disable_progress_bars()  # they would fill a log
        snapshot_download(name.name, revision=commit, allow_patterns=[escape(file) for file in files])
        name = replace(name, commit=commit)
        note = _note(name)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps({"files": files}))
    return str(name), _snapshot(name)


def _cache(name: Name) -> Path:
    """The folder of a model in the hub's cache."""
    with asking(name, KIND):
        from huggingface_hub import constants  # noqa: PLC0415

    return Path(constants.HF_HUB_CACHE) / f"models--{name.name.replace('/', '--')}"


def _snapshot(name: Name) -> Path:
    return _cache(name) / "snapshots" / str(name.commit) / name.folder


def _note(name: Name) -> Path:
    """Where we write down which files were downloaded: the snapshot of a commit may hold a part of it, for somebody else."""
    return _cache(name) / "ddpm" / str(name.commit) / f"{quote(name.folder, safe='') or 'all'}.json"


def _kept(name: Name) -> bool:
    """Whether all files that are needed were downloaded before, and are there."""
    try:
        files = json_in(_note(name)).get("files")
    except (NotFound, DataError):
        return False
    there = _cache(name) / "snapshots" / str(name.commit)
    return isinstance(files, list) and bool(files) and all((there / str(file)).is_file() for file in files)


def _looks_whole(place: Path) -> bool:
    """Whether another program left a file here, or configuration, weights and scheduler of a model: without a hub, that will do."""
    if place.is_file():
        return True
    networks = [
        folder
        for folder in (place / name for name in NETWORKS)
        if (folder / "config.json").is_file() and any((folder / weights).is_file() for weights in WEIGHTS)
    ]
    schedulers = [folder / CONFIGURATIONS[1] for folder in (place, place / "scheduler", place.parent / "scheduler")]
    return bool(networks) and any(file.is_file() for file in schedulers)


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
