"""The last words of a process: by real ones in test_starting."""

import threading
import time

import pytest
import torch.distributed as dist

from ddpm.errors import DataError, PeerLost, Stopped
from ddpm.parallel.heartbeat import DONE, FIRST_FAILURE, Heartbeat, attended
from ddpm.parallel.world import World

PATIENCE = 3.0
BROKEN = RuntimeError("connection closed by peer")
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


def _until(there):
    """Wait for it."""
    for _ in range(1000):
        if there():
            return
        time.sleep(0.01)
    raise AssertionError("in vain")


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


def test_one_that_is_late_is_waited_for_while_it_beats(heart):
    """For longer than a silent one: on a busy machine the end of another may take a while."""
    first, _ = heart(0, patience=10.0)
    heart.store.set("1", "0")
    _until(lambda: first._seen[1][0])
    leaving = threading.Thread(target=first.rest)
    leaving.start()
    for beat in range(25):
        heart.store.set("1", str(beat))
        leaving.join(0.1)
        assert leaving.is_alive(), beat
    heart.store.set("acknowledged-1", "")
    leaving.join(10)
    assert not leaving.is_alive()


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
    found = other.search(BROKEN)
    assert (type(found), str(found), found.hints, abandoned) == (Stopped, "asked to stop", ("begin again",), [])


def test_all_end_as_the_first_that_failed(heart):
    """Of several that fail the first is right; the others may fail for that."""
    first, second = heart(0, patience=20.0)[0], heart(1, patience=20.0)[0]
    telling = threading.Thread(target=first.tell, args=[ASKED])
    telling.start()
    _until(lambda: heart.store.check([FIRST_FAILURE]))
    assert str(second.tell(DataError("no image"))) == "asked to stop"
    telling.join()
    assert first.tell(DataError("no image")).code == 75


def test_one_that_is_deaf_is_waited_for_half_the_patience(heart):
    """Though it beats. (How much longer than that is the machine's business: it ends.)"""
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
    assert waited >= PATIENCE / 2


def test_who_waits_for_one_that_left_ends_as_it_did(heart):
    """A process whose main thread hears nothing is abandoned for the same reason, not for the silence."""
    own, abandoned = heart(1)
    _until(lambda: heart.store.check(["1"]))
    heart(0)[0].leave(ASKED)
    _until(lambda: abandoned)
    assert [str(failure) for failure in abandoned] == ["asked to stop"]
    assert own.search(BROKEN) is abandoned[0]


@pytest.mark.parametrize(("patience", "gone"), [(1.5, True), (4.0, False)])
def test_an_exchange_fails_with_one_that_was_never_heard_of(patience, gone):
    """It was killed as they met. If the store is gone with it, that is known before silence is."""
    world = World(1, 2, _Breaking())
    with pytest.raises(PeerLost, match="process 0 of 2 is lost"), attended(world, patience, print):
        world.store.gone = gone
        raise BROKEN


class _Breaking(dist.HashStore):
    """A store that may be gone."""

    gone = False

    def set(self, key, value):
        if self.gone:
            raise RuntimeError("broken pipe")
        return super().set(key, value)


def test_who_misses_a_process_tells_the_others(heart):
    """Two are left: they end with the same words, and none calls the other lost."""
    heart.store.set("1", "5")
    own, abandoned = heart(0, 3)
    other, _ = heart(2, 3, patience=9.0)  # it beats often enough, and would not notice so soon
    _until(lambda: abandoned)
    own.stop()
    found = other.search(BROKEN)
    assert isinstance(found, PeerLost)
    assert str(found) == str(abandoned[0])
    assert "process 1 of 3 is lost" in str(found)
