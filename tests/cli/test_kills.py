"""Training that cannot be lost: killed at random moments and run again, it ends as the run that nobody touched, to the bit."""

import json
import random
import signal

import pytest

from tests.cli.conftest import TINY
from tests.cli.zygote import Strike, moment
from tests.data.pictures import fill

PATIENCE = 4
MODES = [(1, 0), (2, 2), (1, 2), (2, 0), (3, 0)]
"""Processes, and processes that decode images for each of them."""


@pytest.fixture(scope="module")
def place(forked, tmp_path_factory):
    """A folder of pictures, and what runs commands."""
    folder = tmp_path_factory.mktemp("kills")
    fill(folder / "pictures", 24, size=(8, 8))
    return folder, forked


@pytest.fixture(scope="module")
def whole(place):
    """The run that nobody touches, by one process or two: its folder, and the moments that it had."""
    made = {}

    def run(processes):
        if processes not in made:
            folder = place[0] / f"whole-{processes}"
            ended = place[1].run(*command(place[0], folder, 0), ranks=processes)
            assert ended.codes == [0] * processes, ended.said
            made[processes] = folder, ended.moments
        return made[processes]

    return run


def command(folder, run, workers):
    """With dropout, flips, evaluations, samples and a checkpoint every other step."""
    more = ["rhythm.save=2", "rhythm.log=3", "rhythm.evaluate=4", "rhythm.sample=4", f"rhythm.patience={PATIENCE}"]
    more += ["model.dropout=0.3", "data.augmentation=horizontal-flip", "data.held_out=0.3", "data.in_memory=0"]
    more += [f"data.workers={workers}", "training.accumulate=2", "schedule.T=6"]
    sets = [word for setting in more for word in ("--set", setting)]
    return ["train", "--output-dir", run, *TINY, "--data", folder / "pictures", "--steps", "8", *sets]


def left(run):
    """What a run leaves behind, but for the time it took.

    A run that was asked to stop in its last step owes the line of that step: once it is written, only the checkpoint of before
    still says so.
    """
    last = run / "checkpoints" / "step-000000008"
    assert not [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]
    numbers = json.loads((last / "state.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for timed in (numbers["ledger"], *rows):
        del timed["seconds"]
    if "owed_step" in numbers["ledger"]:
        numbers = {"owed": True}
    files = [*last.glob("*.safetensors"), *(run / "samples").iterdir()]
    return {"numbers": numbers, "rows": rows} | {str(path.relative_to(run)): path.read_bytes() for path in files}


def newest(run):
    """The step of the newest checkpoint, 0 if there is none."""
    return max([int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*")], default=0)


def strike_until_done(place, whole, name, draw, number, processes, workers):
    """Run a command again and again, struck one to three times; returns how often it was struck, once all is compared."""
    folder, made = place
    run, (reference, moments) = folder / name, whole(processes)
    planned, struck = draw.randint(1, 3), 0
    while True:
        before = newest(run)
        strikes = [moment(draw, moments, number, processes)] if planned else []
        planned -= bool(planned)
        ended = made.run(*command(folder, run, workers), ranks=processes, strikes=strikes)
        if before:
            assert f"going on from step {before}" in ended.said[0] or "all 8 steps are done" in ended.said[0]
        if ended.codes == [0] * processes:
            break
        assert strikes, ended.said
        check_end(ended, strikes[0], run)
        struck += 1
    now, then = left(run), left(reference)
    if "owed" in now["numbers"]:
        then["numbers"] = now["numbers"]
    assert now == then
    return struck


def check_end(ended, strike, run):
    """Who was killed was killed, the others noticed; who was asked to stop has saved."""
    code = ended.codes[strike.rank]
    if strike.number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        assert all(other == 69 for rank, other in enumerate(ended.codes) if rank != strike.rank), ended.said
    else:
        assert ended.codes == [75] * len(ended.codes), ended.said
        early = "before training began" in ended.said[strike.rank]
        assert early or f"the state of step {newest(run)} is saved" in ended.said[0]
        assert early or (run / "exit.json").exists(), ended.said
        assert early or json.loads((run / "exit.json").read_text())["code"] == 75


def loop(place, whole, number, count, seed):
    """At least `count` strikes, through all modes in turn."""
    draw, struck, turn = random.Random(seed), 0, 0
    while struck < count:
        processes, workers = MODES[turn % len(MODES)]
        struck += strike_until_done(place, whole, f"run-{number}-{seed}-{turn}", draw, number, processes, workers)
        turn += 1


@pytest.mark.slow
def test_twenty_kills(place, whole):
    loop(place, whole, signal.SIGKILL, 20, seed=0)


@pytest.mark.slow
def test_five_requests_to_stop(place, whole):
    loop(place, whole, signal.SIGTERM, 5, seed=0)


def test_only_ctrl_c_insists(place):
    """A terminal that closes may send two signals: both ask for the same, and the state is saved."""
    run, strikes = place[0] / "twice", [Strike("network", 3, number) for number in (signal.SIGTERM, signal.SIGHUP)]
    ended = place[1].run(*command(place[0], run, 0), strikes=[*strikes, strikes[1]])
    assert ended.codes == [75], ended.said
    assert newest(run) == 2
    two = [Strike("network", 7, signal.SIGINT)] * 2
    assert place[1].run(*command(place[0], run, 0), strikes=two).codes == [130]


def test_a_run_without_its_configuration_is_refused(place):
    run = place[0] / "bare"
    assert place[1].run(*command(place[0], run, 0)).codes == [0]
    (run / "config.json").unlink()
    ended = place[1].run(*command(place[0], run, 0), "--lr", "0.1")
    assert ended.codes == [65], ended.said
    assert "config.json is missing" in ended.said[0]


def test_what_is_refused_is_recorded_too(place):
    """exit.json tells of the last command, also of one that never came to a step."""
    run = place[0] / "refused"
    assert place[1].run(*command(place[0], run, 0)).codes == [0]
    assert json.loads((run / "exit.json").read_text())["code"] == 0
    assert place[1].run(*command(place[0], run, 0), "--lr", "1").codes == [78]
    assert json.loads((run / "exit.json").read_text())["code"] == 78


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_three_hundred_kills(place, whole):
    loop(place, whole, signal.SIGKILL, 300, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_requests_to_stop(place, whole):
    loop(place, whole, signal.SIGTERM, 50, seed=1)
