"""One training step of the paper's CIFAR-10 network at batch 8: ours beside diffusers', in turn, in one process.

Both do the whole step: noise, network, loss, gradient, clipping, Adam, moving average. Each is run as its own users get
it by default, and both with bf16. Peak memory is that of a process of its own. `python -m benchmarks.training_step`.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.machine import save
from benchmarks.peer import Peer, peer_training
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.training.trainer import Recipe, State, train

BATCH, ROUNDS, THREADS = 8, 15, 2
CPU = torch.device("cpu")


def ours(precision: str) -> Callable[[], None]:
    """A step of `ddpm train --preset cifar10 --batch-size 8`."""
    state = State.start(UNet(UNetShape(), 3, 3), 2e-4, torch.amp.GradScaler("cpu", enabled=False))
    p = ReverseProcess(in_precision(state.network, precision, CPU), linear(), limit=unlimited)
    images = ImageSet("random", torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8))
    recipe = Recipe(batch_size=BATCH)
    steps = train(state, lambda: p, simple, Batches(images, BATCH, 0), recipe)
    return lambda: next(steps) and None


def theirs(precision: str) -> Callable[[], None]:
    """A step of their example."""
    network = Peer(UNetShape(), 32, 3).train()
    return peer_training(network, network, torch.rand(64, 3, 32, 32) * 2 - 1, BATCH, bf16=precision == "bf16")


VARIANTS = {
    "ours fp32": lambda: ours("fp32"),
    "ours bf16 (default)": lambda: ours("bf16"),
    "diffusers fp32 (default)": lambda: theirs("fp32"),
    "diffusers bf16": lambda: theirs("bf16"),
}


def memory(name: str) -> None:
    """Peak resident memory of a fresh process that takes two steps, MiB, on standard output."""
    torch.set_num_threads(THREADS)
    step = VARIANTS[name]()
    step()
    step()
    # Not getrusage: its peak includes the parent's at the fork.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(int(line.split()[1]) / 1024)


def main() -> None:
    """Time all in turn, then measure memory one by one."""
    torch.set_num_threads(THREADS)
    steps = {name: make() for name, make in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(ROUNDS + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if round_:
                seconds[name].append(time.perf_counter() - begin)
    del steps
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    peak = {}
    for name in VARIANTS:
        command = [sys.executable, "-m", "benchmarks.training_step", "--memory", name]
        peak[name] = round(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    result = {
        "batch": BATCH,
        "rounds": ROUNDS,
        "median_seconds": {name: round(median, 4) for name, median in medians.items()},
        "all_seconds": {name: [round(t, 4) for t in times] for name, times in seconds.items()},
        "peak_memory_mib": peak,
        "ratios": {
            "fp32: diffusers / ours": medians["diffusers fp32 (default)"] / medians["ours fp32"],
            "bf16: diffusers / ours": medians["diffusers bf16"] / medians["ours bf16 (default)"],
            "defaults: diffusers / ours": medians["diffusers fp32 (default)"] / medians["ours bf16 (default)"],
        },
    }
    print(json.dumps({key: result[key] for key in ("median_seconds", "peak_memory_mib", "ratios")}, indent=1))
    print(save("training_step", result))


if __name__ == "__main__":
    if "--memory" in sys.argv:
        memory(sys.argv[-1])
    else:
        main()
