"""
A sampler of your own, in ten lines
===================================

A sampler says how to go from x_t to x_{t-1}. This one is DDIM until the image is half done, and ancestral from there on.
To see that it is right, it is run on data of which the answer is known. ``python own_sampler.py [OUT [N]]``
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import ddpm

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own_sampler")
number = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
out.mkdir(parents=True, exist_ok=True)

# %%
# The sampler is a frozen value with one method. ``here`` is where the chain is; ``noise`` draws normal numbers like a tensor.


@dataclass(frozen=True)
class FirstCalm(ddpm.Sampler):
    """DDIM's steps above `until`, a part of T, and Algorithm 2's below."""

    until: float = 0.5

    def step(self, p: ddpm.ReverseProcess, here: ddpm.Step, noise: Callable[[torch.Tensor], torch.Tensor]) -> ddpm.Step:
        """From here.t to here.t - 1."""
        calm = here.t > self.until * p.schedule.T
        return (ddpm.DDIM() if calm else ddpm.Ancestral()).step(p, here, noise)


# %%
# Points around -1 and around +1 on a line, and their exact denoiser: Tweedie's formula, by hand.

schedule = ddpm.cosine(T=100)
WIDTH = 0.2


def exact(x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The mean of the noise, given x_t, for half N(-1, WIDTH^2) and half N(1, WIDTH^2)."""
    bar = schedule.alpha_bar[timestep + 1].view(-1, 1).to(x_t)
    var = bar * WIDTH**2 + 1 - bar
    side = torch.tanh(bar.sqrt() * x_t / var)
    x_0 = side + bar.sqrt() * WIDTH**2 / var * (x_t - bar.sqrt() * side)
    return (x_t - bar.sqrt() * x_0) / (1 - bar).sqrt()


p = ddpm.ReverseProcess(exact, schedule, limit=ddpm.unlimited)

# %%
# Histograms from -2 at the top to 2 at the bottom, bright where many points are: ancestral, DDIM, ours.

histograms = []
for sampler in (ddpm.Ancestral(), ddpm.DDIM(), FirstCalm()):
    x_0 = ddpm.sample(p, (number, 1), sampler, seed=0, batch_size=number)[:, 0]
    print(f"{sampler}: {(x_0 > 0).float().mean():.3f} above 0, distance from the centres {(x_0.abs() - 1).std():.3f}")
    counts = torch.histc(x_0, 48, -2, 2)
    histograms.append((counts / counts.max() * 2 - 1).view(1, -1, 1).expand(1, 48, 24))
ddpm.Images(torch.stack(histograms)).grid(out / "histograms.png", columns=3)
