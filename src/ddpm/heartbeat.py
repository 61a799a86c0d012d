"""Who is still alive: a thread in each process tells the others so, and notices when one of them has fallen silent.

A process that is busy still beats; one that was killed, was frozen, or holds the interpreter for ever does not. What it says
goes through torch's own store, the one by which the processes found each other.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from ddpm.distributed import AGAIN, MEETING, World
from ddpm.errors import Failure, PeerLost, failure_of, in_json

BEATS = 30
"""In the time after which a silent process is lost."""
DONE = b"done"
"""The last word of a process that is not missed."""


@contextmanager
def attended(world: World, patience: float, abandon: Callable[[PeerLost], None]) -> Iterator[None]:
    """Inside, a process of `world` that is silent for `patience` seconds is lost.

    `abandon` is called then, from another thread: this process may wait for that one in vain, and should be left at once.

    Raises:
        PeerLost: an exchange between the processes failed, and one of them is silent.
        Failure: an exchange failed since another process did: its failure.
    """
    if world.store is None:
        yield
        return

    def lost(rank: int) -> None:
        abandon(_lost(rank, world))

    heart = Heartbeat(world.store, world, patience, lost)
    try:
        yield
    except RuntimeError as error:
        reason = heart.search()
        heart.stop()
        if reason:
            raise reason from error
        if isinstance(error, dist.DistError):
            raise PeerLost(f"the connection to the other processes broke: {error}", AGAIN) from error
        raise
    except Failure as failure:
        heart.confess(failure)
        heart.stop()
        raise
    except BaseException:
        heart.stop()
        raise
    heart.rest()


def _lost(rank: int, world: World) -> PeerLost:
    if rank == world.rank:  # its own store is the launcher's
        return PeerLost("the launcher is lost, by which the processes hear of each other", AGAIN)
    return PeerLost(
        f"process {rank} of {world.size} is lost: process {world.rank} has heard nothing of it for a while",
        "the last checkpoint stands: run the same command again to go on",
    )


class Heartbeat:
    """Beats for this process and listens to the others, until it is told to `rest`.

    Args:
        store: a connection of its own.
        world: of which process this is.
        patience: seconds of silence after which a process is lost.
        lost: called then, from the thread, with its rank; it should not return.
    """

    def __init__(self, store: dist.Store, world: World, patience: float, lost: Callable[[int], None]) -> None:
        self._store, self._world, self._patience, self._lost = store, world, patience, lost
        later = time.monotonic() + MEETING.total_seconds()  # who was never heard of may still be starting
        self._seen = {rank: (b"", later) for rank in range(world.size) if rank != world.rank}
        self._resting, self._done = threading.Event(), False
        self._beating = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._watching = threading.Thread(target=self._watch, daemon=True, name="heartbeat-watch")
        self._beating.start()
        self._watching.start()

    def silent(self) -> list[int]:
        """The processes that have missed a few beats."""
        now, few = time.monotonic(), max(1.0, 3 * self._patience / BEATS)
        return [rank for rank, (_, moment) in self._seen.items() if now - moment > few]

    def confess(self, failure: Failure) -> None:
        """Tell the others why this process leaves."""
        with suppress(RuntimeError):
            self._store.set(f"failed-{self._world.rank}", json.dumps(in_json(failure)))

    def search(self) -> Failure | None:
        """After an exchange has failed: why another process left, or that it fell silent, found within half the patience."""
        until = time.monotonic() + self._patience / 2
        while time.monotonic() < until:
            if told := self._told():
                return told
            if silent := self.silent():
                return _lost(silent[0], self._world)
            time.sleep(self._patience / BEATS / 4)
        return None

    def _told(self) -> Failure | None:
        with suppress(RuntimeError):
            for name in [f"failed-{rank}" for rank in self._seen]:
                if self._store.check([name]):
                    return failure_of(json.loads(self._store.get(name)))
        return None

    def rest(self) -> None:
        """Stop, in order: the others shall not miss this process. The first one may keep the store, and leaves last."""
        self._done = True
        self.stop()
        until = time.monotonic() + self._patience
        with suppress(RuntimeError):
            while self._world.first and not self._alone() and time.monotonic() < until:
                time.sleep(0.01)

    def _alone(self) -> bool:
        """Whether all others have said their last word."""
        names = [str(rank) for rank in self._seen]
        return all(self._store.check([name]) and self._store.get(name) == DONE for name in names)

    def stop(self) -> None:
        """Fall silent: something has gone wrong, and the others shall know."""
        self._resting.set()
        self._beating.join(self._patience / 2)  # no longer: it may wait for a store that is frozen

    def _beat(self) -> None:
        """Say that this process lives, and hear of the others. May wait for ever, if the store's process is frozen."""
        count = 0
        try:
            self._store.set(str(self._world.rank), str(count))
            while not self._resting.wait(self._patience / BEATS):
                count += 1
                self._store.set(str(self._world.rank), str(count))
                self._listen()
            if self._done:
                self._store.set(str(self._world.rank), DONE.decode())
        except RuntimeError:  # the store is gone, and with it the process that keeps it
            if not self._resting.is_set() and self._seen.get(0, (b"",))[0] != DONE:
                self._lost(0)

    def _listen(self) -> None:
        for rank, (last, _) in list(self._seen.items()):
            said = self._store.get(str(rank)) if self._store.check([str(rank)]) else b""
            if said != last:
                self._seen[rank] = (said, math.inf if said == DONE else time.monotonic())

    def _watch(self) -> None:
        """Who has not been heard of, by a thread that waits for nobody; the lowest, if it is several at a time."""
        last = time.monotonic()
        while not self._resting.wait(self._patience / BEATS):
            now = time.monotonic()
            if now - last > self._patience / 2:  # this process was frozen itself, and perhaps all of them with it
                self._seen = {rank: (said, max(moment, now)) for rank, (said, moment) in self._seen.items()}
            last = now
            for rank, (_, moment) in list(self._seen.items()):
                if now - moment > self._patience and not self._resting.is_set():
                    self._lost(rank)
                    return
