"""JPEGs that are made as photographs are: power falls with the square of the frequency, and things with edges lie upon it."""

import io

import numpy as np
from PIL import Image


def photo(seed, side, quality=90):
    """The bytes of a square JPEG in colour."""
    random = np.random.default_rng(seed)
    along = np.fft.fftfreq(side)
    radius = np.hypot(along[:, None], along[None, :])
    radius[0, 0] = 1

    def clouds():
        found = np.real(np.fft.ifft2(np.fft.fft2(random.normal(size=(side, side))) / radius))
        return found / found.std()

    light = clouds()
    pixels = np.stack([128 + 45 * light + 20 * clouds() for _ in range(3)], axis=-1)
    down, across = np.mgrid[:side, :side] / side
    for _ in range(12):
        x, y, size = random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.02, 0.2)
        pixels[(across - x) ** 2 + (down - y) ** 2 < size**2] += random.normal(0, 50, 3)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return file.getvalue()
