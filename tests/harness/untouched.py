"""The run that nobody touched, and those that must end as it did, to the bit, whatever was done to them."""

import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.harness.pictures import fill
from tests.harness.zygote import ENDING

PATIENCE = 4
STEPS = 8
SHARDS = ("parallel=fsdp", "model.multipliers=1", "model.attention=[]")
"""A smaller network: shards of tiny tensors take long."""


@dataclass(frozen=True)
class Mode:
    """How a run is made: processes, processes that decode images for each of them, and more settings."""

    processes: int = 1
    workers: int = 0
    settings: tuple[str, ...] = ()

    def __str__(self):
        how = "in shards" if "parallel=fsdp" in self.settings else "processes" if self.processes > 1 else "process"
        return f"{self.processes} {how}, {self.workers} workers"


ALONE = Mode()


@dataclass
class Tally:
    """What was struck while at what, and how long the runs of a mode took: figures to quote, once all is found the same."""

    doing: Counter = field(default_factory=Counter)
    strikes: Counter = field(default_factory=Counter)
    seconds: Counter = field(default_factory=Counter)

    def add(self, mode, struck, seconds):
        """`struck` is what each strike of a run found its process doing; the run took `seconds`, with all that went on from it."""
        self.doing.update(struck)
        self.strikes[str(mode)] += len(struck)
        self.seconds[str(mode)] += seconds

    def __str__(self):
        while_ = ", ".join(f"{count} {doing}" for doing, count in self.doing.most_common())
        costs = ", ".join(f"{mode} {self.seconds[mode] / n:.1f} ({n})" for mode, n in self.strikes.items() if n)
        return f"{self.strikes.total()} strikes, 0 diverging, 0 unresumable; {while_}; seconds for each: {costs}"


class Course:
    """Runs of eight steps on a folder of pictures, with dropout, flips, evaluations, samples and a checkpoint every other step."""

    def __init__(self, folder, forked, flags):
        """In `folder`, by the zygote `forked`, with more `flags`."""
        self.folder, self._forked, self._flags, self._whole = folder, forked, flags, {}
        fill(folder / "pictures", 24, size=(8, 8))

    def run(self, name, mode, *more, strikes=()):
        """Run the command in folder `name`; the same again goes on. How it ended."""
        sets = ["rhythm.save=2", "rhythm.log=3", "rhythm.evaluate=4", "rhythm.sample=4", f"rhythm.patience={PATIENCE}"]
        sets += ["model.dropout=0.3", "data.augmentation=horizontal-flip", "data.held_out=0.3", "data.in_memory=0"]
        sets += [f"data.workers={mode.workers}", "training.accumulate=2", "schedule.T=6", *mode.settings]
        flags = [*self._flags, "--data", self.folder / "pictures", "--steps", STEPS, *more]
        flags += [word for setting in sets for word in ("--set", setting)]
        run = ["train", "--output-dir", self.folder / name, *flags]
        return self._forked.run(*run, ranks=mode.processes, strikes=strikes, frozen=PATIENCE + 20)

    def whole(self, mode):
        """The run that nobody touches, which is the same for any number of workers: its folder, and the moments that it had."""
        key = mode.processes, mode.settings
        if key not in self._whole:
            name = f"whole-{len(self._whole)}"
            ended = self.run(name, Mode(mode.processes, 0, mode.settings))
            assert ended.codes == [0] * mode.processes, ended.said
            self._whole[key] = self.folder / name, ended.moments
        return self._whole[key]

    def newest(self, name):
        """The step of the newest checkpoint, 0 if there is none."""
        found = (self.folder / name).glob("checkpoints/step-*")
        return max([int(path.name.removeprefix("step-")) for path in found], default=0)

    def until_done(self, name, mode, plan, check):
        """Run, with a strike of `plan` each time until it is empty, and on until the end; `check` is told how each was struck.

        All that is left must be that of the run that nobody touched. Returns what each strike found its process doing.
        """
        reference, _ = self.whole(mode)
        plan, struck = list(plan), []
        while True:
            before, strikes = self.newest(name), [plan.pop(0)] if plan else []
            ended = self.run(name, mode, strikes=strikes)
            if before and " schedule, T = " in ended.said[0]:  # else it was struck before it told where it begins
                assert f"going on from step {before}" in ended.said[0] or f"all {STEPS} steps are done" in ended.said[0]
            if ended.codes == [0] * mode.processes:
                break
            assert strikes, ended.said
            check(ended, strikes[0], self.folder / name)
            struck += [doing for doing in ended.struck if doing]
        now, then = left(self.folder / name), left(reference)
        if "owed" in now["numbers"]:
            then["numbers"] = now["numbers"]
        assert sorted(now) == sorted(then)
        assert not [what for what in then if now[what] != then[what]], (
            f"not as if nobody had touched it: {mode}, {struck}"
        )
        return struck

    def tallied(self, tally, name, mode, plan, check):
        """`until_done`, counted in `tally`."""
        self.whole(mode)
        since = time.monotonic()
        struck = self.until_done(name, mode, plan, check)
        tally.add(mode, struck, time.monotonic() - since)
        return len(struck)


def left(run):
    """What a run leaves behind, but for the time it took: model, averages, optimiser, numbers, rows of the log, pictures.

    A run that was asked to stop in its last step owes the line of that step: once it is written, only the checkpoint of before
    still says so.
    """
    last = run / "checkpoints" / f"step-{STEPS:09d}"
    hidden = [str(rest.relative_to(run)) for rest in run.rglob(".*")]
    assert hidden == [".lock"], hidden
    numbers = json.loads((last / "state.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for timed in (numbers["ledger"], *rows):
        del timed["seconds"]
    if "owed_step" in numbers["ledger"]:
        numbers = {"owed": True}
    groups = sorted(last.glob("*.safetensors"))
    assert [file.stem for file in groups] == ["ema", "model", "optimizer"]
    files = [*groups, *(run / "samples").iterdir()]
    return {"numbers": numbers, "rows": rows} | {str(path.relative_to(run)): path.read_bytes() for path in files}


def require_lost(ended, strike, run):
    """Who was killed or frozen is gone; the others noticed, and ended with 69, the first of them naming it; unless they were done.

    A third process may have heard last that the first one has left.
    """
    assert ended.codes[strike.rank] == -signal.SIGKILL
    others = [rank for rank in range(len(ended.codes)) if rank != strike.rank]
    done = ended.struck[strike.rank] == ENDING
    assert [ended.codes[rank] for rank in others] == [0 if done else 69] * len(others), ended.said
    assert all("Traceback" not in ended.said[rank] for rank in others)
    if others and not done:
        assert f"process {strike.rank} of {len(ended.codes)} is lost" in ended.said[others[0]]
        if (run / "config.json").exists():
            found = json.loads((run / "exit.json").read_text())
            assert (found["code"], found["kind"]) == (69, "PeerLost")


def require_stopped(ended, strike, run):
    """All were asked to stop by one of them, and have saved the newest step, if there was one."""
    assert ended.codes == [75] * len(ended.codes), ended.said
    if "before training began" not in ended.said[strike.rank]:
        newest = max(path.name for path in run.glob("checkpoints/step-*"))
        assert f"the state of step {int(newest.removeprefix('step-'))} is saved" in ended.said[0]
        assert json.loads((run / "exit.json").read_text())["code"] == 75
