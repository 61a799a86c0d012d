"""A training's state on the disk: written, read back, kept, and never half there."""

from ddpm.checkpoints.background import Noted, Outcome, Saver, Wrote, gathered, require_room
from ddpm.checkpoints.manifest import NAME as MANIFEST
from ddpm.checkpoints.reading import (
    NAMED,
    Accept,
    Checkpoint,
    Damaged,
    Headers,
    anything,
    damage,
    folder_name,
    found,
    newest,
    numbers_of,
    read,
    step_of,
)
from ddpm.checkpoints.retention import MEASURE
from ddpm.checkpoints.state import begin_with, digest, load_weights, pack, unpack
from ddpm.checkpoints.writing import require_finite, tidy, write

__all__ = [
    "MANIFEST",
    "MEASURE",
    "NAMED",
    "Accept",
    "Checkpoint",
    "Damaged",
    "Headers",
    "Noted",
    "Outcome",
    "Saver",
    "Wrote",
    "anything",
    "begin_with",
    "damage",
    "digest",
    "folder_name",
    "found",
    "gathered",
    "load_weights",
    "newest",
    "numbers_of",
    "pack",
    "read",
    "require_finite",
    "require_room",
    "step_of",
    "tidy",
    "unpack",
    "write",
]
