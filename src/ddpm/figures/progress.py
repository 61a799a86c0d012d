"""Progress of long work that a caller of the library watches: a bar on a terminal and in a notebook, nothing elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ddpm.parallel.launch import number

Item = TypeVar("Item")


def watched_by_a_person() -> bool:
    """Whether there is a terminal, or a notebook, in which a bar can be seen; of several processes the first shows it."""
    return not number() and (sys.stderr.isatty() or "ipykernel" in sys.modules)


@contextmanager
def followed(items: Iterable[Item], total: int | None, label: str, progress: bool) -> Iterator[Iterator[Item]]:  # noqa: FBT001
    """The items, with a bar if `progress` is asked for and somebody can see it; the bar goes as the work ends."""
    if not (progress and watched_by_a_person()):
        yield iter(items)
        return
    from tqdm import tqdm  # noqa: PLC0415 (only where a bar is shown)

    with tqdm(items, total=total, desc=label, dynamic_ncols=True, leave=False) as bar:
        yield iter(bar)
