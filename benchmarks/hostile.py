"""What it costs to refuse a hostile model: CPU seconds, and how far the memory of the process rises above the size of the file.

`python -m benchmarks.hostile`: every kind of tests/harness/hostile.py, each read in a process of its own that has torch and `ddpm`
already and has read a good file, so that what Python takes to start is not counted. Linux only: the peak is /proc's VmHWM.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tests.harness import hostile

from benchmarks.machine import save
from ddpm import interop
from ddpm.errors import Failure

RESOLUTION = interop.Told((8,))


def refused(path: Path) -> tuple[str, int, float]:
    """What is said of a model, the exit code, and CPU seconds.

    Raises:
        AssertionError: it was read.
    """
    begun = time.process_time()
    try:
        interop.read(path, RESOLUTION)
    except Failure as error:
        return str(error), error.code, time.process_time() - begun
    raise AssertionError(f"this was read: {path}")


def measured(path: Path) -> Mapping[str, Any]:
    """As `refused`, in a child of this process, with the MB by which its memory rose."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        before = _status("VmRSS")
        said, code, seconds = refused(path)
        found = {"seconds": seconds, "code": code, "MB": (_status("VmHWM") - before) / 1e6, "said": said}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = json.loads(pipe.read())
    os.waitpid(child, 0)
    return found


def _status(name: str) -> int:
    """Bytes that /proc tells of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """All kinds, as a table and as a result."""
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        (good := Path(place) / "good.bin").write_bytes(hostile.saved({"a": torch.zeros(3)}))
        interop.files.weights_in(good)
        for number, kind in enumerate(hostile.KINDS):
            path, _ = hostile.made(Path(place) / str(number), kind)
            size = hostile.size_of(path) / 1e6
            found = measured(path)
            assert not (Path(place) / str(number) / "run-by-the-file").exists()
            rows[kind] = {
                **{name: round(float(found[name]), 3) for name in ("seconds", "MB")},
                "file_MB": round(size, 3),
                "code": found["code"],
            }
            said = found["said"].replace(place, "")[:70]
            print(f"{found['seconds']:8.3f} s {found['MB']:7.1f} MB of {size:7.1f}  {found['code']}  {kind}: {said}")
    slowest = max(rows, key=lambda kind: rows[kind]["seconds"])
    most = max(row["MB"] - row["file_MB"] for row in rows.values())
    print(f"slowest: {slowest}, {rows[slowest]['seconds']} s; {most:.1f} MB above the size of the file at most")
    print(save("hostile", {"kinds": rows}))


if __name__ == "__main__":
    main()
