"""One thread for all pages: each gets its turn, who is gone costs nothing, a newer ask ends an older one."""

import asyncio
import time

import pytest

from ddpm.errors import UsageError
from ddpm.explorer.worker import AHEAD, DONE, Worker


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()
    assert not made._thread.is_alive()


def counting(count, closed):
    """Numbers from 0; `closed` hears of the end."""
    try:
        for number in range(count):
            yield {"number": number}
    finally:
        closed.append(True)


async def read(worker, job, most=None):
    """Answers of a job, all or the first `most`."""
    found = []
    while most is None or len(found) < most:
        answer = await asyncio.wait_for(job.answers.get(), 20)
        worker.taken(job)
        if answer in (None, DONE):
            break
        found.append(answer)
    return found


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("in vain")


def test_answers_come_in_order_and_end(worker):
    async def page():
        closed = []
        job = worker.submit("page", "lane", counting(3 * AHEAD, closed))
        assert await read(worker, job) == [{"number": number} for number in range(3 * AHEAD)]
        assert closed == [True]
        await until(lambda: worker.busy == 0)

    asyncio.run(page())


def test_a_job_waits_for_its_reader(worker):
    """A page that reads nothing keeps so many answers and no more."""

    async def page():
        made = []

        def steps():
            for number in range(10 * AHEAD):
                made.append(number)
                yield {"number": number}

        job = worker.submit("page", "lane", steps())
        await until(lambda: len(made) >= AHEAD)
        await asyncio.sleep(0.2)
        assert len(made) == AHEAD
        assert len(await read(worker, job)) == 10 * AHEAD

    asyncio.run(page())


def test_a_newer_ask_ends_an_older_one(worker):
    """Of the same page in the same lane alone; at the next call of the network."""

    async def pages():
        closed = {name: [] for name in ("old", "lane", "page")}
        old = worker.submit("a", "forward", counting(10**9, closed["old"]))
        lane = worker.submit("a", "race", counting(10**9, closed["lane"]))
        page = worker.submit("b", "forward", counting(10**9, closed["page"]))
        for job in (old, lane, page):
            await read(worker, job, 1)
        new = worker.submit("a", "forward", counting(5, []))
        assert len(await read(worker, new)) == 5
        await until(lambda: closed["old"])
        assert (closed["lane"], closed["page"]) == ([], [])
        assert (old.stopped, lane.stopped, page.stopped) == (True, False, False)
        for job in (lane, page):
            worker.stop(job)
        await until(lambda: worker.busy == 0)
        assert closed == {name: [True] for name in closed}

    asyncio.run(pages())


def test_each_has_its_turn(worker):
    """A short ask does not wait for the end of a long one, nor of a hundred."""

    async def pages():
        def slow():
            while True:
                time.sleep(0.005)
                yield None

        long = [worker.submit(f"{number}", "lane", slow()) for number in range(20)]
        began = time.monotonic()
        job = worker.submit("short", "lane", counting(2, []))
        await read(worker, job)
        turns = (time.monotonic() - began) / (20 * 0.005)
        for each in long:
            worker.stop(each)
        assert turns < 20, "of three"

    asyncio.run(pages())


def test_a_fault_ends_its_own_job(worker):
    async def pages():
        def refused():
            yield {"number": 0}
            raise UsageError("no such thing", "another")

        def broken():
            yield {"number": 0}
            raise ZeroDivisionError("of ours")

        other = worker.submit("b", "lane", counting(4, []))
        assert (await read(worker, worker.submit("a", "1", refused())))[1] == {
            "error": "no such thing",
            "hints": ["another"],
        }
        assert "ZeroDivisionError: of ours" in (await read(worker, worker.submit("a", "2", broken())))[1]["error"]
        assert len(await read(worker, other)) == 4

    asyncio.run(pages())


def test_a_page_whose_loop_is_gone_costs_nothing(worker):
    """As after a crash of the server's thread: the worker goes on for others."""
    closed = []

    async def gone():
        job = worker.submit("page", "lane", counting(10**9, closed))
        await read(worker, job, 1)
        return job

    job = asyncio.run(gone())
    worker.stop(job)

    async def page():
        assert len(await read(worker, worker.submit("other", "lane", counting(3, [])))) == 3
        await until(lambda: closed)

    asyncio.run(page())


def test_it_ends_in_the_middle():
    worker, closed = Worker(), []

    async def page():
        await read(worker, worker.submit("page", "lane", counting(10**9, closed)), 1)

    asyncio.run(page())
    worker.close()
    assert not worker._thread.is_alive()
    assert closed == [True]
