"""What the exported page must know of a model: its network as numbers, its process as tables and names.

`page/engine/` reads it: network.js the shape, weights.js the weights, process.js the process.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import torch
from torch import Tensor, nn

from ddpm.diffusion.decoder import levels_of
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import LIMITS, ReverseProcess, named
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FIRST_VARIANCES, Fixed, Learned
from ddpm.errors import UsageError
from ddpm.models.shape import class_number
from ddpm.models.unet import UNet
from ddpm.sampling.optimal import Curve
from ddpm.tensors import ImageBatch

HALF, FULL = "float16", "float32"
DTYPES: Final[Mapping[str, torch.dtype]] = {HALF: torch.float16, FULL: torch.float32}
"""How weights may be stored: half precision halves the page."""
BYTES = 256
"""Values that a byte holds."""


def network_data(network: nn.Module) -> dict[str, Any]:
    """The shape of a U-Net: the fields of `UNetShape`, what follows from them, and how many channels go in and out.

    Raises:
        UsageError: it is another network.
    """
    if not isinstance(network, UNet):
        raise UsageError(f"a page is made of a U-Net (ddpm.UNet), not of {type(network).__name__}")
    shape = network.shape
    derived = {name: getattr(shape, name) for name in ("widths", "going_up", "sinusoids", "embedding")}
    channels = {"inputs": network.first.in_channels, "outputs": network.last.out_channels}
    return {"shape": asdict(shape) | derived, **channels, "classes": class_number(shape)}


def weights_data(network: nn.Module, dtype: str) -> dict[str, Any]:
    """All weights in order, little end first, as base64 of one block, with its digest.

    Raises:
        UsageError: a number is too large for half precision, or not finite.
    """
    tensors: Mapping[str, Tensor] = network.state_dict()
    stored = [tensor.detach().cpu().to(DTYPES[dtype]) for tensor in tensors.values()]
    for name, tensor in zip(tensors, stored, strict=True):
        if not bool(tensor.isfinite().all()):
            raise UsageError(f"{name} holds numbers that are not finite in {dtype}")
    content = b"".join(tensor.numpy().astype(tensor.numpy().dtype.newbyteorder("<")).tobytes() for tensor in stored)
    return {
        "tensors": [[name, tensor.numel()] for name, tensor in tensors.items()],
        "dtype": dtype,
        "sha256": hashlib.sha256(content).hexdigest(),
        "base64": base64.b64encode(content).decode(),
    }


def process_data(p: ReverseProcess) -> dict[str, Any]:
    """The schedule's tables from which all others follow, and its parts by their names.

    Raises:
        UsageError: a part has no name there: it is somebody's own.
    """
    return {
        **schedule_data(p.schedule),
        "prediction": _name_of(p.prediction, {name: one.__eq__ for name, one in PREDICTIONS.items()}, "prediction"),
        "limit": _name_of(p.limit, {name: one.__eq__ for name, one in LIMITS.items()}, "limit"),
        "variance": variance_data(p),
        "levels": levels_of(p.decoder),
    }


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """Of all the steps at which the network was trained, float64; a page shortens the chain by itself.

    Raises:
        UsageError: it is a shorter chain already.
    """
    if schedule.origin is not None:
        raise UsageError("a page holds the whole chain; it takes fewer steps by itself")
    return {"beta": schedule.beta.tolist(), "timestep_map": schedule.timestep_map.tolist(), "kind": schedule.kind}


def variance_data(p: ReverseProcess) -> dict[str, Any]:
    """A learned variance by the rule of its first step; a fixed one by its kind, or by its table where that is measured."""
    variance = p.variance
    if isinstance(variance, Learned):
        return {"kind": "learned", "first": _first_of(variance)}
    if not isinstance(variance, Fixed):
        raise UsageError(f"a page knows no variance {named(variance)}")
    kind = {"FixedLarge": "fixed-large", "FixedSmall": "fixed-small"}.get(type(variance).__name__)
    if kind:
        return {"kind": kind, "first": _first_of(variance)}
    raise UsageError(f"a page knows no variance {named(variance)}")


def _first_of(variance: Any) -> str:  # noqa: ANN401 (each kind has this field)
    return _name_of(variance.first, {name: one.__eq__ for name, one in FIRST_VARIANCES.items()}, "first variance")


def _name_of(part: object, known: Mapping[str, Callable[[object], object]], what: str) -> str:
    for name, equals in known.items():
        if equals(part) is True:
            return name
    raise UsageError(f"a page knows no {what} {named(part)}")


def curve_data(curve: Curve | None) -> dict[str, Any] | None:
    """What was measured of the network at every t, from t = 1 on."""
    if curve is None:
        return None
    return {name: getattr(curve, name)[1:].tolist() for name in ("mse_x_0", "sigma2_1", "L_0")}


def images_data(x_0: ImageBatch, labels: Tensor, levels: int, images_are: str) -> dict[str, Any]:
    """Images as a byte for each number: which of the levels it is; of more than 256 levels the nearest of 256."""
    kept = min(levels, BYTES)
    values = ((x_0.detach().cpu().double() + 1) / 2 * (kept - 1)).round().clamp(0, kept - 1).to(torch.uint8)
    return {
        "total": len(x_0),
        "are": images_are,
        "levels": kept,
        "labels": labels.tolist(),
        "base64": base64.b64encode(values.numpy().tobytes()).decode(),
    }
