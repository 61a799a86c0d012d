"""Three files of version 1, whose bytes may never change: their network and profile are a formula, so nothing is downloaded.

`python -m tests.codec.golden` writes them anew, for a version of the format that is not published yet.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ddpm.codec.calibrate import Plan, calibrated
from ddpm.codec.codec import Codec
from ddpm.codec.denoiser import Denoiser
from ddpm.codec.exact import exact
from ddpm.codec.profile import Profile
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from tests.codec.networks import weighted

FOLDER = Path(__file__).parent / "golden"


class Nearly(nn.Module):
    """What is seen, and a U-Net with attention that knows nothing: a poor estimate of x_0."""

    def __init__(self):
        super().__init__()
        shape = UNetShape(channels=4, multipliers=(1, 2), blocks=1, groups=2, dropout=0.0)
        self.unet = weighted(UNet(shape, inputs=1, outputs=1))

    def forward(self, x_t, timestep):
        return x_t + self.unet(x_t, timestep) / 128


def pictures():
    """A slope with waves, 1 x 8 x 8; two of them with something missing, 1 x 15 x 8; and noise, which is stored."""
    i, j = np.mgrid[:8, :8]
    waves = 128 + 3 * i - 4 * j + (i * i * 7 + j * 5 + i * j * 3) % 6
    both = np.concatenate([waves + 5, waves[:7] - 9])
    noise = (np.arange(64) ** 3 * 73 + np.arange(64) * 19) % 251
    return {"waves": waves[None], "tiles": both[None], "noise": noise.reshape(1, 8, 8)}


def codec():
    """As the profile that is kept says."""
    profile = Profile.parse(json.loads((FOLDER / "profile.json").read_text()))
    return Codec(Denoiser(exact(Nearly()), profile), profile.digest("formula"))


def write():
    """Profile and files."""
    FOLDER.mkdir(exist_ok=True)
    x = np.stack([pictures()["waves"].ravel() + k for k in range(-8, 8)])
    p = ReverseProcess(Nearly(), linear(), X0())
    with torch.no_grad():
        profile = calibrated(p, x, (1, 8, 8), 256, Plan((0.06, 0.03), 4.0, 8), exact=True)
    (FOLDER / "profile.json").write_text(json.dumps(asdict(profile)) + "\n")
    for name, file in zip(pictures(), codec().compress(list(pictures().values())), strict=True):
        (FOLDER / f"{name}.ddpm").write_bytes(file)


if __name__ == "__main__":
    write()
