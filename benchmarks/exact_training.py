"""What it costs that training can be repeated to the bit, and what a second process gains on this machine.

`python -m benchmarks.exact_training`. First a step of a small network with randomness by name against the same step with
two generators that are carried along, as everybody does: the same numbers of draws of the same sizes, torch's own dropout;
seconds of the processor, of one thread, so that others on the machine do not count. Then the time of a step by one process
and by two, as `ddpm train` measures it. All in turns; ratios of medians.
"""

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import save
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import log_snr
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.training import trainer
from ddpm.training.trainer import GradientStep, Part, Recipe, State, train

SIDE, BATCH, PAIRS, STEPS, ROUNDS = 28, 32, 60, 14, 3
SHAPE = UNetShape(channels=32, multipliers=(1, 2, 2), blocks=1, groups=8, dropout=0.1)


class Carried:
    """The usual way: one permutation for each epoch, and generators that go on where they stopped."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels, self.random = pixels, torch.Generator().manual_seed(0)
        self.left = torch.empty(0, dtype=torch.int64)

    def draws(self, _batches: Batches, T: int, recipe: Recipe, _step: int, _device: torch.device) -> list[Part]:
        """In the place of `trainer.draws`."""
        if len(self.left) < recipe.batch_size:
            self.left = torch.randperm(len(self.pixels), generator=self.random)
        rows, self.left = self.left[: recipe.batch_size], self.left[recipe.batch_size :]
        x_0 = self.pixels[rows].float() / 127.5 - 1
        t = torch.randint(1, T + 1, (recipe.batch_size,), generator=self.random)
        return [Part(0, x_0, t, torch.randn(x_0.shape, generator=self.random), None)]


def begun(pixels: Tensor, dropout: float) -> Iterator[GradientStep]:
    """A training of its own, step by step."""
    torch.manual_seed(0)
    shape = UNetShape(**{**vars(SHAPE), "dropout": dropout})
    state = State.start(UNet(shape, 1, 1), 2e-4, torch.amp.GradScaler("cpu", enabled=False))
    p = ReverseProcess(state.network, log_snr(T=1000), limit=unlimited)
    recipe = Recipe(steps=10**6, batch_size=BATCH)
    return train(state, lambda: p, simple, Batches(ImageSet("random", pixels), BATCH, 0), recipe)


def randomness(dropout: float) -> dict[str, float]:
    """Processor seconds of a step, in turns step by step, and the ratio."""
    pixels = torch.randint(0, 256, (4096, 1, SIDE, SIDE), dtype=torch.uint8)
    named, carried, usual = begun(pixels, dropout), begun(pixels, dropout), Carried(pixels)
    times: dict[str, list[float]] = {"by name": [], "carried along": []}

    def step(kind: str, steps: Iterator[GradientStep]) -> None:
        begin = time.process_time()
        next(steps)
        times[kind].append(time.process_time() - begin)

    for _ in range(PAIRS):
        step("by name", named)
        with patch.object(trainer, "draws", usual.draws), patch.object(trainer, "place", lambda *_: None):
            step("carried along", carried)
    middle = {kind: statistics.median(found[5:]) for kind, found in times.items()}
    return {**middle, "ratio": middle["by name"] / middle["carried along"]}


def stepped(data: Path, place: Path, processes: int, threads: int) -> list[float]:
    """Seconds between lines of metrics.jsonl of a run of `processes`, without the first ones."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    words = ["train", "--data", str(data), "--output-dir", str(place), "--preset", "mnist", "--precision", "fp32"]
    words += ["--steps", str(STEPS), "--batch-size", str(BATCH)]
    for setting in ("rhythm.log=1", "rhythm.evaluate=0", "rhythm.sample=0", "rhythm.save=0", "training.warmup=0"):
        words += ["--set", setting]
    ranks = []
    for rank in range(processes):
        group = {"RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **group, "OMP_NUM_THREADS": str(threads)}
        ranks.append(subprocess.Popen([sys.executable, "-m", "ddpm", *words], env=environment))
    if any(process.wait() for process in ranks):
        raise SystemExit("a run failed")
    moments = [json.loads(line)["seconds"] for line in (place / "metrics.jsonl").read_text().splitlines()]
    return [after - before for before, after in itertools.pairwise(moments[4:])]


def scaling() -> dict[str, float]:
    """Median seconds of a step of the preset `mnist`, batch 32, by processes and threads."""
    kinds = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "random.npz"
        np.savez(data, images=np.random.RandomState(0).randint(0, 256, (256, SIDE, SIDE), dtype=np.uint8))
        for number in range(ROUNDS):
            for kind, (processes, threads) in kinds.items():
                times[kind] += stepped(data, Path(folder) / f"{number}-{processes}-{threads}", processes, threads)
    middle = {kind: statistics.median(found) for kind, found in times.items()}
    first = middle["1 process, 1 thread"]
    return {**middle, **{f"gain of {kind}": first / middle[kind] for kind in list(kinds)[1:]}}


def main() -> None:
    """Both parts."""
    torch.set_num_threads(1)
    found = {"step without dropout": randomness(0.0), "step with dropout 0.1": randomness(0.1), "scaling": scaling()}
    print(json.dumps(found, indent=1))
    save("exact_training", found)


if __name__ == "__main__":
    main()
