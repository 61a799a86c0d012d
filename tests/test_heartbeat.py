"""The last word of a process: by real ones in tests/cli."""

import threading

import pytest
import torch.distributed as dist

from ddpm.distributed import World
from ddpm.heartbeat import DONE, Heartbeat


@pytest.mark.parametrize(("rank", "waits"), [(0, True), (1, False)])
def test_the_first_process_leaves_last(rank, waits):
    """Where it keeps the store: the others would miss it, though all went well."""
    store, lost = dist.HashStore(), []
    heart = Heartbeat(store, World(rank, 2, store), 20.0, lost.append)
    store.set(str(1 - rank), "3")
    leaving = threading.Thread(target=heart.rest)
    leaving.start()
    leaving.join(1)
    assert leaving.is_alive() == waits
    store.set(str(1 - rank), DONE.decode())
    leaving.join(10)
    assert not leaving.is_alive()
    assert store.get(str(rank)) == DONE
    assert lost == []
