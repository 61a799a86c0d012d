"""What a running training writes into its folder. Of several processes the first one does; in the others nothing happens.

Where a log line or a picture cannot be written that is said, and training goes on; a checkpoint may end it (`Saver`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint, Noted, Outcome, Saver
from ddpm.data.imageset import ImageSet
from ddpm.errors import StorageError
from ddpm.parallel.world import World
from ddpm.run.folder import RunFolder
from ddpm.run.log import RunLog
from ddpm.run.missing_images import write_bad_images
from ddpm.storage.atomic import atomically


class Writer(ABC):
    """What is written between the steps of a run: a `FolderWriter` does it, `NoWriter` stands where nothing is written."""

    @abstractmethod
    def write_row(self, row: Mapping[str, Any]) -> Iterator[Noted]:
        """A line of metrics.jsonl."""

    @abstractmethod
    def write_bad_images(self, *sets: ImageSet) -> Iterator[Noted]:
        """bad_images.csv: what of these cannot be read."""

    @abstractmethod
    def save_grid(self, picture: Image, step: int) -> Iterator[Noted]:
        """A grid of samples, also for TensorBoard."""

    @abstractmethod
    def save(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """As `Saver.save`; the log lines of its steps are on the disk before it is."""

    @abstractmethod
    def save_owned(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """As `Saver.save_owned`."""

    @abstractmethod
    def wait(self) -> Sequence[Outcome]:
        """As `Saver.wait`."""

    @abstractmethod
    def finish(self) -> Sequence[Outcome]:
        """As `Saver.finish`."""


@dataclass(frozen=True)
class FolderWriter(Writer):
    """In the first process."""

    folder: RunFolder
    log: RunLog
    saver: Saver

    def write_row(self, row: Mapping[str, Any]) -> Iterator[Noted]:
        """A line of metrics.jsonl."""
        return attempted(partial(self.log.write, row))

    def write_bad_images(self, *sets: ImageSet) -> Iterator[Noted]:
        """bad_images.csv: what of these cannot be read."""
        return attempted(partial(write_bad_images, self.folder, *sets))

    def save_grid(self, picture: Image, step: int) -> Iterator[Noted]:
        """A grid of samples, also for TensorBoard."""
        yield from attempted(partial(save_picture, picture, grid_path(self.folder, step)))
        pixels = torch.from_numpy(np.atleast_3d(np.array(picture))).movedim(2, 0)
        yield from attempted(partial(self.log.show, "samples", pixels, step))

    def save(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """As `Saver.save`."""
        self._sync()
        return self.saver.save(step, content)

    def save_owned(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """As `Saver.save_owned`."""
        self._sync()
        return self.saver.save_owned(step, content)

    def wait(self) -> Sequence[Outcome]:
        """As `Saver.wait`."""
        return self.saver.wait()

    def finish(self) -> Sequence[Outcome]:
        """As `Saver.finish`."""
        return self.saver.finish()

    def _sync(self) -> None:
        """Log lines to the disk; where that fails it was said already, or will be."""
        with suppress(StorageError):
            self.log.sync()


class NoWriter(Writer):
    """In the other processes."""

    def write_row(self, row: Mapping[str, Any]) -> Iterator[Noted]:
        """Nothing."""
        return iter(())

    def write_bad_images(self, *sets: ImageSet) -> Iterator[Noted]:
        """Nothing."""
        return iter(())

    def save_grid(self, picture: Image, step: int) -> Iterator[Noted]:
        """Nothing."""
        return iter(())

    def save(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """Nothing."""
        return ()

    def save_owned(self, step: int, content: Checkpoint) -> Sequence[Outcome]:
        """Nothing."""
        return ()

    def wait(self) -> Sequence[Outcome]:
        """Nothing."""
        return ()

    def finish(self) -> Sequence[Outcome]:
        """Nothing."""
        return ()


@contextmanager
def writing(folder: RunFolder, world: World, step: int, keep: int) -> Iterator[Writer]:
    """Inside, this process may write what comes after `step`; at the end all of it is on the disk.

    Of the checkpoints those of every `keep` steps stay (0: only the last ones, and the best).
    """
    if not world.first:
        yield NoWriter()
        return
    with closing(RunLog(folder, step)) as log, Saver(folder.checkpoints, keep) as saver:
        yield FolderWriter(folder, log, saver)


def attempted(write: Callable[[], None]) -> Iterator[Noted]:
    """Something that is written beside checkpoints: where that fails it is said, and training goes on."""
    try:
        write()
    except (StorageError, OSError) as error:
        yield Noted(f"{error}; training goes on")


def grid_path(folder: RunFolder, step: int) -> Path:
    """Where the grid of samples of a step is."""
    return folder.samples / f"{checkpoints.folder_name(step)}.png"


def save_picture(picture: Image, path: Path) -> None:
    """Whole or not at all.

    Raises:
        StorageError: the disk is full or fails.
    """
    with atomically(path) as temporary:
        picture.save(temporary)
