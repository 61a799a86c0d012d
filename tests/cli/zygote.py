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


@dataclass(frozen=True)
class Strike:
    """Process `rank` sends itself signal `number` at its `at`-th moment (from 0) of `kind`.

    Number 0 is no signal: what the network gives at that moment is NaN. `BREAK` is none: it fails.
    """

    kind: str
    at: int
    number: int
    rank: int = 0


@dataclass(frozen=True)
class Ended:
    """How the processes of a command ended (negative: by that signal), what they said, and the moments that they saw."""

    codes: list[int]
    said: list[str]
    moments: list[dict[str, int]]


class Zygote:
    """A process that forks commands."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "DDPM_CACHE": str(folder / "cache")}
        paths = [str(Path(ddpm.__file__).parents[1]), str(ROOT)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.zygote"],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, ranks=1, strikes=(), frozen=10, also=()):
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
        said = [(place / f"{rank}.err").read_text() for rank in range(ranks)]
        moments = [(place / f"{rank}.json") for rank in range(ranks)]
        return Ended(codes, said, [json.loads(file.read_text()) if file.exists() else {} for file in moments])

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


def moment(draw, seen, number, ranks=1):
    """A strike at random: any kind, any moment that the uninterrupted run had, any process."""
    rank = draw.randrange(ranks)
    kind = draw.choice([kind for kind in KINDS if seen[rank][kind]])
    return Strike(kind, draw.randrange(seen[rank][kind]), number, rank)


def _serve():
    """Answer requests until there are none."""
    import torch.utils.tensorboard

    import ddpm.cli.actions  # (all that takes time, once)
    from ddpm.data.sources import open_source

    torch.set_num_threads(1)
    ddpm.cli.actions.report_training = lambda folder: folder.report
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
    seen = _watch([strike for strike in request["strikes"] if strike["rank"] == rank])
    from ddpm.cli import main

    code = main([*request["arguments"], *request["also"][rank]])
    (place / f"{rank}.json").write_text(json.dumps(seen))
    return code


def _watch(strikes):
    """Count moments of each kind, and strike."""
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    from ddpm.errors import DataError
    from ddpm.models.unet import UNet
    from ddpm.storage import durable

    seen = dict.fromkeys(KINDS, 0)

    def tick(kind):
        for strike in strikes:
            if (strike["kind"], strike["at"]) == (kind, seen[kind]) and strike["number"] > 0:
                os.kill(os.getpid(), strike["number"])
        seen[kind] += 1

    def poison(module, _inputs, output):
        if isinstance(module, UNet) and any(s["number"] == BREAK and s["at"] == seen["network"] - 1 for s in strikes):
            raise DataError("broken on purpose")
        bad = isinstance(module, UNet) and any(not s["number"] and s["at"] == seen["network"] - 1 for s in strikes)
        return output * float("nan") if bad else output

    durable.OBSERVERS.append(lambda _operation: tick("file"))
    register_module_forward_pre_hook(lambda module, _inputs: tick("network") if isinstance(module, UNet) else None)
    register_module_forward_hook(poison)
    register_optimizer_step_pre_hook(lambda *_: tick("optimizer"))
    register_optimizer_step_post_hook(lambda *_: tick("optimizer"))
    return seen


if __name__ == "__main__":
    _serve()
