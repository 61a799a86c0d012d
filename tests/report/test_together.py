"""The laboratory's answers by one process and by several: the same to the bit, and ended as one process is."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from ddpm.diffusion.schedule import cosine
from ddpm.errors import PeerLost
from ddpm.laboratory.answer import Setting
from ddpm.report.answers.together import answering

NAMES = ("masking", "Q34", "Q33")
"""Some that draw random numbers, not in the order of the page."""


@pytest.fixture
def setting():
    return Setting("cosine", cosine(50), seed=3)


@pytest.fixture
def heard():
    """Ctrl-C is heard here, and by what is started, though this run of the tests stands in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


SCRIPT = """
import multiprocessing, os, signal, sys
from ddpm.diffusion.schedule import cosine
from ddpm.laboratory.answer import Setting
from ddpm.report.answers.together import answering

print("runs", flush=True)
with answering(("Q33", "masking"), Setting("cosine", cosine(20)), ("en",), 2) as answers:
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    found = [next(answers).name]
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    found += [answer.name for answer in answers]
print(*found)
"""


@pytest.fixture
def script(tmp_path):
    """A script without ``if __name__ == "__main__"``."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    return [sys.executable, str(tmp_path / "script.py")]


@pytest.mark.usefixtures("heard")
def test_several_processes_say_what_one_says(setting):
    """Numbers, drawings and words, in the order in which they were asked, though Ctrl-C strikes the others; nobody is left."""
    with answering(NAMES, setting, ("en", "ko"), 1) as answers:
        alone = list(answers)
        assert not multiprocessing.active_children()
    with answering(NAMES, setting, ("en", "ko"), 2) as answers:
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker.pid, signal.SIGINT)
        together = list(answers)
    assert [one.name for one in together] == list(NAMES)
    assert together == alone
    assert "<svg" in together[0].sections["ko"].drawing
    assert together[0].sections["ko"] != together[0].sections["en"]
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_all(setting):
    with pytest.raises(KeyboardInterrupt), answering(NAMES, setting, ("en",), 2):
        workers = multiprocessing.active_children()
        os.kill(os.getpid(), signal.SIGINT)
    assert [worker.exitcode for worker in workers] == [-signal.SIGTERM] * 2


def test_a_process_that_is_lost_is_an_error(setting):
    with pytest.raises(PeerLost, match="was lost"), answering(NAMES, setting, ("en",), 2) as answers:
        multiprocessing.active_children()[0].kill()
        list(answers)
    assert not multiprocessing.active_children()


@pytest.mark.long
def test_the_setting_is_read_before_its_owner_works_with_it(setting, monkeypatch):
    """By this process's main thread: another would read it while the derivations fill its tables. Of the copy anyone may."""
    readers = []

    def recorded(self):
        if self is setting:
            readers.append(threading.current_thread())
        return self.__dict__

    monkeypatch.setattr(Setting, "__getstate__", recorded, raising=False)
    with answering(NAMES, setting, ("en",), 2) as answers:
        assert [answer.name for answer in answers] == list(NAMES)
    assert set(readers) == {threading.main_thread()}


def test_no_process_outlives_one_that_is_killed(script):
    """Its output ends when the last of them has."""
    with subprocess.Popen([*script, "killed"], stdout=subprocess.PIPE, text=True) as process:
        workers = [
            int(pid)
            for line in (process.stdout.readline(), process.stdout.readline())
            for pid in re.findall(r"\d+", line)
        ]
        try:
            process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            raise
    assert len(workers) == 2
    assert process.returncode == -signal.SIGKILL


@pytest.mark.long
def test_a_script_is_not_run_again_in_each_process(script):
    said = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert re.fullmatch(r"runs\n\d+ \d+\nQ33 masking\n", said.stdout), said.stderr
    assert said.stderr == ""


def test_where_signals_have_no_mask_one_process_answers(setting, monkeypatch):
    """On Windows."""
    monkeypatch.delattr(signal, "pthread_sigmask")
    with answering(NAMES[:2], setting, ("en",), 2) as answers:
        assert not multiprocessing.active_children()
        assert [answer.name for answer in answers] == list(NAMES[:2])
