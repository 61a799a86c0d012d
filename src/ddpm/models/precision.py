"""16-bit arithmetic inside the network, and nowhere else: images, noise, losses and weights stay float32.

It is one setting of training and another of reading a trained model: a network says nothing of how it was trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

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
        self._layers = _layers(network) if device.type == "cpu" else []
        self._channels_last = bool(getattr(network, "channels_last", False))

    def forward(self, x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        """The network's output, as float32."""
        if not self._layers or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            with torch.autocast(*self._how):
                return self.network(x_t, timestep, *label).float()
        with _rounded(self._layers, self._how[1], self._channels_last), torch.autocast(*self._how, cache_enabled=False):
            return self.network(x_t, timestep, *label).float()


def _layers(network: Callable[..., Tensor]) -> list[nn.Conv2d | nn.Linear]:
    """Those whose weights are rounded for a gradient's sake on a CPU; none of networks that are compiled or in shards."""
    if not isinstance(network, nn.Module) or hasattr(network, "_orig_mod"):
        return []
    if any(type(weight) is not nn.Parameter or weight.dtype != torch.float32 for weight in network.parameters()):
        return []
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


@contextmanager
def _rounded(layers: Sequence[nn.Module], dtype: torch.dtype, channels_last: bool) -> Iterator[None]:  # noqa: FBT001
    """Inside, the layers have their weights in 16 bits, as autocast would make them, but in one call: no bit differs.

    Autocast rounds one by one, in forward and backward: a twentieth of a training step of a small network. `functional_call`
    would put them in their places too; it takes half of what is gained.
    """
    places = [
        (layer._parameters, kind) for layer in layers for kind, one in layer._parameters.items() if one is not None
    ]
    weights = [parameters[kind] for parameters, kind in places]
    try:
        for (parameters, kind), rounded in zip(places, Rounded.apply(dtype, channels_last, *weights), strict=True):
            parameters[kind] = rounded
        yield
    finally:
        for (parameters, kind), weight in zip(places, weights, strict=True):
            parameters[kind] = weight


class Rounded(torch.autograd.Function):
    """Many float32 tensors in 16 bits, in one call; and their gradients back."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, channels_last: bool, *weights: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401, FBT001
        ctx.set_materialize_grads(False)
        layouts = {4: torch.channels_last} if channels_last else {}
        found = [
            torch.empty_like(one, dtype=dtype, memory_format=layouts.get(one.ndim, torch.contiguous_format))
            for one in weights
        ]
        torch._foreach_copy_(found, list(weights))
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        known = [one for one in gradients if one is not None]
        found = [torch.empty(one.shape, dtype=torch.float32) for one in known]
        torch._foreach_copy_(found, known)
        whole = iter(found)
        return None, None, *(None if one is None else next(whole) for one in gradients)


def in_precision(network: Callable[..., Tensor], precision: str, device: torch.device) -> Callable[..., Tensor]:
    """The network in fp32, bf16 or fp16: itself, or an `InPrecision`."""
    return network if precision == FULL else InPrecision(network, DTYPES[precision], device)
