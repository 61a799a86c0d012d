"""Real bytes of real files: our codec beside PNG, WebP, JPEG and JPEG XL, on the first images of a test set such as MNIST's.

`python -m benchmarks.codec RUN MNIST [--images 1000] [--archive 300] [--progressive 100] [--bound-images 40]`. Our files hold their
header and are read back to the pixel; seconds are those of the processor, of one thread. Others' are those of Pillow at their best
effort: each image by itself, and all in one sheet, the best of a few shapes. Progressive: what the first bytes of files show, beside
WebP, JPEG and JPEG XL at their qualities. JPEG XL is left out where pillow-jxl-plugin is not installed. Writes
benchmarks/results/codec.json, or another with --result NAME.
"""

import argparse
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ddpm
from benchmarks.machine import save
from ddpm.codec import archive
from ddpm.codec.codec import Codec
from ddpm.codec.tables import Whole
from ddpm.data.imageset import ImageSet
from ddpm.trained.archived import packed
from ddpm.trained.coded import codec_to_write
from ddpm.trained.cutting import header_size
from ddpm.trained.evaluate import given_images
from ddpm.trained.measures.other_formats import known, lossless_sizes
from ddpm.trained.measures.real_bytes import OURS, RealBytes, measure, whole_images
from ddpm.trained.model import TrainedModel

BATCH = 64
ERRORS = (22, 20, 18, 16, 14, 12, 11)
"""RMSE on 0..255 at which the lossy formats are compared."""
LARGEST = 16383
"""Of a side of a WebP picture."""


@dataclass
class Timed:
    """A network, how often it was asked, and for how many seconds."""

    network: Callable[[Tensor, Tensor], Tensor]
    seconds: float = 0.0
    calls: list[int] = field(default_factory=list)

    def __call__(self, x_t: Tensor, timestep: Tensor) -> Tensor:
        """As the network."""
        begun = time.process_time()
        output = self.network(x_t, timestep)
        self.seconds += time.process_time() - begun
        self.calls.append(len(x_t))
        return output


