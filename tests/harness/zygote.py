"""Commands that are struck by a signal at a chosen moment, each forked from one process that has imported everything.

A moment is a file operation, a call of the network (in a step, an evaluation or a sample), or the begin or end of an
optimiser's step: hooks of torch and of `ddpm.storage.durable` count them. No code of ours is changed, but that the report is
left out, whose drawing would take most of the time.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import ddpm

ROOT = Path(__file__).resolve().parents[2]
BREAK = -1
KINDS = ("file", "network", "optimizer")
ENDING = "ending"
DOING = {
    ("trainer.py", "train"): "stepping",
    ("session.py", "_evaluate"): "evaluating",
    ("session.py", "_preview"): "sampling",
    ("session.py", "_look"): "writing the log",
    ("session.py", "_save"): "saving",
    ("background.py", "_write"): "saving",
    ("background.py", "_retire"): "removing old checkpoints",
    ("ending.py", "_write_exit"): ENDING,
}
"""What a process is doing, by the innermost of these functions that it is in; otherwise it begins."""


@dataclass(frozen=True)
class Strike:
    """Process `rank` sends itself signal `number` at its `at`-th moment (from 0) of `kind`; of those while `doing`, if given.

    Number 0 is no signal: what the network gives at that moment is NaN. `BREAK` is none: it fails.
    """

    kind: str
    at: int
    number: int
    rank: int = 0
    doing: str | None = None


@dataclass(frozen=True)
class Ended:
    """How the processes of a command ended (negative: by that signal), what they said, and the moments that they had
    of each kind: what they were doing, and of what sort it was.

    Last what each was doing when it was struck; "" where it was not.
    """

    codes: list[int]
    said: list[str]
    moments: list[dict[str, list[tuple[str, str]]]]
    struck: list[str]


class Zygote:
    """A process that forks commands."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "DDPM_CACHE": str(folder / "cache")}
        paths = [str(Path(ddpm.__file__).parents[1]), str(ROOT)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.zygote"],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, ranks=1, strikes=(), frozen=60, also=()):
        """Run a command on `ranks` processes, with more arguments for each of them if `also` has them.

        Those still there `frozen` seconds after the first has ended or was frozen are killed.
        """
        self._count += 1
        place = self._folder / f"said-{self._count}"
        place.mkdir()
        request = {"arguments": [str(a) for a in arguments], "ranks": ranks, "place": str(place), "frozen": frozen}
        request |= {"also": [list(more) for more in also] or [[]] * ranks}
        request |= {"strikes": [asdict(strike) for strike in strikes], "port": free_port()}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        codes = json.loads(self._process.stdout.readline())

        def read(ending, default):
            files = [place / f"{rank}.{ending}" for rank in range(ranks)]
            return [file.read_text() if file.exists() else default for file in files]

        return Ended(codes, read("err", ""), [json.loads(seen) for seen in read("json", "{}")], read("struck", ""))

    def close(self):
        """The end."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


def free_port():
    """One that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def zygote(folder):
    """One of its own."""
    folder.mkdir()
    made = Zygote(folder)
    try:
        yield made
    finally:
        made.close()


def moment(draw, seen, number, rank):
    """A strike at random on one of the processes, at a moment that it had when nobody touched it.

    Even in what it was doing then, and in the sorts of file operations: nearly all of these are pieces of one save.
    """
    found = {}
    for kind, moments in seen[rank].items():
        for at, (doing, sort) in enumerate(moments):
            found.setdefault(doing, {}).setdefault(sort, []).append((kind, at))
    sorts = found[draw.choice(sorted(found))]
    return Strike(*draw.choice(sorts[draw.choice(sorted(sorts))]), number, rank)


def moment_while(draw, seen, doing, number):
    """A strike at random while a process is doing that, in the first half of such moments: a run that goes on has them too.

    On one of the processes that do it, even in the sorts of file operations.
    """
    ranks = [
        rank for rank, kinds in enumerate(seen) if any(was == doing for of_kind in kinds.values() for was, _ in of_kind)
    ]
    rank, sorts = draw.choice(ranks), {}
    for kind, moments in seen[rank].items():
        for at, sort in enumerate(sort for was, sort in moments if was == doing):
            sorts.setdefault(sort, []).append((kind, at))
    found = sorts[draw.choice(sorted(sorts))]
    kind, at = draw.choice(found[: (len(found) + 1) // 2])
    return Strike(kind, at, number, rank, doing)


def _serve():
    """Answer requests until there are none."""
    import torch.distributed.fsdp  # (all that takes time, once)
    import torch.utils.tensorboard

    import ddpm.cli.parts.editing
    import ddpm.cli.parts.sheets
    import ddpm.cli.parts.training
    import ddpm.report.training
    from ddpm.data.open import open_source

    torch.set_num_threads(1)
    ddpm.report.training.report_training = lambda folder, language: folder.report
    open_source("digits", "train")
    for line in sys.stdin:
        request = json.loads(line)
        children = [_fork(rank, request) for rank in range(request["ranks"])]
        print(json.dumps(_wait(children, request)), flush=True)


def _fork(rank, request):
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        code = _be(rank, request)
    finally:
        os._exit(code)


def _wait(children, request):
    """Exit codes in the order of the ranks. What is still there long after one has ended is killed."""
    import signal
    import time

    codes, since, stopped = {}, None, set()
    while len(codes) < len(children):
        for rank, child in enumerate(children):
            if rank in codes:
                continue
            done, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
            if done:
                since = since or time.monotonic()
            if done and os.WIFSTOPPED(status):
                stopped.add(rank)
            elif done:
                codes[rank] = os.waitstatus_to_exitcode(status)
        left = set(range(len(children))) - set(codes)
        if left <= stopped or (since and time.monotonic() - since > request["frozen"]):
            for rank in left:
                os.kill(children[rank], signal.SIGKILL)
        time.sleep(0.01)
    return [codes[rank] for rank in range(len(children))]


def _be(rank, request):
    """The command, in this process, watched."""
    place = Path(request["place"])
    for name, number in ((f"{rank}.out", 1), (f"{rank}.err", 2)):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if request["ranks"] > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(request["ranks"])}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(request["port"])}
    seen = _watch([strike for strike in request["strikes"] if strike["rank"] == rank], place / f"{rank}.struck")
    from ddpm.cli import main

    code = main([*request["arguments"], *request["also"][rank]])
    (place / f"{rank}.json").write_text(json.dumps(seen))
    return code


def _doing():
    """What this process is doing, by its stack."""
    frame = sys._getframe()
    while frame:
        found = Path(frame.f_code.co_filename).name, frame.f_code.co_name
        if found in DOING:
            return DOING[found]
        frame = frame.f_back
    return "beginning"


def _watch(strikes, note):
    """Keep the moments of each kind, and strike, noting what was struck."""
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    from ddpm.errors import DataError
    from ddpm.models.unet import UNet
    from ddpm.storage import durable

    seen = {kind: [] for kind in KINDS}

    def tick(kind, sort):
        doing = _doing()
        at = {None: len(seen[kind]), doing: sum(was == doing for was, _ in seen[kind])}
        for strike in strikes:
            if strike["kind"] == kind and strike["at"] == at.get(strike["doing"]) and strike["number"] > 0:
                note.write_text(doing)
                os.kill(os.getpid(), strike["number"])
        seen[kind].append((doing, sort))

    def poison(module, _inputs, output):
        if isinstance(module, UNet) and any(
            s["number"] == BREAK and s["at"] == len(seen["network"]) - 1 for s in strikes
        ):
            raise DataError("broken on purpose")
        bad = isinstance(module, UNet) and any(not s["number"] and s["at"] == len(seen["network"]) - 1 for s in strikes)
        return output * float("nan") if bad else output

    durable.OBSERVERS.append(lambda operation: tick("file", operation.kind))
    register_module_forward_pre_hook(lambda module, _: tick("network", "call") if isinstance(module, UNet) else None)
    register_module_forward_hook(poison)
    register_optimizer_step_pre_hook(lambda *_: tick("optimizer", "begin"))
    register_optimizer_step_post_hook(lambda *_: tick("optimizer", "end"))
    return seen


if __name__ == "__main__":
    _serve()
