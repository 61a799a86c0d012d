"""Tensors on their way to the page and back: JSON, with the numbers of an array as base64 of float32."""

import base64
import binascii
import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**20
"""Numbers of an array that the page may send."""


class NoAsk(ValueError):
    """A page sent something that the explorer's own page does not send."""


def array(x: Tensor) -> dict[str, Any]:
    """A tensor as the page reads it."""
    values = x.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4", copy=False)
    return {"shape": list(x.shape), "float32": base64.b64encode(values.tobytes()).decode()}


def tensor(given: object, name: str, shape: tuple[int | None, ...]) -> Tensor:
    """An array of the page, float32; None in `shape` is any length.

    Raises:
        NoAsk: it is none, or of another shape, or has numbers that are not finite.
    """
    if (
        not isinstance(given, dict)
        or not isinstance(given.get("shape"), list)
        or not isinstance(given.get("float32"), str)
    ):
        raise NoAsk(f"{name} is no array")
    lengths = given["shape"]
    fits = len(lengths) == len(shape) and all(
        type(length) is int and length > 0 and wanted in (None, length)
        for length, wanted in zip(lengths, shape, strict=True)
    )
    if not fits or math.prod(lengths) > LARGEST:
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        raise NoAsk(f"{name} has the shape {lengths}, where {wanted} is needed")
    try:
        data = base64.b64decode(given["float32"], validate=True)
    except binascii.Error as error:
        raise NoAsk(f"{name} is no base64: {error}") from error
    if len(data) != 4 * math.prod(lengths):
        raise NoAsk(f"{name} has {len(data)} bytes, where its shape needs {4 * math.prod(lengths)}")
    values = torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32).reshape(lengths))
    if not bool(values.isfinite().all()):
        raise NoAsk(f"{name} has numbers that are not finite")
    return values


def text(answer: dict[str, Any]) -> bytes:
    """An answer as an event of a stream. What is not finite becomes null: JSON has no word for it."""
    return b"data: " + json.dumps(_finite(answer), allow_nan=False, separators=(",", ":")).encode() + b"\n\n"


def _finite(value: Any) -> Any:  # noqa: ANN401 (whatever JSON holds)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