def timed(codec: Codec, images: Sequence[Whole]) -> tuple[list[bytes], dict[str, Any]]:
    """Files of the images, read back; and what that costs for an image."""
    found: dict[str, Any] = {}

    def clocked(name: str, work: Callable[[Codec], list[Any]]) -> list[Any]:
        network = Timed(codec.denoiser.network)
        begun = time.process_time()
        result = work(replace(codec, denoiser=replace(codec.denoiser, network=network)))
        seconds = time.process_time() - begun
        found[name] = {
            "seconds_per_image": seconds / len(images),
            "share_of_network": network.seconds / seconds,
            "times_the_network": seconds / network.seconds,
            "network_images_per_image": sum(network.calls) / len(images),
        }
        return result

    files = clocked("write", lambda timed: _in_parts(timed.compress, images))
    back = clocked("read", lambda timed: _in_parts(timed.decompress, files))
    assert all(one.exact and np.array_equal(one.pixels, x) for one, x in zip(back, images, strict=True))
    return files, found | {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _in_parts(work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
    return [one for first in range(0, len(items), BATCH) for one in work(items[first : first + BATCH])]


def sheets(images: Sequence[Whole]) -> Iterator[tuple[str, Whole]]:
    """All images in one picture: square, narrower, a column, a row, and each image as a line of its pixels."""
    channels, height, width = images[0].shape
    square = math.ceil(math.sqrt(len(images)))
    for columns in dict.fromkeys((square, max(1, square // 4), 1, len(images))):
        rows = math.ceil(len(images) / columns)
        if max(rows * height, columns * width) <= LARGEST:
            sheet = np.zeros((channels, rows * height, columns * width), dtype=np.int64)
            for number, image in enumerate(images):
                top, left = number // columns * height, number % columns * width
                sheet[:, top : top + height, left : left + width] = image
            yield f"{rows} x {columns}", sheet
    if max(len(images), height * width) <= LARGEST:
        yield "a line each", np.stack([image.reshape(channels, -1) for image in images], axis=1)


def best_sheets(images: Sequence[Whole], levels: int) -> dict[str, dict[str, Any]]:
    """Of each lossless format its best sheet."""
    best: dict[str, dict[str, Any]] = {}
    for shape, sheet in sheets(images):
        for name, size in lossless_sizes(sheet, levels, known()).items():
            if name not in best or size < best[name]["bytes"]:
                best[name] = {"bytes": size, "bits_per_dim": 8 * size / (len(images) * images[0].size), "shape": shape}
    return best


def lossless(files: Sequence[bytes], images: Sequence[Whole], levels: int) -> dict[str, Any]:
    """Bits/dim of single files, headers included."""
    sizes = [lossless_sizes(image, levels, known()) for image in images]
    mean = {OURS: np.mean([len(file) for file in files])}
    mean |= {name: np.mean([one[name] for one in sizes]) for name in sizes[0]}
    best = min(value for name, value in mean.items() if name != OURS)
    return {
        "bits_per_dim": {name: float(8 * value / images[0].size) for name, value in mean.items()},
        "of_the_best_other": float(mean[OURS] / best),
    }


def progressive(real: RealBytes) -> dict[str, Any]:
    """The curves, and bytes at equal errors."""
    errors = [point.rmse for point in real.curves[OURS]]
    rows = [{"rmse": rmse, "bytes": {name: real.bytes_at(rmse, name) for name in real.curves}} for rmse in ERRORS]
    for row in rows:
        row["of_webp"] = row["bytes"][OURS] / row["bytes"]["WebP"]
    return {
        "images": real.images,
        "never_more_error": all(b <= a for a, b in pairwise(errors)),
        "at_equal_rmse": rows,
        "most_of_webp": max(row["of_webp"] for row in rows),
        "curves": real.as_json()["curves"],
    }


def above_the_bound(model: TrainedModel, files: Sequence[bytes], images: ImageSet, steps: int | None) -> dict[str, Any]:
    """The bound of some images, and how many times it their files take."""
    some = model.bits_per_dim(ddpm.Images(images.scaled(), images.levels), steps=steps, progress=False)
    real = 8 * float(np.mean([len(file) for file in files[: len(images)]])) / some.dims
    return {
        "images": some.images,
        "T": some.T,
        "bits_per_dim": some.total,
        "stderr": some.stderr,
        "files_bits_per_dim": real,
        "times_the_bound": real / some.total,
    }


def archived(model: TrainedModel, whole: Sequence[Whole]) -> tuple[int, dict[str, float]]:
    """How many bytes an archive of images has, and how long it takes to write and to read."""
    codec = codec_to_write(model.loaded, chain=True)
    began = time.process_time()
    file = packed(codec, archive.coded(codec, (("", image) for image in whole)))
    written = time.process_time()
    for (_, found), image in zip(archive.read(codec, archive.unpack(file)), whole, strict=True):
        assert np.array_equal(found, image)
    return len(file), {"write": written - began, "read": time.process_time() - written}


def report(model: TrainedModel, data: str, counts: Mapping[str, int], steps: int | None) -> dict[str, Any]:
    """All of it, of so many `images`, those of the `progressive` part and those of the `bound`."""
    images = given_images(model.loaded, data, "test")
    first = {name: images.take(torch.arange(min(count, len(images)))) for name, count in counts.items()}
    codec, whole = codec_to_write(model.loaded), whole_images(first["images"])
    codec.compress(whole[:1])  # the network's first call is slower
    files, speed = timed(codec, whole)
    packed_whole = whole[: counts["archive"]]
    single = lossless(files, whole, model.levels)
    print(single, speed, flush=True)
    together, seconds = archived(model, packed_whole)
    return {
        "images": f"the first {len(whole)} of the test set",
        "run": {"steps": model.step, "parameters": sum(one.numel() for one in model.network.parameters())},
        "calls": len(codec.profile.noisy) - 1 + len(codec.profile.fine),
        "header_bytes": float(np.mean([header_size(file) for file in files])),
        "lossless": single,
        "archive_images": len(packed_whole),
        "archive_bits_per_dim": 8 * together / (len(packed_whole) * whole[0].size),
        "archive_seconds": seconds,
        "sheets": best_sheets(packed_whole, model.levels),
        "bound": above_the_bound(model, files, first["bound"], steps),
        "speed": speed,
        "progressive": progressive(measure(codec, first["progressive"], BATCH, lambda parts, _count: parts)),
    }


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument(
        "--archive", type=int, default=300, help="how many of the images are in the archive and in the sheets"
    )
    parser.add_argument("--progressive", type=int, default=100)
    parser.add_argument("--bound-images", type=int, default=40, help="on how many of the images the bound is measured")
    parser.add_argument("--steps", type=int, help="of the bound's chain (all)")
    parser.add_argument("--result", default="codec", help="name of the file in benchmarks/results (codec)")
    options = parser.parse_args()
    counts = {"images": options.images, "progressive": options.progressive}
    counts |= {"archive": min(options.archive, options.images), "bound": min(options.bound_images, options.images)}
    found = report(ddpm.load(options.run), str(options.data), counts, options.steps)
    print(found["lossless"], found["bound"]["times_the_bound"], found["progressive"]["most_of_webp"])
    print(save(options.result, found))


if __name__ == "__main__":
    main()
