"""
The bits of your own network
============================

Any module is a network. This one is six lines, is trained by Algorithm 1, and gets an exact bound on the bits of each image.
``python bits_of_a_custom_network.py [OUT [STEPS]]``
"""

import sys
from pathlib import Path

import torch
from torch import nn

import ddpm

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/bits_of_a_custom_network")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
out.mkdir(parents=True, exist_ok=True)

# %%
# A network is called with x_t, (batch, 1, 8, 8), and the number of the step, (batch,). Its output has the shape of x_t.


class Dense(nn.Module):
    """Three layers that see all pixels at once."""

    def __init__(self, T: int, width: int = 256) -> None:
        super().__init__()
        self.time = nn.Embedding(T, width)
        self.first, self.middle, self.last = nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, 64)

    def forward(self, x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """What is to be predicted of x_t at this step."""
        h = torch.relu(self.first(x_t.flatten(1)) + self.time(timestep))
        return self.last(h + torch.relu(self.middle(h))).view_as(x_t)


# %%
# Read it as a Markov chain: a schedule, what is predicted (the noise, unless another prediction is given), and the variance.

torch.manual_seed(0)
schedule = ddpm.log_snr(T=50, noise_1=1 / 16)
p = ddpm.ReverseProcess(Dense(schedule.T), schedule, ddpm.Velocity(), ddpm.FixedSmall())
digits, held_out = ddpm.images("digits", split="train"), ddpm.images("digits", split="test")[:64]
print(f"untrained: {ddpm.bound(p, held_out).total:.2f} bits/dim")

# %%
# Algorithm 1, one step at a time. ``progress.average`` is the process on the moving average of the weights.

for progress in ddpm.train(p, digits, steps=steps, batch_size=128, lr=2e-3, ema=0.99, seed=0):
    if progress.step % 250 == 0:
        print(f"step {progress.step}: loss {progress.loss:.3f}")
p = progress.average

# %%
# The bound again, and where its bits are. (To guess that all 17 levels are as likely costs log2 17 = 4.09.)

bound = ddpm.bound(p, held_out)
print(f"trained: {bound.total:.2f} ± {bound.stderr:.2f} bits/dim: L_T {bound.L_T:.4f}, L_0 {bound.L_0:.2f}")
most = max(range(len(bound.by_t)), key=lambda t: bound.by_t[t])
print(f"the most expensive term: entry {most} of 0..{len(bound.by_t) - 1}")

# %%
# And its samples.

ddpm.Images(ddpm.sample(p, (36, 1, 8, 8), seed=0), levels=17).grid(out / "samples.png")
