"""What data in files cost: the index, a start that finds it ready, and batches read by 0, 1 and 2 processes.

`python -m benchmarks.data_loading --images 50000` makes that many PNGs of noise, 32x32, in a temporary folder, and writes
results/data_loading.json. Reading is measured alone, as a training step would wait for it that takes no time, and beside
one that takes as long as 20 ms of another process's work would: asleep.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import save
from ddpm.data.batches import Batches, horizontal_flip
from ddpm.data.indexing.index import cache_file
from ddpm.data.open import open_source
from ddpm.data.sources.folder import parts
from ddpm.data.splits import Options

BATCH, STEPS, PAUSE = 128, 60, 0.02


def pictures(folder: Path, count: int):
    random = np.random.RandomState(0)
    for i in range(count):
        place = folder / f"{i % 100:02d}"
        place.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (32, 32, 3), dtype=np.uint8)).save(place / f"{i:06d}.png")


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def steps_per_second(batches: Batches, pause: float):
    """After the first, which starts the processes."""
    _ = batches[0]

    def run():
        for step in range(1, STEPS + 1):
            _ = batches[step]
            time.sleep(pause)

    return STEPS / seconds(run)


def read_by(folder: Path, options: Options):
    images = open_source(str(folder), "all", options)
    batches = Batches(images, BATCH, 0, horizontal_flip)
    found = {"alone": steps_per_second(batches, 0.0), "beside_20_ms": steps_per_second(batches, PAUSE)}
    images.close()
    return found


def measured(folder: Path, count: int):
    index = seconds(lambda: parts(folder).listing("all").looked_through())
    in_files = Options(in_memory=0, workers=0)
    result = {
        "images": count,
        "cores": os.cpu_count(),
        "index_microseconds_per_image": 1e6 * index / count,
        "index_bytes_per_image": cache_file(folder).stat().st_size / count,
        "start_seconds_warm_in_files": seconds(lambda: open_source(str(folder), "all", in_files)),
        "start_seconds_warm_in_memory": seconds(lambda: open_source(str(folder), "all")),
        "steps_per_second": {"memory": read_by(folder, Options())},
    }
    for workers in (0, 1, 2):
        result["steps_per_second"][f"{workers} workers"] = read_by(folder, Options(in_memory=0, workers=workers))
    return result


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--images", type=int, default=50_000)
    count = flags.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        os.environ["DDPM_CACHE"] = os.path.join(name, "cache")
        folder = Path(name) / "images"
        folder.mkdir()
        pictures(folder, count)
        result = measured(folder, count)
    print(save("data_loading", {"batch_size": BATCH, **result}).read_text())


if __name__ == "__main__":
    main()
