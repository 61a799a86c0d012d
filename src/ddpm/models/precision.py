"""16-bit arithmetic inside the network, and nowhere else: images, noise, losses and weights stay float32.

It is one setting of training and another of reading a trained model: a network says nothing of how it was trained.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ddpm.errors import UsageError, chosen

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS: Mapping[str, torch.dtype | None] = {"auto": None, **DTYPES}
"""Names that may be asked for; "auto" is decided by the device (`choose`)."""
FULL = "fp32"


def choose(precision: str, device: torch.device) -> str:
    """What "auto" means on this device: bf16 where it is native (it then halves a step), else fp32.

    Raises:
        UsageError: no such precision; or fp16 on a CPU, where nothing is gained by it.
    """
    chosen(PRECISIONS, precision, "precision")
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("fp16 needs a GPU: 'fp16' on cpu", "`precision=bf16` or fp32")
    if precision != "auto":
        return precision
    return "bf16" if device.type in ("cpu", "cuda") and is_native("bf16", device) else FULL


def is_native(precision: str, device: torch.device) -> bool:
    """Whether the device computes in it; else it is imitated, which on a CPU is several times slower than fp32."""
    if precision != "bf16":
        return True
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()


class InPrecision(nn.Module):
    """A network with its matrix products and convolutions in 16 bits, float32 in and out. It has the network's weights."""

    def __init__(self, network: Callable[..., Tensor], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.network, self._how = network, (device.type, dtype)

    def forward(self, x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        """The network's output, as float32."""
        with torch.autocast(*self._how):
            return self.network(x_t, timestep, *label).float()


def in_precision(network: Callable[..., Tensor], precision: str, device: torch.device) -> Callable[..., Tensor]:
    """The network in fp32, bf16 or fp16: itself, or an `InPrecision`."""
    return network if precision == FULL else InPrecision(network, DTYPES[precision], device)
