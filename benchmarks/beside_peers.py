"""A step of training, of sampling and of the bound: ours beside those of three other implementations, in turn, on one thread.

`python -m benchmarks.beside_peers [--cases digits mnist cifar10] [--rounds 9] [--peers FOLDER]`. The networks have the shape of
the preset (lucidrains' is one of its own: it is compared per floating point operation too), the same batch and dropout, and new
weights. diffusers is installed; FOLDER holds the others (`benchmarks.other_people`). Ratios are of medians of processor time. Peak
memory of a training step is that of a process of its own, at the preset's batch. What the results hold of other cases is kept.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import RESULTS, commit, save
from benchmarks.other_people import NAMES, Improved, Lucidrains
from benchmarks.peer import Peer, peer_training
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.evaluation.rate import measure
from ddpm.experiment.presets import PRESETS
from ddpm.models.precision import in_precision, is_native
from ddpm.models.recompute import recompute
from ddpm.models.unet import UNet
from ddpm.sampling.images import Plan, sample
from ddpm.training.rounded import in_training
from ddpm.training.trainer import Recipe, State, train

CPU = torch.device("cpu")
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
BATCHES = {"digits": (64, 64), "mnist": (64, 64), "cifar10": (8, 16)}
"""Of training, and of sampling and the bound: for `cifar10` smaller than the preset's, whose step takes 20 s."""
Step = Callable[[], object]
OURS, OURS_AGAIN, DIFFUSERS = "ddpm", "ddpm, gradient checkpointing", "diffusers"
IMPROVED, LUCIDRAINS = NAMES


