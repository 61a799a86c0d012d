"""Every answer of the laboratory as sections of its page, in several processes where there are several cores.

An answer depends on its question and setting alone and takes one thread (`ask`): whoever gives it, it is the same to the bit.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from ddpm.errors import PeerLost
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.questions import QUESTIONS, ask
from ddpm.report.lab_page import as_json, section
from ddpm.report.page import Figure

MOST = 8
"""Processes: each takes some 300 MB."""


@dataclass(frozen=True)
class Told:
    """An answer: its section of the page by language, and what is written as JSON."""

    name: str
    sections: Mapping[str, Figure]
    values: Mapping[str, Any]


def told(name: str, setting: Setting, languages: Sequence[str]) -> Told:
    """Run the experiment of a question, and draw what it found in each language."""
    question = QUESTIONS[name]
    answer = ask(question, setting)
    sections = {language: section(question, answer, language) for language in languages}
    return Told(name, sections, as_json(question, answer, setting))


@contextmanager
def answering(
    names: Iterable[str], setting: Setting, languages: Sequence[str], processes: int
) -> Iterator[Iterator[Told]]:
    """The answers in the order of the names; others are at work on them as soon as the block is entered, until it is left.

    Args:
        names: of `QUESTIONS`.
        setting: of all of them.
        languages: in which they are drawn.
        processes: how many work; with 1, and on Windows, it is this one, when it is asked for the next answer.

    Raises:
        PeerLost: a process was lost.
    """
    asked = list(names)
    processes = min(processes, len(asked), MOST) if hasattr(signal, "pthread_sigmask") else 1
    if processes < 2:
        yield (told(name, setting, languages) for name in asked)
        return
    others = set(multiprocessing.active_children())
    own = deepcopy(setting)  # a thread of the pool reads it, while the caller's work fills the tables of the other
    with _without_interrupts(), _without_script():
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_with_parent)
        futures = [pool.submit(told, name, own, languages) for name in asked]
    try:
        yield _results(futures)
    finally:
        workers = set(multiprocessing.active_children()) - others
        for worker in workers:
            worker.terminate()
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.join()


def _end_with_parent() -> None:
    """See to it that this process does not outlive its parent, which may be killed before it can end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _results(futures: Iterable[Future[Told]]) -> Iterator[Told]:
    try:
        for future in futures:
            yield future.result()
    except BrokenProcessPool as error:
        raise PeerLost("a process that answers questions was lost") from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never hears Ctrl-C: it is for this process, which then ends the others."""
    resource_tracker.ensure_running()  # which would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_script() -> Iterator[None]:
    """What is started here does not run the script of this process again: it needs nothing of it.

    A script that has no ``if __name__ == "__main__"`` would start processes of its own in each of them.
    """
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
