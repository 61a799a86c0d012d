"""Real bytes of real files: our codec beside PNG, WebP and JPEG on MNIST's test images.

`python -m benchmarks.codec RUN MNIST [--images 100]`. RUN is a trained model of 28x28 grey images; its files hold the header
and were read back to the pixel. Others' files are those of Pillow at their best effort, each image by itself, and all in one
sheet. Lossy: the mean RMSE (0..255) of the first N bytes of our files, and the bytes that WebP and JPEG take for no more.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ddpm
from benchmarks.machine import save
from ddpm.codec.codec import Codec
from ddpm.codec.denoiser import Remembering
from ddpm.codec.profile import Profile
from ddpm.data.open import open_source
from ddpm.trained.coding import codec_of

PREFIXES = range(16, 257, 16)


def pillow(pixels: np.ndarray, kind: str, **how: Any) -> bytes:
    """One picture in another format."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **how)
    return stream.getvalue()


LOSSLESS: dict[str, Callable[[np.ndarray], bytes]] = {
    "PNG": lambda pixels: pillow(pixels, "PNG", optimize=True),
    "WebP lossless": lambda pixels: pillow(pixels, "WEBP", lossless=True, quality=100, method=6, exact=True),
}
LOSSY: dict[str, tuple[str, dict[str, Any]]] = {"WebP": ("WEBP", {"method": 6}), "JPEG": ("JPEG", {"optimize": True})}


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """On the scale of 0..255."""
    return float(np.sqrt(np.mean((a.astype(float) - b.astype(float)) ** 2)))


def curve(kind: str, how: dict[str, Any], images: np.ndarray) -> list[dict[str, float]]:
    """Bytes and RMSE of another format, in the mean over images, at its qualities."""
    found = []
    for quality in (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100):
        files = [pillow(one, kind, quality=quality, **how) for one in images]
        back = [np.asarray(Image.open(io.BytesIO(file)).convert("L")) for file in files]
        errors = [rmse(*pair) for pair in zip(images, back, strict=True)]
        found.append({"quality": quality, "bytes": statistics.mean(map(len, files)), "rmse": statistics.mean(errors)})
    return found


class Remembered(Remembering):
    """Longer beginnings of a file ask the network what shorter ones asked."""

    @property
    def profile(self) -> Profile:
        """As the denoiser's own."""
        return self.denoiser.profile


def prefixes(codec: Codec, files: list[bytes], images: np.ndarray) -> list[dict[str, float]]:
    """Of the first N bytes of our files."""
    remembered = Codec(Remembered(codec.denoiser), codec.name)
    found = []
    for length in PREFIXES:
        back = remembered.decompress(files, length)
        errors = [rmse(one[0], shown.pixels[0]) for one, shown in zip(images, back, strict=True)]
        exact = sum(one.exact for one in back) / len(back)
        found.append({"bytes": length, "rmse": statistics.mean(errors), "exact": exact})
    return found


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    model = ddpm.load(options.run)
    codec = codec_of(model.loaded)
    images = open_source(str(options.data), "test").images[: options.images].numpy()
    begun = time.perf_counter()
    files = codec.compress([one.astype(np.int64) for one in images])
    written = time.perf_counter()
    back = codec.decompress(files)
    read = time.perf_counter()
    assert all(one.exact and np.array_equal(one.pixels, x) for one, x in zip(back, images, strict=True))
    pixels = images[:, 0]
    side = int(np.ceil(np.sqrt(len(pixels))))
    sheet = np.zeros((side * 28, side * 28), dtype=np.uint8)
    for number, one in enumerate(pixels):
        row, column = divmod(number, side)
        sheet[28 * row : 28 * row + 28, 28 * column : 28 * column + 28] = one
    bound = model.bits_per_dim(str(options.data), num_images=options.images, progress=False)
    per_pixel = 8 / (784 * len(pixels))
    save(
        "codec",
        {
            "images": f"the first {len(pixels)} of the test set",
            "run": {"steps": model.step, "parameters": sum(one.numel() for one in model.network.parameters())},
            "bound": {"bits_per_dim": bound.total, "stderr": bound.stderr, "T": model.schedule.T},
            "calls": len(codec.profile.noisy) - 1 + len(codec.profile.fine),
            "bits_per_pixel": {
                "ours": sum(map(len, files)) * per_pixel,
                **{name: sum(len(write(one)) for one in pixels) * per_pixel for name, write in LOSSLESS.items()},
            },
            "sheet": {name: 8 * len(write(sheet)) / (784 * len(pixels)) for name, write in LOSSLESS.items()},
            "seconds_per_image": {"write": (written - begun) / len(pixels), "read": (read - written) / len(pixels)},
            "prefixes": prefixes(codec, files, images),
            "others": {name: curve(kind, how, pixels) for name, (kind, how) in LOSSY.items()},
        },
    )


if __name__ == "__main__":
    main()
