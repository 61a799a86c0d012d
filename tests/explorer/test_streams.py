"""Pages that come and go while a chain is drawn: no orphan, no memory, no stale answer."""

import json
import resource
import socket
import time
from pathlib import Path

import pytest

from ddpm.explorer import wire
from ddpm.explorer.server import listen
from tests.harness.served import Visitor


@pytest.fixture(scope="module")
def visitor(site):
    return Visitor(site)


def left_in_the_middle(visitor, name, **parameters):
    """Ask, read the first bytes, and go."""
    body = json.dumps(parameters).encode()
    head = f"POST /ask/{name} HTTP/1.1\r\nHost: {visitor.host}\r\nCookie: {visitor.cookie}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", visitor.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def resident():
    """Bytes that this process has in memory now."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("the memory of a process is in /proc")
    return int(pages.read_text().split()[1]) * resource.getpagesize()


def until_idle(site):
    for _ in range(500):
        if site.worker.busy == 0:
            return
        time.sleep(0.01)
    raise AssertionError(f"{site.worker.busy} jobs are left")


def test_an_answer_does_not_wait_for_the_receipt_of_its_head():
    """Which a browser sends 40 ms later."""
    with listen(0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_page_that_is_closed_ends_its_chain(site, visitor, subject):
    for _ in range(5):
        left_in_the_middle(visitor, "reverse", count=16, sampler="ancestral", seed=1)
    until_idle(site)
    assert visitor.ask("noised", x_0=wire.array(subject.x_0[:1]), t=3)[0]["t"] == 3


@pytest.mark.slow
def test_a_thousand_drags_leave_nothing(site, visitor, subject):
    """Two pages in turn; memory stays what it was after the first hundred."""
    x_0, pages, used = wire.array(subject.x_0[:1]), (visitor, Visitor(site)), []
    for drag in range(1000):
        (found,) = pages[drag % 2].ask("noised", x_0=x_0, t=drag % 21)
        assert found["t"] == drag % 21
        if drag in (100, 999):
            used.append(resident())
    until_idle(site)
    assert used[1] - used[0] < 32 * 2**20
