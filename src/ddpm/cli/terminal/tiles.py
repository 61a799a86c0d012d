"""Progress of coding images: in tiles, of which the network is asked many times each, so a large picture has progress within."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from ddpm.cli.terminal.console import Bar
from ddpm.codec import archive, container
from ddpm.codec.archive import Archive
from ddpm.codec.codec import Codec

Item = TypeVar("Item")


class Tiles:
    """A bar over so many images. What is done is what the network was asked, or that an image came back.

    `codec` is the one to code with. How many tiles there are in all is guessed from the images that were begun.
    """

    def __init__(self, codec: Codec, images: int, label: str) -> None:
        self.codec = codec.watched(self._asked)
        self._images, self._bar = images, Bar(images, label)
        self._begun = deque[tuple[int, int]]()
        self._number = self._tiles = self._work = self._finished = self._answers = self._shown = 0

    def begin(self, shape: tuple[int, ...], calls: int) -> None:
        """An image of this shape (C, H, W) comes next: the network is asked so often of each of its tiles."""
        tiles = self.codec.tiled(shape) // self.codec.profile.size
        self._begun.append((tiles, tiles * calls))
        self._number, self._tiles, self._work = self._number + 1, self._tiles + tiles, self._work + tiles * calls
        self._bar.expect(max(self._tiles, self._tiles * self._images // self._number), None)
        if self._tiles > self._number:
            self._bar.show("tiles")

    def begin_file(self, file: bytes | Archive, wanted: Collection[int] | None) -> None:
        """The image of a file comes next; or, of an archive, all that are in groups with the `wanted` ones."""
        own = self.codec.profile.shape
        if isinstance(file, bytes):
            header, _ = container.unpack(file)
            self.begin(header.shape or own, self.codec.calls(header.coding))
            return
        for group in archive.groups_of(file, wanted):
            calls = 0 if group.stored else self.codec.calls(container.ARCHIVE)
            for entry in group.entries:
                self.begin(entry.shape or own, calls)

    def track(self, items: Iterable[Item]) -> Iterator[Item]:
        """What is made of the images in their order, with the progress."""
        finished = 0
        try:
            for item in items:
                tiles, work = self._begun.popleft() if self._begun else (0, 0)
                self._finished, finished = self._finished + work, finished + tiles
                self._answers = max(self._answers, self._finished)
                self._show(finished)
                yield item
            self._show(self._tiles)
        finally:
            self._bar.close()

    def _asked(self, tiles: int) -> None:
        self._answers += tiles
        self._show(0)

    def _show(self, least: int) -> None:
        done = max(least, min(self._tiles, self._tiles * self._answers // max(self._work, 1)))
        if done > self._shown:
            self._bar.advance(done - self._shown)
            self._shown = done
