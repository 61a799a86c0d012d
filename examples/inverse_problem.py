"""
Fill, enlarge, draw anew
========================

A trained model answers questions about images that it was never trained for: what was in the hole, what a small picture looks
like when it is large. There is more than one answer, so four are drawn. ``python inverse_problem.py [OUT [STEPS_OF_TRAINING]]``
"""

import sys
from pathlib import Path

import torch

import ddpm

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/inverse_problem")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200

# %%
# A small model of handwritten digits, and a digit that it has not seen.

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
digit = ddpm.images("digits", split="test")[3]
digit.grid(out / "1-digit.png")

# %%
# Its right half is lost. What could it have been? (The mask is white where something is to be drawn.)

mask = torch.zeros(8, 8, dtype=torch.bool)
mask[:, 4:] = True
model.inpaint(digit, mask, n=4, steps=25, resamplings=3, seed=0).grid(out / "2-filled.png")

# %%
# Only the means of 2x2 pixels are known.

means = torch.nn.functional.avg_pool2d(digit.tensor, 2)[0]
small = ((means + 1) * 127.5).round().byte()
model.super_resolve(small, n=4, factor=2, steps=25, seed=0).grid(out / "3-enlarged.png")

# %%
# Noised half of the way, and back down (SDEdit): something like it.

model.edit(digit, n=4, timestep=50, steps=25, seed=0).grid(out / "4-anew.png")
