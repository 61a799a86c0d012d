"""16-bit arithmetic inside the network, and nowhere else: images, noise, losses and weights stay float32."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddpm.diffusion.reverse import Network
from ddpm.errors import UsageError

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose(precision: str, device: torch.device) -> str:
    """What "auto" means on this device: bf16 where it is native (it then halves a step), else fp32.

    Raises:
        UsageError: fp16 on a CPU, where nothing is gained by it.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("fp16 needs a GPU: 'fp16' on cpu", "`precision=bf16` or fp32")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    return "fp32"


def in_precision(network: Network, precision: str, device: torch.device) -> Network:
    """The network with its matrix products and convolutions in `precision`, float32 in and out."""
    if precision == "fp32":
        return network

    def autocast(x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        with torch.autocast(device.type, DTYPES[precision]):
            return network(x_t, timestep, *label).float()

    return autocast
