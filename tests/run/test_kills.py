"""Training that cannot be lost: killed at random moments and run again, it ends as the run that nobody touched, to the bit."""

import json
import random
import signal

import pytest

from tests.harness.untouched import ALONE, SHARDS, Mode, Tally, require_lost, require_stopped
from tests.harness.zygote import ENDING, Strike, moment

MODES = [ALONE, Mode(2, 2), Mode(2, 0, SHARDS), Mode(1, 2), Mode(2, 0), Mode(3, 0)]
FEW = [ALONE, Mode(2, 2), Mode(1, 2), Mode(2, 0)]
WHILE = {"beginning", "stepping", "evaluating", "sampling", "saving"}
REMOVING = {"removing old checkpoints"}
"""Mostly after the last step: who is asked to stop then is done."""


def loop(course, number, count, seed, modes=FEW, phases=frozenset()):
    """At least `count` strikes, and one in each of `phases`: one to three in a run, through the modes in turn; what was struck."""
    draw, tally, turn = random.Random(seed), Tally(), 0
    check = require_lost if number == signal.SIGKILL else require_stopped
    while tally.strikes.total() < count or not phases <= set(tally.doing):
        mode = modes[turn % len(modes)]
        moments = course.whole(mode)[1]
        ranks = [draw.randrange(mode.processes) for _ in range(draw.randint(1, 3))]
        plan = [moment(draw, moments, number, rank) for rank in ranks]
        course.tallied(tally, f"run-{number}-{seed}-{turn}", mode, plan, check)
        turn += 1
    return tally


@pytest.mark.slow
def test_twenty_kills(course, record_property):
    record_property("figures", str(loop(course, signal.SIGKILL, 20, seed=0)))


@pytest.mark.slow
def test_five_requests_to_stop(course, record_property):
    record_property("figures", str(loop(course, signal.SIGTERM, 5, 0, MODES)))


@pytest.mark.parametrize(("doing", "which"), [("beginning", 0), ("beginning", 1), ("sampling", 0), (ENDING, 0)])
def test_what_a_kill_left_beside_a_file_is_removed(course, doing, which):
    """Before config.json, images.index, the first picture, or exit.json got its name."""
    moments = course.whole(ALONE)[1][0]["file"]
    at = [place for place, moment in enumerate(moments) if moment == [doing, "rename"]][which]
    strike = Strike("file", at, signal.SIGKILL)
    assert course.until_done(f"beside-{doing}-{which}", ALONE, [strike], require_lost) == [doing]


def test_only_ctrl_c_insists(course):
    """A terminal that closes may send two signals: both ask for the same, and the state is saved."""
    strikes = [Strike("network", 3, number) for number in (signal.SIGTERM, signal.SIGHUP)]
    ended = course.run("twice", ALONE, strikes=[*strikes, strikes[1]])
    assert ended.codes == [75], ended.said
    assert course.newest("twice") == 2
    two = [Strike("network", 7, signal.SIGINT)] * 2
    assert course.run("twice", ALONE, strikes=two).codes == [130]


def test_a_run_without_its_configuration_is_refused(course):
    run = course.folder / "bare"
    assert course.run("bare", ALONE).codes == [0]
    (run / "config.json").unlink()
    ended = course.run("bare", ALONE, "--lr", "0.1")
    assert ended.codes == [65], ended.said
    assert "config.json is missing" in ended.said[0]


def test_what_is_refused_is_recorded_too(course):
    """exit.json tells of the last command, also of one that never came to a step."""
    run = course.folder / "refused"
    assert course.run("refused", ALONE).codes == [0]
    assert json.loads((run / "exit.json").read_text())["code"] == 0
    assert course.run("refused", ALONE, "--lr", "1").codes == [78]
    assert json.loads((run / "exit.json").read_text())["code"] == 78


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_three_hundred_kills(course, record_property):
    record_property("figures", str(loop(course, signal.SIGKILL, 300, 1, MODES, WHILE | REMOVING)))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_requests_to_stop(course, record_property):
    record_property("figures", str(loop(course, signal.SIGTERM, 50, 1, MODES, WHILE)))
