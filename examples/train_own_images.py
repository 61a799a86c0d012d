"""
Train on a folder of images
===========================

From a folder of pictures to new pictures. Give your own folder as the second argument; without one, this program paints a
small one: bright discs on dark ground. ``python train_own_images.py [OUT [PHOTOS [STEPS]]]``
"""

import sys
from pathlib import Path

import torch

import ddpm

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/train_own_images")
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 250
out.mkdir(parents=True, exist_ok=True)

# %%
# Pictures to learn from: 200 discs, each at a place of its own.


def discs(number: int, size: int = 16) -> torch.Tensor:
    """(N, size, size) of 0..255."""
    random = torch.Generator().manual_seed(0)
    x, y = (torch.rand(number, 1, 1, generator=random) * 8 + 4 for _ in "xy")
    line = torch.arange(size)
    distance = ((line[None, None, :] - x) ** 2 + (line[None, :, None] - y) ** 2).sqrt()
    return ((3.5 - distance).clamp(0, 1) * 255).round().byte()


if len(sys.argv) > 2:
    photos = Path(sys.argv[2])
else:
    photos = out / "photos"
    if not photos.exists():
        ddpm.images(discs(200)).save(photos)
ddpm.images(photos)[:16].grid(out / "1-trained-on.png")

# %%
# Training is one call. The same call again goes on, or finds that nothing is left to do.

model = ddpm.fit(
    photos,
    out / "run",
    steps=steps,
    batch_size=16,
    lr=2e-3,
    resolution=16,
    prediction="v",
    settings={
        "schedule.name": "cosine",
        "schedule.T": 100,
        "model.channels": 16,
        "model.multipliers": (1, 2),
        "model.groups": 8,
        "model.attention": (),
        "model.blocks": 1,
        "model.dropout": 0.0,
        "training.warmup": 20,
        "training.ema_decay": 0.98,
        "data.augmentation": "none",
        "rhythm.evaluate": 0,
        "rhythm.sample": 0,
    },
)

# %%
# New ones. Image i depends on the seed and on i alone. (``images.save(folder)`` writes a PNG for each.)

images = model.sample(16, seed=0)
images.grid(out / "2-new.png")

# %%
# How many bits does a pixel take that was held out?

bound = model.bits_per_dim(photos, num_images=10)
print(f"{bound.total:.2f} ± {bound.stderr:.2f} bits/dim")
