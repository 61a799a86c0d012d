"""What large JPEGs cost that are trained on small: the index and the first epoch, the second one, and those of another start.

`python -m benchmarks.large_images --images 400` makes that many JPEGs of 1024x1024 in a temporary folder, as photographs are made,
and writes results/large_images.json: milliseconds of processor time for an image of an epoch, with that of the processes which
decode, as medians of rounds in which all take turns. Beside ours stands what the data set of lucidrains' denoising-diffusion-pytorch
does for an image: PIL opens it, torchvision resizes the shorter side (on a PIL image, that is `Image.resize` with BILINEAR and nothing
else), cuts out the centre, mirrors it by chance and makes a tensor of it. torchvision is not needed here: it is written out.
"""

import argparse
import io
import os
import random
import resource
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.harness.photos import photo

from benchmarks.machine import save
from ddpm.data.batches import Batches, horizontal_flip
from ddpm.data.open import open_source
from ddpm.data.splits import Options

LARGE, SIDE, BATCH, BASES, QUALITY = 1024, 32, 16, 4, 75


def pictures(folder: Path, count: int):
    """A few photographs, shifted and mirrored: every file has other bytes."""
    bases = [np.asarray(Image.open(io.BytesIO(photo(seed, LARGE, 95)))) for seed in range(BASES)]
    shifts = np.random.RandomState(0).randint(0, LARGE, (count, 2))
    for i, shift in enumerate(shifts.tolist()):
        pixels = np.roll(bases[i % BASES], shift, axis=(0, 1))[:, :: 1 - 2 * (i % 2)]
        Image.fromarray(pixels).save(folder / f"{i:05d}.jpg", quality=QUALITY)


def processor_seconds():
    """Of this process, and of those that it has started and that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def theirs(file: Path):
    image = Image.open(file)
    width, height = image.size
    short = min(width, height)
    image = image.resize((SIDE * width // short, SIDE * height // short), Image.Resampling.BILINEAR)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    image = image.crop((left, top, left + SIDE, top + SIDE))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)


def their_epoch(folder: Path):
    files = sorted(folder.iterdir())
    random.shuffle(files)
    for start in range(0, len(files), BATCH):
        _ = torch.stack([theirs(file) for file in files[start : start + BATCH]]) * 2 - 1


class Ours:
    """A start of ours: what `open_source` gives, and the epochs that are read of it."""

    def __init__(self, folder: Path, cache: Path, options: Options):
        os.environ["DDPM_CACHE"] = str(cache)
        self.folder, self.options = folder, options
        self.images = None

    def epoch(self, number: int):
        """All images once, in batches."""
        if self.images is None:
            self.images = open_source(str(self.folder), "all", self.options)
        batches = Batches(self.images, BATCH, 0, horizontal_flip)
        steps = len(self.images) // BATCH
        for step in range(number * steps, (number + 1) * steps):
            _ = batches[step]

    def close(self):
        """Write down what is to be found by another start."""
        self.images.close()


WAYS = {
    "in memory": Options(resolution=(SIDE, SIDE)),
    "in files": Options(resolution=(SIDE, SIDE), in_memory=0, workers=0),
    "in memory, data.decoding=full": Options(resolution=(SIDE, SIDE), decoding="full"),
}


def measured(call):
    before = processor_seconds()
    call()
    return processor_seconds() - before


def a_round(folder: Path, place: Path):
    """Seconds of each way and of lucidrains', epoch by epoch, and of another start's first epoch."""
    found = {}
    for way, options in WAYS.items():
        cache = place / way
        first = Ours(folder, cache, options)
        times = {"index and first epoch": measured(lambda first=first: first.epoch(0))}
        times["second epoch"] = measured(lambda first=first: first.epoch(1))
        first.close()
        again = Ours(folder, cache, options)
        times["first epoch of another start"] = measured(lambda again=again: again.epoch(0))
        again.close()
        found[way] = times
        found.setdefault("lucidrains", {})[f"beside {way}"] = measured(lambda: their_epoch(folder))
    return found


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--images", type=int, default=400)
    flags.add_argument("--rounds", type=int, default=3)
    flags = flags.parse_args()
    torch.set_num_threads(1)
    count = flags.images - flags.images % BATCH
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        pictures(folder, count)
        size = sum(file.stat().st_size for file in folder.iterdir()) / count
        rounds = [a_round(folder, Path(name) / f"cache-{number}") for number in range(flags.rounds)]
    peer = 1e3 * statistics.median(time for one in rounds for time in one["lucidrains"].values()) / count
    ours = {
        way: {part: 1e3 * statistics.median(one[way][part] for one in rounds) / count for part in rounds[0][way]}
        for way in WAYS
    }
    for times in ours.values():
        two = times["index and first epoch"] + times["second epoch"]
        times["two epochs with the index / lucidrains"] = two / (2 * peer)
    about = {"images": count, "side": LARGE, "wanted": SIDE, "bytes_per_image": size, "rounds": flags.rounds}
    found = {"milliseconds_per_image": ours, "lucidrains_milliseconds_per_image": peer}
    print(save("large_images", {**about, **found}).read_text())


if __name__ == "__main__":
    main()
