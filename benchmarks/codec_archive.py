"""An archive of many images, read back to the pixel, beside the same images in one sheet of PNG, WebP and JPEG XL.

`python -m benchmarks.codec_archive RUN MNIST [--images 1000]`, of the first images of a test set. Bytes hold all headers; seconds are
those of the processor, of one thread. JPEG XL is left out where pillow-jxl-plugin is not installed. Writes
benchmarks/results/codec_archive.json.
"""

import argparse
from pathlib import Path

import torch

import ddpm
from benchmarks.codec import archived, best_sheets
from benchmarks.machine import save
from ddpm.trained.evaluate import given_images
from ddpm.trained.measures.real_bytes import whole_images


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    model = ddpm.load(options.run)
    images = given_images(model.loaded, str(options.data), "test")
    whole = whole_images(images.take(torch.arange(min(options.images, len(images)))))
    size, seconds = archived(model, whole)
    found = {
        "images": len(whole),
        "run": options.run,
        "bytes": size,
        "bits_per_dim": 8 * size / (len(whole) * whole[0].size),
        "seconds": seconds,
        "sheets": best_sheets(whole, model.levels),
    }
    print(found)
    print(save("codec_archive", found))


if __name__ == "__main__":
    main()
