"""What is computed for the pages: all of it in one thread, a piece of each job in turn.

A job is a generator that gives an answer, or None to let others go, after each call of the network. So two pages move on
together, and a page that is closed stops computing at the next call.
"""

import asyncio
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ddpm.errors import Ending
from ddpm.explorer.wire import NoAsk

Answer = dict[str, Any]
Steps = Generator[Answer | None, None, None]
DONE: Answer = {"end": True}
"""The last answer of a job that came to its end; without it the job was stopped."""
AHEAD = 32
"""Answers of a job that nobody has read yet; with so many it waits for its reader."""


@dataclass(eq=False)
class Job:
    """A computation, and the answers that its reader has not taken yet."""

    steps: Steps
    loop: asyncio.AbstractEventLoop
    answers: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)
    stopped: bool = False
    waiting: int = 0


class Worker:
    """One thread; give it jobs, read their answers."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._latest: dict[tuple[str, str], Job] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="explorer")
        self._thread.start()

    def submit(self, page: str, lane: str, steps: Steps) -> Job:
        """Begin; an older job of the same page in the same lane is stopped."""
        job = Job(steps, asyncio.get_running_loop())
        with self._changed:
            older = self._latest.get((page, lane))
            if older:
                older.stopped = True
            self._latest[page, lane] = job
            self._jobs.append(job)
            self._changed.notify()
        return job

    def taken(self, job: Job) -> None:
        """An answer was read: there is room for another."""
        with self._changed:
            job.waiting -= 1
            self._changed.notify()

    def stop(self, job: Job) -> None:
        """Its reader is gone."""
        with self._changed:
            job.stopped = True
            self._changed.notify()

    def close(self) -> None:
        """Stop all, and the thread."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.stopped = True
            self._changed.notify()
        self._thread.join(10)

    @property
    def busy(self) -> int:
        """How many jobs there are."""
        with self._changed:
            return len(self._jobs)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or any(map(_can_go_on, self._jobs)))
                if self._closed and not self._jobs:
                    return
                jobs = [job for job in self._jobs if _can_go_on(job)]
            for job in jobs:
                self._go_on(job)

    def _go_on(self, job: Job) -> None:
        """One piece of a job."""
        if job.stopped:
            self._close(job)
            return
        try:
            answer = next(job.steps)
        except StopIteration:
            self._tell(job, DONE)
            self._end(job)
        except Ending as failure:
            self._tell(job, {"error": str(failure), "hints": list(failure.hints)})
            self._end(job)
        except NoAsk as refusal:
            self._tell(job, {"error": str(refusal), "hints": []})
            self._end(job)
        except Exception as error:
            self._tell(job, {"error": f"internal error: {type(error).__name__}: {error}", "hints": []})
            self._end(job)
        else:
            if answer is not None:
                self._tell(job, answer)

    def _close(self, job: Job) -> None:
        """End it before its end; what is wrong then is nobody's any more."""
        with suppress(Exception):
            job.steps.close()
        self._end(job)

    def _tell(self, job: Job, answer: Answer | None) -> None:
        """Hand an answer over to the reader's thread; None is the last."""
        with self._changed:
            job.waiting += 1
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            job.loop.call_soon_threadsafe(job.answers.put_nowait, answer)

    def _end(self, job: Job) -> None:
        self._tell(job, None)
        with self._changed:
            self._jobs.remove(job)
            self._latest = {key: other for key, other in self._latest.items() if other is not job}


def _can_go_on(job: Job) -> bool:
    return job.stopped or job.waiting < AHEAD
