"""Compressed files read elsewhere: other numbers of threads, batches, instruction sets and builds of torch.

`python -m benchmarks.codec_elsewhere DATA [RUN] [--images 16] [--other PYTHON ...]`: each PYTHON is of an environment with
another torch and the package's dependencies. In each setting a process of its own writes files and an archive of the first test
images, and odd pictures, and reads those that the first setting wrote. It compares the bytes, and each picture to the pixel.
Writes benchmarks/results/codec_elsewhere.json.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import ddpm
from benchmarks.machine import save
from ddpm.errors import Failure
from ddpm.trained.evaluate import given_images

NARROW = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}


@dataclass(frozen=True)
class Setting:
    """Where files are written and read."""

    python: str = sys.executable
    threads: int = 1
    batch: int = 64
    variables: Mapping[str, str] = field(default_factory=dict)


def settings(others: list[str]) -> dict[str, Setting]:
    """By name; the first one's files are those that all read."""
    found = {
        "1 thread, batch 64": Setting(),
        "2 threads": Setting(threads=2),
        "batch 1": Setting(batch=1),
        "batch 7": Setting(batch=7),
        "AVX2": Setting(variables=NARROW),
        "no vectors": Setting(variables=PLAIN),
    }
    for python in others:
        code = "import torch; print(torch.__version__)"
        asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        version = asked.stdout.strip()
        found[f"torch {version}"] = Setting(python)
        found[f"torch {version}, AVX2, batch 7"] = Setting(python, batch=7, variables=NARROW)
    return found


def pictures(model: ddpm.TrainedModel, data: str, count: int) -> list[torch.Tensor]:
    """Test images; black, white, a checkerboard and noise; and a larger one, in tiles."""
    images = given_images(model.loaded, data, "test")
    first = images.take(torch.arange(count)).tensor()
    channels, height, width = first.shape[1:]
    board = (torch.arange(height)[:, None] + torch.arange(width)) % 2 * 255
    noise = torch.randint(0, 256, (channels, height, width), generator=torch.Generator().manual_seed(0))
    odd = [torch.zeros_like(first[0]), torch.full_like(first[0], 255), board.expand_as(first[0]), noise]
    wide = torch.cat([first[0], first[1], first[2][:, :, :9]], dim=2)
    return [one.to(torch.uint8) for one in (*first, *odd, wide)]


def told(options: argparse.Namespace) -> dict[str, Any]:
    """The other side: write all, and read what lies in the folder, if anything does."""
    torch.set_num_threads(options.threads)
    model = ddpm.load(options.run)
    asked = {"batch_size": options.batch, "progress": False}
    whole = pictures(model, str(options.data), options.images)
    files = [model.compress(one[None], **asked)[0] for one in whole[-1:]]
    files += model.compress(torch.stack(whole[:-1]), **asked)
    archive = model.archive(torch.stack(whole[:-1]), progress=False)
    whole = whole[-1:] + whole[:-1]
    if options.write:
        for number, file in enumerate((*files, archive)):
            (options.folder / f"{number:03d}").write_bytes(file)
    found = {"exact": 0, "refused": 0, "wrong": 0}
    held = [path.read_bytes() for path in sorted(options.folder.iterdir())]
    for file, expected in zip(held, [*((one,) for one in whole), whole[1:]], strict=True):
        try:
            images = model.decompress(file, **asked)
        except Failure:
            found["refused"] += 1
            continue
        same = np.array_equal(torch.stack(list(expected)).movedim(1, 3).numpy(), images.numpy())
        found["exact" if same else "wrong"] += 1
    digest = hashlib.sha256(b"".join((*files, archive))).hexdigest()
    vectors = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "vectors": vectors, "written": digest, "read": found}


def asked_of(setting: Setting, options: argparse.Namespace, folder: Path, *, write: bool) -> dict[str, Any]:
    """What a process with this setting says."""
    command = [setting.python, "-m", "benchmarks.codec_elsewhere", str(options.data), options.run]
    command += ["--images", str(options.images), "--threads", str(setting.threads), "--batch", str(setting.batch)]
    command += ["--folder", str(folder), *(["--write"] if write else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads), **setting.variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Ask each, compare, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("run", nargs="?", default="ddpm:mnist")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--other", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(told(options)))
        return
    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        for name, setting in settings(options.other).items():
            answer = asked_of(setting, options, Path(folder), write=not found)
            answer["same bytes written"] = answer["written"] == next(iter(found.values()), answer)["written"]
            found[name] = answer
            print(name, json.dumps(answer), flush=True)
    result = {"run": options.run, "images": options.images, "settings": found}
    print(save("codec_elsewhere", result))


if __name__ == "__main__":
    main()
