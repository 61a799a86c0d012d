"""
Sample in three ways
====================

One network, three samplers: all 100 steps of the paper's Algorithm 2, 20 steps of DDIM, and 20 of DPM-Solver with noise.
``python sample_three_ways.py [OUT [STEPS_OF_TRAINING]]``
"""

import sys
import time
from pathlib import Path

import torch

import ddpm

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/sample_three_ways")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200

# %%
# A small model of handwritten digits. With ``ddpm.load("runs/demo")`` you would take a better one.

model = ddpm.fit(
    "digits",
    out / "run",
    steps=steps,
    batch_size=32,
    settings={
        "schedule.T": 100,
        "model.channels": 16,
        "model.blocks": 1,
        "training.warmup": 20,
        "training.ema_decay": 0.98,
        "rhythm.evaluate": 0,
        "rhythm.sample": 0,
    },
)

# %%
# The same seed is the same starting noise for all three.

ways = {
    "1-ancestral-100": {"sampler": "ancestral"},
    "2-ddim-20": {"sampler": ddpm.DDIM(eta=0.0), "steps": 20},
    "3-solver-20": {"sampler": "dpm-solver-sde", "steps": 20, "spacing": "trailing"},
}
for name, way in ways.items():
    begin = time.perf_counter()
    model.sample(16, seed=0, progress=False, **way).grid(out / f"{name}.png")
    print(f"{name}: {time.perf_counter() - begin:.1f} s")

# %%
# What the network thinks the image will be, on the way: one row for each image, from noise on the left to the end.

steps_of_four = model.chain(4, sampler=ddpm.DDIM(), steps=8, seed=0, progress=False)
estimates = torch.stack([drawn.x_0 for drawn in steps_of_four], dim=1)  # image, step, channel, height, width
ddpm.Images(estimates.flatten(0, 1), model.levels).grid(out / "4-estimates.png", columns=8)
