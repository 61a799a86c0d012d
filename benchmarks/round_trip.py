"""Every image of a data set through the codec and back: how many are the same, how many are stored, how many bytes there are.

`python -m benchmarks.round_trip RUN DATA [--split test] [--images 10000]`. Every tenth file is also cut at a place of its own and read,
and a bit of it is flipped and it is read again. Any image of the run's size will do: one that the model does not know is stored. Writes
benchmarks/results/round_trip.json.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ddpm
from benchmarks.machine import save
from ddpm.codec import container
from ddpm.codec.codec import Codec
from ddpm.codec.tables import Whole
from ddpm.errors import DataError, Mismatch
from ddpm.trained.coded import codec_to_write
from ddpm.trained.evaluate import given_images
from ddpm.trained.measures.real_bytes import whole_images

BATCH = 64
HARMED = 10
"""One file of so many is cut, and damaged."""


def there_and_back(codec: Codec, images: Sequence[Whole], told: Counter[str]) -> None:
    """Counts what becomes of some images, their files, beginnings of them and damaged ones."""
    files = codec.compress(images)
    for file, found, image in zip(files, codec.decompress(files), images, strict=True):
        told["images"] += 1
        told["bytes"] += len(file)
        told[container.CODINGS[container.unpack(file)[0].coding]] += 1
        told["the same"] += found.exact and np.array_equal(found.pixels, image)
        if told["images"] % HARMED:
            continue
        place = int(image.sum()) * 7919
        flipped = bytearray(file)
        flipped[place % len(file)] ^= 1 << place % 8
        for name, other in (("cut", file[: place % len(file)]), ("flipped", bytes(flipped))):
            told[f"{name}: {outcome(codec, other, image)}"] += 1


def outcome(codec: Codec, file: bytes, image: Whole) -> str:
    """What a reader makes of a harmed file."""
    try:
        (found,) = codec.decompress([file])
    except (DataError, Mismatch):
        return "refused"
    if not found.exact:
        return "an estimate"
    return "the image" if np.array_equal(found.pixels, image) else "another image"


def report(codec: Codec, images: Sequence[Whole]) -> dict[str, Any]:
    """All of them, in batches."""
    told: Counter[str] = Counter()
    for first in range(0, len(images), BATCH):
        there_and_back(codec, images[first : first + BATCH], told)
        if first % (20 * BATCH) == 0:
            print(dict(told), flush=True)
    return dict(sorted(told.items()))


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    model = ddpm.load(options.run)
    images = given_images(model.loaded, str(options.data), options.split)
    images = images.take(torch.arange(min(options.images, len(images))))
    told = report(codec_to_write(model.loaded), whole_images(images))
    about = {"steps": model.step, "image": list(model.shape), "split": options.split}
    print(save("round_trip", {"run": about, "told": told}))
    if told["images"] != told["the same"] or any(name.endswith("another image") for name in told):
        raise SystemExit("some came back changed")


if __name__ == "__main__":
    main()
