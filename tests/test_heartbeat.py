"""The last words of a process: by real ones in tests/cli."""

import threading
import time

import pytest
import torch.distributed as dist

from ddpm.distributed import World
from ddpm.errors import PeerLost, Stopped
from ddpm.heartbeat import DONE, Heartbeat

PATIENCE = 3.0
ASKED = Stopped("asked to stop", "begin again")


@pytest.fixture
def heart():
    """Make the heart of one of several processes, and the list of what it would abandon its process for."""
    store, made = dist.HashStore(), []

    def begin(rank, size=2, patience=PATIENCE):
        abandoned = []
        made.append(Heartbeat(store, World(rank, size, store), patience, abandoned.append))
        return made[-1], abandoned

    begin.store = store
    yield begin
    for one in made:
        one.stop()


def _heard_of(one, rank):
    """Once `rank` has said something."""
    for _ in range(1000):
        if one.store.check([str(rank)]):
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing was heard of {rank}")


@pytest.mark.parametrize(("rank", "waits"), [(0, True), (1, False)])
def test_the_first_process_leaves_last(heart, rank, waits):
    """Where it keeps the store: the others would miss it, though all went well."""
    own, lost = heart(rank, patience=20.0)
    other, _ = heart(1 - rank, patience=20.0)
    leaving = threading.Thread(target=own.rest)
    leaving.start()
    leaving.join(1)
    assert leaving.is_alive() == waits
    other.rest()
    leaving.join(10)
    assert not leaving.is_alive()
    assert heart.store.get(str(rank)) == DONE
    assert lost == []


def test_the_first_process_stays_until_all_know_why_it_leaves(heart):
    """They would only miss it: with it goes the store. One that is frozen is not waited for."""
    first, _ = heart(0, 3, patience=20.0)
    heart.store.set("2", "5")
    leaving = threading.Thread(target=first.leave, args=[ASKED])
    leaving.start()
    leaving.join(1)
    assert leaving.is_alive()
    other, abandoned = heart(1, 3, patience=20.0)
    leaving.join(6)
    assert not leaving.is_alive()
    found = other.search()
    assert (type(found), str(found), found.hints, abandoned) == (Stopped, "asked to stop", ("begin again",), [])


def test_nobody_is_waited_for_in_vain(heart):
    """Half the patience at most: for one that beats, but is deaf."""
    first, _ = heart(0)
    deaf = threading.Event()

    def beat():
        while not deaf.wait(0.05):
            heart.store.set("1", str(time.monotonic()))

    beating = threading.Thread(target=beat)
    beating.start()
    began = time.monotonic()
    first.leave(ASKED)
    waited = time.monotonic() - began
    deaf.set()
    beating.join()
    assert waited >= PATIENCE / 2  # how much longer is the machine's business: here it returned


def test_who_waits_for_one_that_left_ends_as_it_did(heart):
    """A process whose main thread hears nothing is abandoned for the same reason, not for the silence."""
    own, abandoned = heart(1)
    _heard_of(heart, 1)
    heart(0)[0].leave(ASKED)
    for _ in range(1000):
        if abandoned:
            break
        time.sleep(0.01)
    assert [str(failure) for failure in abandoned] == ["asked to stop"]
    assert own.search() is abandoned[0]


def test_who_misses_a_process_tells_the_others(heart):
    """Two are left: they end with the same words, and none calls the other lost."""
    heart.store.set("1", "5")
    own, abandoned = heart(0, 3)
    other, _ = heart(2, 3, patience=20.0)
    for _ in range(1000):
        if abandoned:
            break
        time.sleep(0.01)
    own.stop()
    found = other.search()
    assert isinstance(found, PeerLost)
    assert str(found) == str(abandoned[0])
    assert "process 1 of 3 is lost" in str(found)
