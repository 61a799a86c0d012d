"""Which files of a source are its images, and what becomes of the others: nothing is left out without a word.

A file with a suffix of pictures is an image, and a file of text is none; neither is opened. Of every other, or one without
a suffix, the first bytes decide.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ddpm.data.decoding import formats
from ddpm.data.decoding.picture import SUFFIXES
from ddpm.data.imageset import Broken

OTHERS = {
    suffix: kind
    for kind, suffixes in {
        "archive, not opened": ".zip .tar .gz .tgz .bz2 .xz .zst .rar .7z .parquet .arrow .tfrecord .lmdb .h5 .npz .npy",
        "no picture": ".txt .json .jsonl .csv .tsv .xml .yaml .yml .toml .md .rst .html .htm .css .js .py .ipynb .sh .ini .cfg "
        ".log .db .cls .pdf .doc .docx .xls .xlsx .mat .pkl .pt .pth .ckpt .safetensors .index .aae .mp3 .wav .m4a",
        "no still picture": ".mp4 .mov .avi .mkv .webm .m4v",
    }.items()
    for suffix in suffixes.split()
}
"""Suffixes of files that are no images, and what they are."""
RAW = frozenset([".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"])
"""What sensors of cameras write. They begin as TIFF does, and Pillow would read the small preview in them."""
HIDDEN = "hidden (its name begins with a dot)"
"""Why a file whose name begins with a dot is passed over."""
UNREAD = "format"
"""The fault of a picture that is left out because its format is not read here."""


@dataclass(frozen=True)
class PassedOver:
    """So many files, or folders, that were left out for the same reason; `first` is the first of their names."""

    why: str
    count: int
    first: str


@dataclass
class Accounts:
    """What is left out of a source while its files are looked through.

    `unread` are pictures that cannot be read; the others are counted by the reason why they are no images of the source.
    """

    unread: list[Broken] = field(default_factory=list)
    _passed: dict[str, PassedOver] = field(default_factory=dict)

    def pass_over(self, why: str, name: str) -> None:
        """One more that is no image, and why."""
        before = self._passed.get(why, PassedOver(why, 0, name))
        self._passed[why] = PassedOver(why, before.count + 1, min(before.first, name, key=os.fsencode))

    @property
    def passed(self) -> Sequence[PassedOver]:
        """What was passed over, the most common reason first."""
        return sorted(self._passed.values(), key=lambda one: (-one.count, one.why))

    def admits(self, name: str, head: Callable[[], bytes]) -> bool:
        """Whether a file is taken for an image; if not, it is noted why. `head` reads its first bytes."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix in SUFFIXES:
            return True
        if (kind := OTHERS.get(suffix)) is not None:
            self.pass_over(f"{kind} ({suffix})", name)
            return False
        try:
            found = "camera raw" if suffix in RAW else formats.format_of(head())
        except OSError as error:
            self.unread.append(Broken(name, "unreadable", error.strerror or type(error).__name__))
            return False
        if found is None:
            self.pass_over(f"no picture ({suffix or 'no suffix'})", name)
        elif not formats.is_read(found):
            self.unread.append(Broken(name, UNREAD, formats.not_read(found)))
        return found is not None and formats.is_read(found)
