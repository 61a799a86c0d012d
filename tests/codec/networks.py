"""Networks whose weights are a formula, and what they say in exact arithmetic: the program that other machines' settings run."""

import hashlib
import json
import sys
from functools import cache

import numpy as np
import torch

from ddpm.codec.exact import exact
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet

SHAPES = {
    "paper": dict(channels=8, multipliers=(1, 2), blocks=1, attention=(1,), groups=8),
    "scale and shift": dict(
        channels=8, multipliers=(1, 2), blocks=1, attention=(), groups=4, scale_shift=True, heads=2
    ),
    "resampling blocks": dict(channels=8, multipliers=(1, 1.5), blocks=1, groups=4, resample="block", head_channels=4),
    "classes": dict(channels=8, multipliers=(1, 2), blocks=1, attention=(0,), groups=4, classes=3, cosines_first=True),
    "padded around": dict(channels=6, multipliers=(1, 2, 2), blocks=1, attention=(1,), groups=2, padding="around"),
}
SIDES = {"padded around": (5, 7)}
"""Others have 6 x 6."""


def unet(name, outputs=1):
    """A U-Net of 1 channel, with weights as large as trained ones."""
    network = UNet(UNetShape(dropout=0.1, **SHAPES[name]), inputs=1, outputs=outputs)
    return weighted(network)


def weighted(network):
    """Weights that look random, each a function of its place; also those that begin as 0."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            place = np.arange(1, parameter.numel() + 1, dtype=np.float64)
            values = np.modf(place * 0.6180339887498949 + number * 0.7548776662466927)[0] * 2 - 1
            fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 4
            scale = 1.5 / np.sqrt(fan_in)
            middle = 1.0 if parameter.ndim == 1 and number % 2 == 0 else 0.0
            parameter.copy_(torch.from_numpy(middle + scale * values).reshape(parameter.shape).float())
    return network.eval()


def noise(name, many, channels=1):
    """(many, channels, H, W) by numpy's generator: torch's own differs between instruction sets."""
    sides = SIDES.get(name, (6, 6))
    return torch.from_numpy(np.random.default_rng(5).normal(size=(many, channels, *sides)))


@cache
def said(many, batch):
    """SHA-256 of what each network says of so many images, `batch` at a time; of what the paper's says in float32; and of what
    the golden files are read as.
    """
    found = {}
    for name in SHAPES:
        whole, network = noise(name, many), unet(name, outputs=2)
        run = exact(network)
        found[name] = _hash(run, whole, batch)
        if name == "paper":
            with torch.no_grad():
                found["float32"] = _hash(network, whole.float(), batch)
    if batch in (1, many):
        found["files"] = files()
    return found


def files():
    """SHA-256 of the images that the golden files hold, as they are read here."""
    from tests.codec import golden  # which takes `weighted` from here

    read = golden.codec().decompress([path.read_bytes() for path in sorted(golden.FOLDER.glob("*.ddpm"))])
    assert all(one.exact for one in read)
    return hashlib.sha256(b"".join(one.pixels.tobytes() for one in read)).hexdigest()


def _hash(run, whole, batch):
    parts = [run(part, torch.full((len(part),), 137)) for part in whole.split(batch)]
    return hashlib.sha256(torch.cat(parts).numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps({batch: said(int(sys.argv[2]), int(batch)) for batch in sys.argv[3:]}))
