"""Training that cannot be lost: killed at any moment and run again, it ends as the run that nobody touched, to the bit.

Every run of the tests strikes each kind of moment; the long ones strike by the hundred, wherever chance will have it.
"""

import json
import random
import signal
from collections import Counter

import pytest

from tests.harness.untouched import ALONE, SHARDS, Mode, Tally, require_lost, require_stopped
from tests.harness.zygote import ENDING, Strike, moment, moment_while

MODES = [ALONE, Mode(2, 2), Mode(2, 0, SHARDS), Mode(1, 2), Mode(2, 0), Mode(3, 0)]
FEW = [ALONE, Mode(2, 2), Mode(1, 2), Mode(2, 0)]
WHILE = {"beginning", "stepping", "evaluating", "sampling", "saving"}
REMOVING = {"removing old checkpoints"}
"""Mostly after the last step: who is asked to stop then is done."""
KILLS = {
    ALONE: ("stepping", "evaluating", "saving", ENDING),
    Mode(2, 2): ("beginning", "sampling", *REMOVING),
    Mode(1, 2): ("saving",),
}
STOPS = {ALONE: ("beginning", "evaluating"), Mode(1, 2): ("sampling",), Mode(2, 0, SHARDS): ("stepping", "saving")}


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


def go_over(course, number, plans, check):
    """Runs struck as their plans say, one for each mode; what was struck, which must be all of it."""
    draw, tally = random.Random(0), Tally()
    for turn, (mode, plan) in enumerate(plans.items()):
        moments = course.whole(mode)[1]
        strikes = [moment_while(draw, moments, doing, number) for doing in plan]
        assert course.tallied(tally, f"over-{number}-{turn}", mode, strikes, check) == len(plan), str(mode)
    assert tally.doing == Counter(doing for plan in plans.values() for doing in plan)
    return tally


@pytest.mark.slow
def test_kills_at_every_kind_of_moment(course, record_property):
    """Also those that a later version will have: all kinds that a run has are in the plan."""
    moments = course.whole(ALONE)[1][0]
    assert {doing for of_kind in moments.values() for doing, _ in of_kind} == {*WHILE, *REMOVING, ENDING}
    assert {doing for plan in KILLS.values() for doing in plan} == {*WHILE, *REMOVING, ENDING}
    record_property("figures", str(go_over(course, signal.SIGKILL, KILLS, require_lost)))


@pytest.mark.slow
def test_requests_to_stop_at_every_kind_of_moment(course, record_property):
    assert {doing for plan in STOPS.values() for doing in plan} == WHILE
    record_property("figures", str(go_over(course, signal.SIGTERM, STOPS, require_stopped)))


def test_what_is_owed_is_made_up_for(course):
    """Asked to stop in a step that is to be evaluated: the next start does it."""
    strike = Strike("network", 6, signal.SIGTERM)
    assert course.until_done("owed", ALONE, [strike], require_stopped) == ["stepping"]


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
@pytest.mark.timeout(900)
def test_twenty_kills(course, record_property):
    record_property("figures", str(loop(course, signal.SIGKILL, 20, seed=0)))


@pytest.mark.long
def test_five_requests_to_stop(course, record_property):
    record_property("figures", str(loop(course, signal.SIGTERM, 5, 0, MODES)))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_three_hundred_kills(course, record_property):
    record_property("figures", str(loop(course, signal.SIGKILL, 300, 1, MODES, WHILE | REMOVING)))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_requests_to_stop(course, record_property):
    record_property("figures", str(loop(course, signal.SIGTERM, 50, 1, MODES, WHILE)))