@dataclass(frozen=True)
class Case:
    """A network's shape with images for it; `peers` is where the others' code lies, `batch` that of a training step."""

    name: str
    peers: Path | None
    batch: int

    def __post_init__(self) -> None:
        torch.manual_seed(0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        return SHAPES[self.name]

    def network(self) -> UNet:
        """Ours, with random weights: those that it begins with are 0 where it matters for no time."""
        return UNet(PRESETS[self.name]().model, self.shape[0], self.shape[0])

    def peer(self) -> Peer:
        """Diffusers' of the same shape."""
        return Peer(PRESETS[self.name]().model, self.shape[1], self.shape[0])

    def improved(self) -> Improved:
        """OpenAI's."""
        assert self.peers is not None
        return Improved(self.peers, PRESETS[self.name]().model, self.shape[0])

    def lucidrains(self) -> Lucidrains:
        """Lucidrains'."""
        assert self.peers is not None
        return Lucidrains(self.peers, PRESETS[self.name]().model, self.shape[0], self.shape[1])

    def images(self, count: int) -> ImageSet:
        """Noise of 256 levels."""
        return ImageSet("random", torch.randint(0, 256, (count, *self.shape), dtype=torch.uint8))

    def pixels(self, count: int) -> Tensor:
        """The same for those who take numbers in [-1, 1]."""
        return self.images(count).tensor().float() / 127.5 - 1


def our_training(case: Case, batch: int, precision: str, *, again: bool = False) -> Step:
    """A whole step of `ddpm train` with L_simple, by Adam as theirs; `again` with gradient checkpointing."""
    state = State.start(case.network(), 2e-4, torch.amp.GradScaler("cpu", enabled=False))
    if again:
        recompute(state.network)
    p = ReverseProcess(in_training(state.network, precision, CPU), linear(), limit=unlimited)
    steps = train(state, lambda: p, simple, Batches(case.images(512), batch, 0), Recipe(batch_size=batch))
    return lambda: next(steps)


def our_process(case: Case, precision: str) -> ReverseProcess:
    """A trained network's, for reading it."""
    return ReverseProcess(in_precision(case.network().eval(), precision, CPU), linear())


def our_sampling(case: Case, batch: int, precision: str) -> Step:
    """A step of the ancestral chain."""
    steps = sample(our_process(case, precision), case.shape, Plan(batch, batch_size=batch), CPU)
    return lambda: next(steps)


def our_bound(case: Case, batch: int, precision: str) -> Step:
    """A term of the bound."""
    terms: Iterator[object] = measure(our_process(case, precision), case.images(batch), 0, batch, CPU)
    next(terms)  # L_T asks no network
    return lambda: next(terms)


def diffusers_sampling(case: Case, batch: int) -> Step:
    """A step of their pipeline's chain."""
    network, scheduler, x_t = case.peer().eval(), DDPMScheduler(1000), torch.randn(batch, *case.shape)
    scheduler.set_timesteps(1000)
    return lambda: scheduler.step(network(x_t, torch.tensor(500)), torch.tensor(500), x_t)


def twice(step: Step) -> Step:
    """Ours asks the network once a term; theirs twice a call."""
    return lambda: (step(), step())


def training(case: Case, name: str) -> Step:
    """A training step by a name such as "ddpm bf16"."""
    who, precision = name.rsplit(" ", 1)
    batch = case.batch
    if who in (OURS, OURS_AGAIN):
        return our_training(case, batch, precision, again=who == OURS_AGAIN)
    if who == DIFFUSERS:
        network = case.peer().train()
        return peer_training(network, network, case.pixels(512), batch, bf16=precision == "bf16")
    theirs = case.improved() if who == IMPROVED else case.lucidrains()
    return theirs.training(case.pixels(512), batch, bf16=precision == "bf16")


def kinds(case: Case) -> dict[str, dict[str, Step]]:
    """What is measured, and who does it, by name: all are made before anything is timed."""
    batch, precisions = BATCHES[case.name][1], ("bf16", "fp32")
    trained = [OURS, OURS_AGAIN, DIFFUSERS, *(NAMES if case.peers else ())]
    found: dict[str, dict[str, Step]] = {
        "training": {name: training(case, name) for name in (f"{who} {one}" for who in trained for one in precisions)},
        "sampling": {f"{OURS} {name}": our_sampling(case, batch, name) for name in precisions},
        "bound, two terms": {f"{OURS} {name}": twice(our_bound(case, batch, name)) for name in precisions},
    }
    found["sampling"][f"{DIFFUSERS} fp32"] = diffusers_sampling(case, batch)
    if case.peers is not None:
        for who, make in ((IMPROVED, case.improved), (LUCIDRAINS, case.lucidrains)):
            found["sampling"][f"{who} fp32"] = make().sampling(torch.randn(batch, *case.shape))
        found["bound, two terms"][f"{IMPROVED} fp32"] = case.improved().bound(case.pixels(batch))
    return found


def medians(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """Seconds of the processor, of rounds in which all take turns; the first two warm up.

    In a new order each time: who follows a step that fills the caches is a few hundredths slower.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 2):
        for name in random.Random(round_).sample(list(steps), len(steps)):
            began = time.process_time()
            steps[name]()
            if round_ >= 2:
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def ratios(found: Mapping[str, float]) -> dict[str, float]:
    """Ours over each other's: in the same precision, and bf16 over fp32, which is what others do unless asked.

    Training by ours is in bf16 where it is native; a model is read in bf16 by `--precision bf16`.
    """
    others = sorted({name.rsplit(" ", 1)[0] for name in found} - {OURS, OURS_AGAIN})
    same = {
        f"{precision}, {who}": found[f"{OURS} {precision}"] / found[f"{who} {precision}"]
        for who in others
        for precision in ("bf16", "fp32")
        if f"{who} {precision}" in found
    }
    return same | {f"bf16 / fp32, {who}": found[f"{OURS} bf16"] / found[f"{who} fp32"] for who in others}


def flops(case: Case) -> dict[str, int]:
    """Of a forward pass of one image."""
    networks = {OURS: case.network(), DIFFUSERS: case.peer()}
    if case.peers is not None:
        networks |= {IMPROVED: case.improved().network, LUCIDRAINS: case.lucidrains().network}
    found = {}
    for name, network in networks.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.randn(1, *case.shape), torch.zeros(1, dtype=torch.long))
        found[name] = counter.get_total_flops()
    return found


def memory(case: str, name: str, peers: Path | None) -> int:
    """Peak resident MiB of a fresh process that takes two training steps."""
    command = [sys.executable, "-m", "benchmarks.beside_peers", "--cases", case, "--memory", name]
    command += ["--peers", str(peers)] if peers else []
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def said_memory(case: Case, name: str) -> None:
    """The other side of `memory`."""
    step = training(case, name)
    step()
    step()
    # Not getrusage: its peak includes the parent's at the fork.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(int(line.split()[1]) // 1024)


def measured(case: Case, rounds: int) -> dict[str, object]:
    """All of one case."""
    result: dict[str, object] = {"commit": commit(), "batches": BATCHES[case.name], "rounds": rounds}
    steps = kinds(case)
    for what, all_steps in steps.items():
        with torch.set_grad_enabled(what == "training"):
            found = medians(all_steps, rounds)
        result[what] = {
            "milliseconds": {name: round(1000 * seconds, 1) for name, seconds in found.items()},
            "ours / theirs": {name: round(ratio, 3) for name, ratio in ratios(found).items()},
        }
        print(case.name, what, json.dumps(result[what]), flush=True)
    batch = PRESETS[case.name]().training.batch_size
    names = [name for name in steps["training"] if batch == case.batch or name.endswith("bf16")]
    del steps
    result["batch of the memory"] = batch
    result["flops of an image"] = flops(case)
    result["peak memory of a training step, MiB"] = {name: memory(case.name, name, case.peers) for name in names}
    print(json.dumps(result["peak memory of a training step, MiB"]), flush=True)
    return result


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--memory")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        (name,) = options.cases
        said_memory(Case(name, options.peers, PRESETS[name]().training.batch_size), options.memory)
        return
    path = RESULTS / "beside_peers.json"
    held = json.loads(path.read_text())["cases"] if path.exists() else {}
    for name in options.cases:
        held[name] = measured(Case(name, options.peers, BATCHES[name][0]), options.rounds)
        save("beside_peers", {"native bf16": is_native("bf16", CPU), "cases": held})


if __name__ == "__main__":
    main()
