"""Who is still alive: a thread in each process tells the others so, and notices when one of them has fallen silent.

A process that is busy still beats; one that was killed, was frozen, or holds the interpreter for ever does not. What it says
goes through torch's own store, the one by which the processes found each other. Who fails says why before it leaves, and all
others end as it did.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from ddpm.distributed import AGAIN, MEETING, World
from ddpm.errors import Failure, PeerLost, failure_of, in_a_line, in_json

BEATS = 30
"""In the time after which a silent process is lost."""
DONE = b"done"
"""The last word of a process that is not missed."""
FAILED = "failed"
"""Under this name lies why the first of those that failed did."""

_attending: list["Heartbeat"] = []
"""That of this process, if it is one of several."""


def farewell(failure: Failure) -> None:
    """Before this process is left from a thread: tell the others why, if there are any."""
    for heart in _attending:
        heart.leave(failure)


@contextmanager
def attended(world: World, patience: float, abandon: Callable[[Failure], None]) -> Iterator[None]:
    """Inside, a process of `world` that is silent for `patience` seconds is lost, unless it said why it left.

    `abandon` is called then, from another thread: this process may wait for that one in vain, and should be left at once.

    Raises:
        PeerLost: an exchange between the processes failed, and one of them is silent.
        Failure: an exchange failed since another process did: its failure.
    """
    if world.store is None:
        yield
        return

    heart = Heartbeat(world.store, world, patience, abandon)
    _attending.append(heart)
    try:
        yield
    except RuntimeError as error:
        reason = heart.search()
        if reason is None and isinstance(error, dist.DistError):
            reason = PeerLost(f"the connection to the other processes broke: {in_a_line(error)}", AGAIN)
        if reason is None:
            heart.stop()
            raise
        heart.leave(reason)
        raise reason from error
    except Failure as failure:
        heart.leave(failure)
        raise
    except BaseException:
        heart.stop()
        raise
    else:
        heart.rest()
    finally:
        _attending.remove(heart)


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
        abandon: called then, from a thread, with what to say; it should not return.
    """

    def __init__(self, store: dist.Store, world: World, patience: float, abandon: Callable[[Failure], None]) -> None:
        self._store, self._world, self._patience, self._abandon = store, world, patience, abandon
        later = time.monotonic() + MEETING.total_seconds()  # who was never heard of may still be starting
        self._seen = {rank: (b"", later) for rank in range(world.size) if rank != world.rank}
        self._told: Failure | None = None
        self._resting, self._leaving, self._done = threading.Event(), threading.Event(), False
        self._beating = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._watching = threading.Thread(target=self._watch, daemon=True, name="heartbeat-watch")
        self._beating.start()
        self._watching.start()

    def silent(self, since: float = math.inf) -> list[int]:
        """The processes that have missed a few beats; those never heard of, if it is a few `since` then."""
        now, few = time.monotonic(), max(1.0, 3 * self._patience / BEATS)
        return [rank for rank, (said, moment) in self._seen.items() if now - (moment if said else since) > few]

    def leave(self, failure: Failure) -> None:
        """Fall silent, and tell the others why. Takes half the patience at most, or all of it if the store is frozen."""
        self._farewell(failure)
        self.stop()

    def _farewell(self, failure: Failure) -> None:
        self._leaving.set()
        telling = threading.Thread(target=self._tell, args=(failure,), daemon=True, name="heartbeat-farewell")
        telling.start()
        telling.join(self._patience / 2)

    def _tell(self, failure: Failure) -> None:
        """Say why this process leaves. The first one may keep the store: it waits until all who are there know."""
        since = time.monotonic()
        with suppress(RuntimeError):
            if not self._store.check([FAILED]):
                self._store.set(FAILED, json.dumps(in_json(failure)))
            self._settle()
            while self._world.first and self._unsettled() - set(self.silent(since)):
                time.sleep(0.01)

    def _settle(self) -> None:
        """This process needs no more of what the others say."""
        self._store.set(f"settled-{self._world.rank}", "")

    def _unsettled(self) -> set[int]:
        return {rank for rank in self._seen if not self._store.check([f"settled-{rank}"])}

    def search(self) -> Failure | None:
        """After an exchange has failed: why another process left, or that it fell silent, found within half the patience."""
        until = time.monotonic() + self._patience / 2
        while time.monotonic() < until:
            if self._told:
                return self._told
            if silent := self.silent():
                return _lost(silent[0], self._world)
            time.sleep(self._patience / BEATS / 4)
        return None

    def rest(self) -> None:
        """Stop, in order: the others shall not miss this process. The first one may keep the store, and leaves last."""
        self._done = True
        self.stop()
        until = time.monotonic() + self._patience
        with suppress(RuntimeError):
            while self._world.first and self._unsettled() and time.monotonic() < until:
                time.sleep(0.01)

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
                self._settle()
        except RuntimeError:  # the store is gone, and with it the process that keeps it
            if not self._going() and self._seen.get(0, (b"",))[0] != DONE:
                self._abandon(self._told or _lost(0, self._world))

    def _going(self) -> bool:
        """Whether this process leaves of itself."""
        return self._resting.is_set() or self._leaving.is_set()

    def _listen(self) -> None:
        if self._told is None and self._store.check([FAILED]):
            self._told = failure_of(json.loads(self._store.get(FAILED)))
            self._settle()
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
                if now - moment > self._patience and not self._going():
                    failure = self._told or _lost(rank, self._world)
                    if rank:  # else it may keep the store, which nobody can say anything to then
                        self._farewell(failure)
                    self._abandon(failure)
                    return
