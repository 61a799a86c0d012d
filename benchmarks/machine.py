"""What a result must carry: the command, the commit, the machine and the versions."""

import json
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ddpm.storage.atomic import write_text

RESULTS = Path(__file__).parent / "results"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit() -> str:
    """That of the sources and scripts, and whether they were changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "benchmarks/*.py")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def _versions(*packages: str) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _without_folders(word: str) -> str:
    """A path of this machine says nothing elsewhere: its last name does."""
    return Path(word).name if Path(word).is_absolute() else word


def save(name: str, result: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json."""
    path = RESULTS / f"{name}.json"
    about = {
        "command": " ".join(
            ["python -m", "benchmarks." + Path(sys.argv[0]).stem, *map(_without_folders, sys.argv[1:])]
        ),
        "commit": commit(),
        "processor": _processor(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "versions": _versions(
            "torch",
            "numpy",
            "safetensors",
            "diffusers",
            "torch-fidelity",
            "torchmetrics",
            "pillow",
            "pillow-jxl-plugin",
            "constriction",
        ),
    }
    write_text(path, json.dumps({"about": about, **result}, indent=1) + "\n")
    return path
