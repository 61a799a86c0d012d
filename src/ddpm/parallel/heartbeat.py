"""Who is still alive: threads of each process tell the others so, and notice when one of them has fallen silent.

A process that is busy still beats; one that was killed, was frozen, or holds the interpreter for ever does not. What it says
goes through torch's own store, the one by which the processes found each other. Who fails says why before it ends, and all
others end as it did.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from ddpm.errors import Ending, Failure, Interrupted, PeerLost, ending_of, explained, in_a_line, in_json
from ddpm.parallel.launch import launcher_keeps_store
from ddpm.parallel.world import AGAIN, MEETING, World

BEATS = 30
"""In the time after which a silent process is lost."""
DONE = b"done"
"""The last word of a process that is not missed."""
FIRST_FAILURE = "failed"
"""The key of the first failure, with which all processes end."""

_attending: list["Heartbeat"] = []
"""That of this process, if it is one of several."""


def farewell(failure: Ending) -> Ending:
    """Before a thread ends this process: tell the others why, if there are any. Returns the first failure of all."""
    for heart in _attending:
        failure = heart.tell(failure)
    return failure


def leaving() -> bool:
    """Whether this process is about to end for a reason that it tells the others."""
    return any(heart.leaving for heart in _attending)


@contextmanager
def attended(world: World, patience: float, abandon: Callable[[Ending], None]) -> Iterator[None]:
    """Inside, a process of `world` that is silent for `patience` seconds is lost, unless it said why it left.

    `abandon` is called then, from another thread: this process may wait for that one in vain, and should be left at once.

    Raises:
        PeerLost: an exchange between the processes failed, and one of them is silent.
        Failure: that of another process, which was the first to fail.
    """
    if world.store is None:
        yield
        return
    heart = Heartbeat(world.store, world, patience, abandon)
    _attending.append(heart)
    try:
        yield
    except (Exception, Interrupted) as error:
        heart.leaving = True
        own = explained(error)
        reason = own or (heart.search(error) if isinstance(error, RuntimeError) else None)
        bug = Failure(f"internal error in process {world.rank}: {type(error).__name__}: {in_a_line(error)}")
        first = heart.leave(reason or bug)
        if reason is None or first is own:
            raise
        raise first from error
    except BaseException:
        heart.stop()
        raise
    else:
        heart.rest()
    finally:
        _attending.remove(heart)


def _lost(rank: int, world: World) -> PeerLost:
    return PeerLost(f"process {rank} of {world.size} is lost: process {world.rank} hears nothing of it any more", AGAIN)


def _store_lost(world: World) -> PeerLost:
    """The first process keeps the store, unless a launcher does."""
    if world.first or launcher_keeps_store():
        return PeerLost("the launcher is lost, by which the processes hear of each other", AGAIN)
    return _lost(0, world)


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do what waits for ever if the store is frozen, and fails if it is gone; go on after `seconds`."""

    def tried() -> None:
        with suppress(RuntimeError):
            work()

    thread = threading.Thread(target=tried, daemon=True, name="heartbeat-last-words")
    thread.start()
    thread.join(seconds)


