"""Networks that others trained: a DDPM of MNIST digits, and the classifier whose features compare two sets of digits."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm import checkpoints
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import FixedLarge
from ddpm.trained.loaded import load_run


class Digits(nn.Module):
    """(x_t, timestep) -> epsilon: the MNIST network of BrianPulfer/PapersReimplementations (MIT), told t - 1.

    Its weights are read from a file; nothing else of it is here. The embedding of time is a table, interpolated between
    its rows where a timestep is not whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        weights = torch.load(path, map_location="cpu", weights_only=True)
        self.w = {name.removeprefix("network."): tensor for name, tensor in weights.items()}

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        """(B, 1, 28, 28), (B,) -> (B, 1, 28, 28)."""
        low = timestep.floor().long().clamp(0, 998)
        table, fraction = self.w["time_embed.weight"], (timestep - low).to(x)[:, None]
        e = torch.lerp(table[low], table[low + 1], fraction)
        first = self._blocks(x + self._time("te1", e), "b1")
        second = self._blocks(self._conv(first, "down1", 2) + self._time("te2", e), "b2")
        third = self._blocks(self._conv(second, "down2", 2) + self._time("te3", e), "b3")
        middle = self._conv(F.silu(F.conv2d(third, self.w["down3.0.weight"], self.w["down3.0.bias"])), "down3.2", 2)
        middle = self._blocks(middle + self._time("te_mid", e), "b_mid")
        up = F.silu(self._transposed(middle, "up1.0", 2, 1))
        up = self._transposed(up, "up1.2", 1, 0)
        up = self._blocks(torch.cat([third, up], 1) + self._time("te4", e), "b4")
        up = self._blocks(torch.cat([second, self._transposed(up, "up2", 2, 1)], 1) + self._time("te5", e), "b5")
        up = self._blocks(torch.cat([first, self._transposed(up, "up3", 2, 1)], 1) + self._time("te_out", e), "b_out")
        return self._conv(up, "conv_out", 1)

    def _conv(self, x: Tensor, name: str, stride: int) -> Tensor:
        return F.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride, 1)

    def _transposed(self, x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        return F.conv_transpose2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride, padding)

    def _time(self, name: str, e: Tensor) -> Tensor:
        hidden = F.silu(F.linear(e, self.w[f"{name}.0.weight"], self.w[f"{name}.0.bias"]))
        return F.linear(hidden, self.w[f"{name}.2.weight"], self.w[f"{name}.2.bias"])[:, :, None, None]

    def _blocks(self, x: Tensor, name: str) -> Tensor:
        for i in range(3):
            part = f"{name}.{i}"
            if part != "b_out.2":
                scale, shift = self.w[f"{part}.ln.weight"], self.w[f"{part}.ln.bias"]
                x = F.layer_norm(x, x.shape[1:], scale, shift)
            for layer in ("conv1", "conv2"):
                x = F.silu(self._conv(x, f"{part}.{layer}", 1))
        return x


def subject(data: Path, run: str | None) -> tuple[str, ReverseProcess]:
    """The model of a run, or the one that others trained: what its results are called, and the process."""
    if run:
        return f"_{Path(run).name}", load_run(run, "ema", torch.device("cpu")).process
    network = Digits(data / "checkpoints" / "pulfer-mnist" / "ddpm_mnist.pt")
    return "", ReverseProcess(network, linear(), variance=FixedLarge())


def digest_of(p: ReverseProcess) -> str:
    """Of the weights of `subject`'s network."""
    return checkpoints.digest((p.network.w if isinstance(p.network, Digits) else p.network.state_dict()).values())


class Features(nn.Module):
    """Images (N, 1, 28, 28) in [0, 1] -> (N, 84): the last hidden layer of a LeNet (csinva/gan-vae-pretrained-pytorch)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.w = torch.load(path, map_location="cpu", weights_only=True)

    def forward(self, x: Tensor) -> Tensor:
        """Resized to 32x32, as it was trained."""
        x = F.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False)
        for name in ("c1", "c3"):
            x = F.max_pool2d(F.relu(F.conv2d(x, self.w[f"convnet.{name}.weight"], self.w[f"convnet.{name}.bias"])), 2)
        x = F.relu(F.conv2d(x, self.w["convnet.c5.weight"], self.w["convnet.c5.bias"])).flatten(1)
        return F.relu(F.linear(x, self.w["fc.f6.weight"], self.w["fc.f6.bias"]))
