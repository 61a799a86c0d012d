"""Training in 16 bits on a CPU: all weights are rounded in one call, where autocast rounds each by itself when it is asked for.

No bit differs, and a step of a small network takes a twentieth less. It is for networks of this package: a layer that reads its
weights in another way than by a convolution or a matrix product would see them rounded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ddpm.models.precision import DTYPES, FULL, in_precision

LAYERS = (nn.Conv2d, nn.Linear)
"""Of these, and of no classes made from them, weight and bias are rounded."""
TOGETHER = 2**20
"""About so many numbers in a call: their 16-bit gradients are all kept until the last of them is known."""


def in_training(network: Callable[..., Tensor], precision: str, device: torch.device) -> Callable[..., Tensor]:
    """The network in fp32, bf16 or fp16, as a training step sees it: `in_precision`, and faster where that is possible."""
    if precision != FULL and isinstance(network, nn.Module) and can_round(network, device):
        return Rounding(network, DTYPES[precision])
    return in_precision(network, precision, device)


class Rounding(nn.Module):
    """A network that is trained in 16 bits on a CPU, float32 in and out. It has the network's weights."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self._dtype = network, dtype
        self._portions = _portions([layer for layer in network.modules() if type(layer) in LAYERS])
        self._channels_last = bool(getattr(network, "channels_last", False))

    def forward(self, x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        """The network's output, as float32."""
        with self._rounded(), torch.autocast("cpu", self._dtype, cache_enabled=False):
            return self.network(x_t, timestep, *label).float()

    @contextmanager
    def _rounded(self) -> Iterator[None]:
        """Inside, the layers have rounded weights. `functional_call` would do it too, and lose half of what is gained."""
        held = list[tuple[nn.Module, str, nn.Parameter]]()
        try:
            for layers in self._portions:
                held += (places := _weights(layers))
                rounded = Rounded.apply(self._dtype, self._channels_last, *(weight for *_, weight in places))
                for (layer, name, _), weight in zip(places, rounded, strict=True):
                    layer._parameters[name] = weight
            yield
        finally:
            for layer, name, weight in held:
                layer._parameters[name] = weight


def _portions(layers: Sequence[nn.Module]) -> list[list[nn.Module]]:
    """Layers in their order, `TOGETHER` numbers or a few more at a time."""
    portions, size = list[list[nn.Module]](), TOGETHER
    for layer in layers:
        if size >= TOGETHER:
            portions.append([])
            size = 0
        portions[-1].append(layer)
        size += sum(weight.numel() for *_, weight in _weights([layer]))
    return portions


def _weights(layers: Sequence[nn.Module]) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Each with its layer and its name there."""
    return [(layer, name, one) for layer in layers for name, one in layer._parameters.items() if one is not None]


class Rounded(torch.autograd.Function):
    """Many float32 tensors in 16 bits, in one call; and their gradients back."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, channels_last: bool, *weights: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401, FBT001
        """Rounded to the dtype; those of convolutions in that layout."""
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
        """In float32; None where a tensor took no part."""
        known = [one for one in gradients if one is not None]
        found = [torch.empty(one.shape, dtype=torch.float32) for one in known]
        torch._foreach_copy_(found, known)
        whole = iter(found)
        return None, None, *(None if one is None else next(whole) for one in gradients)


def can_round(network: nn.Module, device: torch.device) -> bool:
    """Whether it may be trained so: on a CPU, not compiled, whole in one process, each weight its own and all of them trained."""
    if (
        device.type != "cpu"
        or hasattr(network, "_orig_mod")
        or isinstance(network, nn.parallel.DistributedDataParallel)
    ):
        return False
    weights = [one for _, one in network.named_parameters(remove_duplicate=False)]
    plain = all(type(one) is nn.Parameter and one.requires_grad and one.dtype == torch.float32 for one in weights)
    return plain and len(set(map(id, weights))) == len(weights)
