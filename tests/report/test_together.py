"""The laboratory's answers by one process and by several: the same to the bit, and ended as one process is."""

import multiprocessing
import os
import signal

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
