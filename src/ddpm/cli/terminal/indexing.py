"""Progress while images are looked through: it may take many minutes the first time, and is remembered from then on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ddpm.cli.terminal.console import Bar
from ddpm.data.indexing import index

QUICK = 2.0
"""Seconds in which nothing is said."""


@contextmanager
def indexing_shown() -> Iterator[None]:
    """Inside, what `index.indexed` looks through is followed by a bar, if it takes longer than `QUICK`."""
    follower = _Follower()
    index.OBSERVERS.append(follower)
    try:
        yield
    finally:
        index.OBSERVERS.remove(follower)
        follower.close()


class _Follower:
    """One bar after the other."""

    def __init__(self) -> None:
        self._bars: list[Bar] = []
        self._began = 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == 1:
            self.close()
            self._began = time.monotonic()
        for bar in self._bars:
            bar.advance()
        if not self._bars and time.monotonic() - self._began > QUICK:
            self._bars.append(Bar(total, "looking through the images", done))
        if done == total:
            self.close()

    def close(self) -> None:
        for bar in self._bars:
            bar.close()
        self._bars.clear()