class Heartbeat:
    """Beats for this process and listens to the others, until it is told to `rest` or to `leave`.

    Args:
        store: a connection of its own.
        world: of which process this is.
        patience: seconds of silence after which a process is lost.
        abandon: called then, from a thread, with the reason; it should not return.
    """

    def __init__(self, store: dist.Store, world: World, patience: float, abandon: Callable[[Ending], None]) -> None:
        self._store, self._world, self._patience, self._abandon = store, world, patience, abandon
        later = time.monotonic() + MEETING.total_seconds()  # who was never heard of may still be starting
        self._seen = {rank: (b"", later) for rank in range(world.size) if rank != world.rank}
        self._told: Ending | None = None
        self.leaving = False
        self._silent, self._done = threading.Event(), False
        self._beating = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._watching = threading.Thread(target=self._watch, daemon=True, name="heartbeat-watch")
        self._beating.start()
        self._watching.start()

    def rest(self) -> None:
        """All is done: the others shall not miss this process. The first one may keep the store, and leaves last."""
        self._done = True
        self.stop()
        until = time.monotonic() + self._patience
        _within(self._patience, lambda: self._wait_for_all(until))

    def leave(self, failure: Ending) -> Ending:
        """`tell`, and fall silent. Takes half the patience at most, or all of it if the store is frozen."""
        first = self.tell(failure)
        self.stop()
        return first

    def tell(self, failure: Ending) -> Ending:
        """Tell the others why this process ends; the first one, which may keep the store, waits until all who are there know.

        Returns the first failure of all, which may be that of another process. Takes half the patience at most.
        """
        self.leaving = True
        first, since = [failure], time.monotonic()
        own = json.dumps(in_json(failure))

        def tell() -> None:
            stands = self._store.compare_set(FIRST_FAILURE, "", own).decode()
            if stands != own:
                first[0] = ending_of(json.loads(stands))
            self._acknowledge()
            self._wait_for_all(since + self._patience / 2, since)

        _within(self._patience / 2, tell)
        return first[0]

    def search(self, error: RuntimeError) -> Ending | None:
        """After what may be a failed exchange: why another process left, or that it is silent. Takes half the patience at most."""
        since = time.monotonic()
        while time.monotonic() < since + self._patience / 2:
            if self._told:
                return self._told
            if silent := self._quiet(since):
                return _lost(silent[0], self._world)
            time.sleep(self._patience / BEATS / 4)
        if isinstance(error, dist.DistError):
            return PeerLost(f"the connection to the other processes broke: {in_a_line(error)}", AGAIN)
        return None

    def stop(self) -> None:
        """Fall silent."""
        self._silent.set()
        self._beating.join(self._patience / 2)  # no longer: it may wait for a store that is frozen

    def _quiet(self, since: float = math.inf) -> list[int]:
        """The processes that have missed a few beats; for one that was never heard of they count from `since`."""
        now, few = time.monotonic(), max(1.0, 3 * self._patience / BEATS)
        return [rank for rank, (said, moment) in self._seen.items() if now - (moment if said else since) > few]

    def _acknowledge(self) -> None:
        """This process needs nothing more of the store."""
        self._store.set(f"acknowledged-{self._world.rank}", "")

    def _wait_for_all(self, until: float, since: float = math.inf) -> None:
        """The first process, until the others have acknowledged, but for those that are silent."""
        while self._world.first and time.monotonic() < until:
            self._listen()  # the thread that did may have ended
            waiting = {rank for rank in self._seen if not self._store.check([f"acknowledged-{rank}"])}
            if not waiting - set(self._quiet(since)):
                return
            time.sleep(0.01)

    def _beat(self) -> None:
        """Say that this process lives, and hear of the others. May wait for ever, if the store's process is frozen."""
        count = 0
        try:
            self._store.set(str(self._world.rank), str(count))
            while not self._silent.wait(self._patience / BEATS):
                count += 1
                self._store.set(str(self._world.rank), str(count))
                self._listen()
            if self._done:
                self._store.set(str(self._world.rank), DONE.decode())
                self._acknowledge()
        except RuntimeError:  # the store is gone, and with it the process that keeps it
            if not self._silent.is_set() and self._seen.get(0, (b"",))[0] != DONE:
                self._told = self._told or _store_lost(self._world)
                if not self.leaving:
                    self._abandon(self._told)

    def _listen(self) -> None:
        if self._told is None and self._store.check([FIRST_FAILURE]):
            self._told = ending_of(json.loads(self._store.get(FIRST_FAILURE)))
            self._acknowledge()
        for rank, (last, _) in list(self._seen.items()):
            said = self._store.get(str(rank)) if self._store.check([str(rank)]) else b""
            if said != last:
                self._seen[rank] = (said, math.inf if said == DONE else time.monotonic())

    def _watch(self) -> None:
        """Who has not been heard of, by a thread that waits for nobody; the lowest, if it is several at a time."""
        last = time.monotonic()
        while not self._silent.wait(self._patience / BEATS):
            now = time.monotonic()
            if now - last > self._patience / 2:  # this process was frozen itself, and perhaps all of them with it
                self._seen = {rank: (said, max(moment, now)) for rank, (said, moment) in self._seen.items()}
            last = now
            for rank, (_, moment) in list(self._seen.items()):
                if now - moment > self._patience and not (self.leaving or self._silent.is_set()):
                    failure = self._told or _lost(rank, self._world)
                    if rank:  # else it may keep the store, which nobody can say anything to then
                        failure = self.tell(failure)
                    self._abandon(failure)
                    return
