"""What processes do one after the other; that they agree on numbers is shown by real ones (test_processes)."""

from dataclasses import dataclass, field

import pytest

from ddpm.parallel.world import ALONE, World


@dataclass(frozen=True)
class Imagined(World):
    """One of several processes, of which the others never fail; counts the exchanges."""

    exchanges: list[int] = field(default_factory=list)

    def all_gather(self, value):
        self.exchanges.append(len(self.exchanges))
        return [value] * self.size


@pytest.mark.parametrize(("rank", "local", "turn"), [(0, 0, 0), (1, 1, 2), (4, 0, 1), (5, 1, 2)])
def test_the_first_of_a_machine_does_what_the_rest_of_it_will_find(monkeypatch, rank, local, turn):
    """Two machines of four: where their disks are not shared, one process of each looks through the data, not four."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setenv("WORLD_SIZE", "8")
    world = Imagined(rank, 8)
    assert world.after_first(lambda: len(world.exchanges)) == turn
    assert len(world.exchanges) == 3


def test_one_process_does_it_once():
    done = []
    ALONE.after_first(lambda: done.append(1))
    assert done == [1]
