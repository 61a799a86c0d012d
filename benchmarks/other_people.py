"""The networks, steps and chains of OpenAI's improved-diffusion and of lucidrains' denoising-diffusion-pytorch, run by their own code.

Neither is installed here: FOLDER holds a checkout of each, under these names, and in `needs` what the second one imports
(`pip install --no-deps --target FOLDER/needs einops ema-pytorch`). What their files import and these steps do not use, such as
torchvision, is an empty module.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm.models.shape import UNetShape

NAMES = ("improved-diffusion", "denoising-diffusion-pytorch")
UNUSED = {
    "torchvision": {"transforms": None, "utils": None},
    "accelerate": {"Accelerator": None},
    "blobfile": {},
    "mpi4py": {"MPI": None},
}


def imported(folder: Path, module: str) -> Any:
    """A module of theirs."""
    for name, values in UNUSED.items():
        if name not in sys.modules:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(values)
    for path in (*(folder / name for name in NAMES), folder / "needs"):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    return importlib.import_module(module)


class Improved:
    """improved-diffusion, in the shape that a `UNetShape` has but for its groups, which are always 32."""

    def __init__(self, folder: Path, shape: UNetShape, channels: int) -> None:
        unet, process = (imported(folder, f"improved_diffusion.{name}") for name in ("unet", "gaussian_diffusion"))
        self.network: nn.Module = unet.UNetModel(
            channels,
            shape.channels,
            channels,
            shape.blocks,
            tuple(2**level for level in shape.attention),
            dropout=shape.dropout,
            channel_mult=shape.multipliers,
        )
        self._kinds, self._nn = process, imported(folder, "improved_diffusion.nn")
        self.process = self._of(process.get_named_beta_schedule("linear", 1000))
        self.two_steps = self._of(np.array([1e-4, 0.02]))

    def _of(self, betas: Any) -> Any:
        kinds = self._kinds
        return kinds.GaussianDiffusion(
            betas=betas,
            model_mean_type=kinds.ModelMeanType.EPSILON,
            model_var_type=kinds.ModelVarType.FIXED_LARGE,
            loss_type=kinds.LossType.MSE,
        )

    def training(self, images: Tensor, batch: int, *, bf16: bool) -> Callable[[], None]:
        """A step of their `TrainLoop` on one process: AdamW, and the average of the weights."""
        network = self.network.train()
        parameters = list(network.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
        average = [one.detach().clone() for one in parameters]

        def step() -> None:
            optimizer.zero_grad()
            clean = images[torch.randint(0, len(images), (batch,))]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                losses = self.process.training_losses(network, clean, torch.randint(0, 1000, (batch,)))
            losses["loss"].mean().backward()
            optimizer.step()
            self._nn.update_ema(average, parameters, rate=0.9999)

        return step

    def sampling(self, x_t: Tensor) -> Callable[[], object]:
        """A step of their ancestral chain."""
        network, t = self.network.eval(), torch.full((len(x_t),), 500)
        return lambda: self.process.p_sample(network, x_t, t)

    def bound(self, images: Tensor) -> Callable[[], object]:
        """Two terms of their bound."""
        network = self.network.eval()
        return lambda: self.two_steps.calc_bpd_loop(network, images)


class Lucidrains:
    """denoising-diffusion-pytorch: another network of the same width, levels and (default) process."""

    def __init__(self, folder: Path, shape: UNetShape, channels: int, side: int) -> None:
        theirs = imported(folder, "denoising_diffusion_pytorch.denoising_diffusion_pytorch")
        self.network: nn.Module = theirs.Unet(shape.channels, dim_mults=shape.multipliers, channels=channels)
        self.process: nn.Module = theirs.GaussianDiffusion(self.network, image_size=side)
        self._average = imported(folder, "ema_pytorch").EMA

    def training(self, images: Tensor, batch: int, *, bf16: bool) -> Callable[[], None]:
        """A step of their `Trainer`: Adam, clipping, and the average of the weights."""
        process = self.process.train()
        optimizer = torch.optim.Adam(process.parameters(), lr=1e-4, betas=(0.9, 0.99))
        average = self._average(process, beta=0.995, update_every=10)

        def step() -> None:
            clean = images[torch.randint(0, len(images), (batch,))] / 2 + 0.5
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = process(clean)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(process.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.update()

        return step

    def sampling(self, x_t: Tensor) -> Callable[[], object]:
        """A step of their ancestral chain."""
        process: Any = self.process.eval()
        return lambda: process.p_sample(x_t, 500)
