"""How time and memory grow: with T, with the images of a data set and of a sample, and with their sides.

`python -m benchmarks.growth [--only WORD ...]`. Each number is of a command of `ddpm`, one thread, on the network of the preset
"digits" with new weights: processor seconds with all processes that it starts, and the peak memory of the largest. The time of
the command at the first, smallest size is its start; the exponent is the slope of log(time - start) over log(size) between the
second and the last.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import RESULTS, save

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
QUIET = [*("--preset", "digits"), *(part for name in ("evaluate", "sample") for part in ("--set", f"rhythm.{name}=0"))]
MEASURED = (
    "import json, resource, subprocess, sys\n"
    "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
)
"""Run by a process of its own: what it says of its children is one command's alone."""
Command = list[str]
START = 0
"""Where no size is small enough to be the start, the command does less."""


@dataclass(frozen=True)
class Growth:
    """A row of the table: the command for each size, the first of which is the start, and what is prepared for it."""

    sizes: Sequence[int]
    command: Callable[[Path, int], Command]
    prepare: Callable[[Path, int], None] = lambda _folder, _size: None


def run(*words: str) -> tuple[float, float]:
    """Processor seconds and peak MiB of `ddpm` with these words, or of another module with -m."""
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", *words]
    said = subprocess.run(command, check=False, env=ENV, capture_output=True, text=True)
    if said.returncode:
        sys.exit(f"{' '.join(words)}\n{said.stderr}")
    seconds, mib = json.loads(said.stdout.splitlines()[-1])
    return seconds, mib


def trained(folder: Path, *more: str) -> None:
    """A run after one step."""
    if not (folder / "run").exists():
        run("ddpm", "train", "--data", "digits", "--output-dir", str(folder / "run"), *QUIET, "--steps", "1", *more)


def noise(folder: Path, count: int, side: int) -> None:
    """Images of 256 levels in a file."""
    if not (folder / "noise.npz").exists():
        pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), dtype=np.uint8)
        np.savez(folder / "noise.npz", arr_0=pixels, layout="NHWC")


def of_data(folder: Path, *more: str) -> Command:
    """Training on the file of images."""
    return ["ddpm", "train", "--data", str(folder / "noise.npz"), "--output-dir", str(folder / "new"), *QUIET, *more]


def sampling(folder: Path, images: int, *more: str) -> Command:
    """Drawing images into an array."""
    out = ["--output-dir", str(folder / "drawn"), "--npz", str(folder / "out.npz")]
    return ["ddpm", "sample", str(folder / "run"), "--num-images", str(images), *out, *more]


def side_of(folder: Path, side: int) -> Command:
    """Twenty steps on images of this side; at START one."""
    return of_data(folder, "--batch-size", "8", "--steps", "1" if side == START else "20")


GROWTHS = {
    "the bound of 8 images, T": Growth(
        (1, 100, 300, 1000),
        lambda folder, _T: ["ddpm", "evaluate", str(folder / "run"), "--data", "digits", "--num-images", "8"],
        lambda folder, T: trained(folder, "--set", f"schedule.T={T}"),
    ),
    "16 samples by all steps, T": Growth(
        (1, 100, 300, 1000),
        lambda folder, _T: sampling(folder, 16),
        lambda folder, T: trained(folder, "--set", f"schedule.T={T}"),
    ),
    "samples by 5 steps, images": Growth(
        (1, 100, 1000, 10_000),
        lambda folder, images: sampling(folder, images, "--steps", "5", "--sampler", "ddim"),
        lambda folder, _images: trained(folder),
    ),
    "the index and one step of training, images of 28x28": Growth(
        (10, 1000, 10_000, 50_000),
        lambda folder, _count: of_data(folder, "--steps", "1"),
        lambda folder, count: noise(folder, count, 28),
    ),
    "20 steps of training, batch 8, side": Growth(
        (START, 8, 16, 32, 64), side_of, lambda folder, side: noise(folder, 64, max(side, 8))
    ),
}


def exponent(sizes: Sequence[int], costs: Sequence[float], start: float) -> float | None:
    """The slope of log(cost - start) over log(size), from the smallest to the largest size; None where nothing grows."""
    low, high = costs[0] - start, costs[-1] - start
    if low <= 0 or high <= 0:
        return None
    return round(math.log(high / low) / math.log(sizes[-1] / sizes[0]), 2)


def measured(growth: Growth) -> dict[str, object]:
    """All sizes of a row."""
    found = []
    for size in growth.sizes:
        with tempfile.TemporaryDirectory() as folder:
            growth.prepare(Path(folder), size)
            found.append(run(*growth.command(Path(folder), size)))
    (start, _), *rest = found
    sizes, seconds, mib = growth.sizes[1:], [one for one, _ in rest], [one for _, one in rest]
    return {
        "sizes": list(sizes),
        "start": round(start, 2),
        "seconds": [round(one, 2) for one in seconds],
        "mib": [round(one) for one in mib],
        "exponent": exponent(sizes, seconds, start),
    }


def main() -> None:
    """Measure, print, save; rows that are not asked for stay."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=[""])
    only = parser.parse_args().only
    path = RESULTS / "growth.json"
    held = json.loads(path.read_text())["rows"] if path.exists() else {}
    for name, growth in GROWTHS.items():
        if any(word in name for word in only):
            held[name] = measured(growth)
            print(name, json.dumps(held[name]), flush=True)
            save("growth", {"rows": {one: held[one] for one in GROWTHS if one in held}})


if __name__ == "__main__":
    main()
