"""Worker processes that decode images: a file that makes a decoder crash, hang or eat memory costs that file only.

Each thread of a pool owns one worker and talks to it through pipes. A worker that dies, or gives no answer for too long, is
replaced, and the next one tries the file again. Workers import neither torch nor the caller's script, so they start in a
quarter of a second, whatever threads and devices this process has; and no signal of theirs reaches its training loop.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm.errors import Unavailable

Request = Mapping[str, Any]
START_SECONDS = 60.0
ALONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""One thread, and no memory reserved in advance: a worker may take only `worker.MAX_MEMORY`."""


@dataclass(frozen=True)
class Answer:
    """`facts` about a file, or its `pixels`. If something is wrong with it, `facts` has a "fault" (its kind) and a "message"."""

    facts: Mapping[str, Any]
    pixels: bytes = b""


def cores() -> int:
    """How many cores this process may use: its share, if a launcher has started several processes on this machine."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, found // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class _Died(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Worker:
    """One process and its two pipes.

    Raises:
        Unavailable: it does not start.
    """

    def __init__(self) -> None:
        paths = [str(Path(__file__).resolve().parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ddpm.data.decoding.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ALONE, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C on the terminal is for the parent
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._buffer, self._at = bytearray(), 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self.pid = self._process.pid
        try:
            self.receive(START_SECONDS)
        except _Died as death:
            self.kill()
            raise Unavailable(f"a process that decodes images did not start: it {death}") from death

    def send(self, requests: Sequence[Request]) -> None:
        left = memoryview(json.dumps(requests).encode() + b"\n")
        with contextlib.suppress(OSError):  # the next `receive` notices a worker that has died
            while left:
                left = left[os.write(self._in.fileno(), left) :]

    def receive(self, patience: float) -> Answer:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._more(patience)
        facts = json.loads(self._buffer[self._at : end])
        last = end + 1 + facts["bytes"]
        while len(self._buffer) < last:
            self._more(patience)
        self._at = last
        return Answer(facts, bytes(self._buffer[end + 1 : last]))

    def forget(self) -> None:
        del self._buffer[: self._at]
        self._at = 0

    def _more(self, patience: float) -> None:
        if not self._selector.select(patience):
            raise _Died("hung", f"gave no answer for {patience:g} s")
        data = os.read(self._out.fileno(), 2**20)
        if not data:
            raise _Died("crashed", _end(self._process.wait()))
        self._buffer += data

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._in.close()
        self._out.close()


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


class WorkerPool:
    """`workers` processes. `ask` gives them requests; every request is answered, in order, whatever happens to a worker.

    Args:
        workers: how many; they are started when they are needed.
        patience: how many seconds one image may take.
        tries: how many workers in a row one file may cost, before its answer is the fault "crashed" or "hung".
    """

    def __init__(self, workers: int, patience: float, tries: int) -> None:
        self.workers = workers
        self._patience, self._tries = patience, tries
        self._running: dict[int, _Worker] = {}
        self._threads = ThreadPoolExecutor(workers, "decoder")
        self._closed = threading.Event()
        self._finalizer = weakref.finalize(self, _close, self._threads, self._running, self._closed)

    @property
    def pids(self) -> list[int]:
        """The process numbers of the workers that run now."""
        return [worker.pid for worker in list(self._running.values())]

    def ask(self, requests: Sequence[Request]) -> Future[list[Answer]]:
        """An answer for each request, all from one worker, one after the other.

        The future raises:
            Unavailable: a worker cannot be started.
        """
        # Not a bound method: the threads must not keep the pool alive, or it would never be closed.
        return self._threads.submit(_ask, requests, self._running, self._closed, self._patience, self._tries)

    def close(self) -> None:
        """End all workers; what they were asked is not answered any more."""
        self._finalizer()


def _ask(
    requests: Sequence[Request], running: dict[int, _Worker], closed: threading.Event, patience: float, tries: int
) -> list[Answer]:
    thread, answers, deaths, together = threading.get_ident(), [], 0, len(requests)
    while len(answers) < len(requests) and not closed.is_set():
        if thread not in running:
            running[thread] = _Worker()
        worker, group = running[thread], requests[len(answers) : len(answers) + together]
        try:
            worker.send(group)
            for _ in group:
                answers.append(worker.receive(patience))
            worker.forget()
            deaths = 0
        except _Died as death:
            running.pop(thread).kill()
            # A death counts against a file only if that file was sent alone: among several, finished answers may be lost
            # with the worker, so the first file without an answer need not be the one that killed it.
            deaths, together = deaths + (together == 1), 1
            if deaths == tries:
                message = f"the process that decoded it (last {worker.pid}) {death} ({tries} times)"
                answers.append(Answer({"fault": death.kind, "message": message}))
                deaths = 0
    return answers


def _close(threads: ThreadPoolExecutor, running: dict[int, _Worker], closed: threading.Event) -> None:
    closed.set()
    threads.shutdown(wait=False, cancel_futures=True)
    for worker in list(running.values()):
        worker._process.kill()
    threads.shutdown(wait=True)
    for worker in running.values():
        worker.kill()
    running.clear()
