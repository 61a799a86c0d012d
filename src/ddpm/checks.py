"""What a user hands to the library, checked once at the door: images, steps, labels.

Each check passes or raises a `UsageError` of one sentence that says what was expected and what came. The checks read
values, which an accelerator has to wait for: public functions call them, the loops inside trust what they get.
"""

from collections.abc import Sequence
from operator import index

import torch
from torch import Tensor

from ddpm.errors import UsageError

TOLERANCE = 1e-6
"""How far a pixel may be from where it should be: 17 roundings of float32 at 1."""
BYTES = "divide bytes by 127.5 and subtract 1, or use ddpm.images"


def check_images(x: object, levels: int | None = None) -> None:
    """Refuse what is no batch of images: real numbers in [-1, 1], float32 or float64, (batch, ...).

    Args:
        x: what should be images.
        levels: of how many values a channel is, evenly on [-1, 1], 256 for bytes; None where any value will do.

    Raises:
        UsageError: another type, dtype or shape, a value outside [-1, 1], not finite, or between two levels.

    Example:
        >>> import torch
        >>> check_images(torch.zeros(1, 3, 8, 8))
    """
    if not isinstance(x, Tensor):
        raise UsageError(f"images must be a torch tensor (batch, ...), got {_kind(x)}")
    if not x.is_floating_point():
        raise UsageError(f"images are real numbers in [-1, 1], got {x.dtype}: {BYTES}")
    if x.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"images are float32 or float64, got {x.dtype}: use .float()")
    if x.ndim < 2 or not x.numel():
        raise UsageError(f"images come as a batch (batch, channels, height, width), got the shape {tuple(x.shape)}")
    x = x.detach()
    if bool((unreal := ~x.isfinite()).any()):
        raise UsageError(f"images are real numbers in [-1, 1], got {_first(x, unreal)}")
    if bool((outside := x.abs() > 1 + TOLERANCE).any()):
        raise UsageError(f"images are real numbers in [-1, 1], got {_first(x, outside)}: {BYTES}")
    if levels is not None:
        _check_levels(x, levels)


def _check_levels(x: Tensor, levels: int) -> None:
    """Refuse images between two of the levels 2k/(levels - 1) - 1."""
    if levels < 2:
        raise UsageError(f"images have at least 2 levels, got {levels}")
    step = 2 / (levels - 1)
    nearest = ((x.double() + 1) / step).round() * step - 1
    if bool((off := (x - nearest).abs() > TOLERANCE).any()):
        raise UsageError(
            f"images of {levels} levels have the values 2k/{levels - 1} - 1, k = 0..{levels - 1}, got {_first(x, off)}",
            "of numbers in 0..1 take 2 x - 1; an array of uint8 is taken as it is",
        )


def check_noisy(x_t: object, shape: Sequence[int]) -> None:
    """Refuse what is no batch of x_t for a model of images of this shape: real and finite, (batch, *shape), of any size.

    Raises:
        UsageError: another type, dtype or shape, or a value that is not finite.
    """
    expected = f"x_t must be a float tensor (batch, {', '.join(map(str, shape))})"
    if not isinstance(x_t, Tensor) or not x_t.is_floating_point():
        raise UsageError(f"{expected}, got {x_t.dtype if isinstance(x_t, Tensor) else _kind(x_t)}")
    if tuple(x_t.shape[1:]) != tuple(shape):
        raise UsageError(f"{expected}, got the shape {tuple(x_t.shape)}")
    if bool((unreal := ~x_t.isfinite()).any()):
        raise UsageError(f"x_t must be finite, got {_first(x_t, unreal)}")


def check_t(t: object, T: int, batch: int | None = None) -> None:
    """Refuse what is no step: an int in 1..T, or a tensor (batch,) of such.

    Raises:
        UsageError: another type, a fraction, another shape, or a step outside 1..T.
    """
    if isinstance(t, Tensor):
        if t.dtype not in (torch.int64, torch.int32):
            raise UsageError(f"t must be whole numbers (int64 or int32) in 1..{T}, got {t.dtype}")
        if t.ndim != 1 or batch not in (None, len(t)):
            expected = "(batch,)" if batch is None else f"({batch},)"
            raise UsageError(f"t must be one step, or one for each image, {expected}, got the shape {tuple(t.shape)}")
        if bool((outside := (t < 1) | (t > T)).any()):
            raise UsageError(f"t must be in 1..{T}, got {_first(t, outside)}")
    elif not isinstance(t, int) or isinstance(t, bool):
        raise UsageError(f"t must be an int in 1..{T}, or a tensor of such, got {_kind(t)}")
    elif not 1 <= t <= T:
        raise UsageError(f"t must be in 1..{T}, got {t}")


def check_whole(name: str, value: object, least: int = 0) -> int:
    """A whole number of any type, as an int.

    Args:
        name: of the argument, for the message.
        value: an int, or numpy's or torch's.
        least: the smallest that it may be.

    Raises:
        UsageError: another type, True or False, or a smaller number.
    """
    whole = whole_number(value)
    if whole is None or whole < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got {_kind(value)}")
    return whole


def whole_number(value: object) -> int | None:
    """A number that is whole by its type, Python's, NumPy's or PyTorch's, as an int; None of all else, True and False too."""
    if isinstance(value, bool) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        return None
    try:
        return index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def check_labels(labels: object, classes: int, batch: int | None = None) -> None:
    """Refuse what is no label of a network with `classes` classes: an int, or a tensor or sequence of ints, (batch,).

    Raises:
        UsageError: the network has no classes, another type or shape, or a label outside -1..classes - 1 (-1: nothing is
            said of the image).
    """
    if not classes:
        raise UsageError("the network was trained without labels and cannot be told one")
    if isinstance(labels, Tensor):
        if labels.dtype not in (torch.int64, torch.int32) or labels.ndim > 1:
            raise UsageError(f"labels must be whole numbers (batch,), got {labels.dtype} {tuple(labels.shape)}")
        values: list[object] = labels.reshape(-1).tolist()
        one = labels.ndim == 0
    else:
        one = not isinstance(labels, Sequence) or isinstance(labels, str)
        values = [labels] if one else list(labels)  # pyright: ignore[reportArgumentType]
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"a label must be an int in 0..{classes - 1}, got {_kind(value)}")
        if not -1 <= value < classes:
            raise UsageError(f"a label must be in 0..{classes - 1} (or -1 to say nothing), got {value}")
    if not one and batch not in (None, len(values)):
        raise UsageError(f"there must be one label, or one for each of the {batch} images, got {len(values)}")


def _first(x: Tensor, wrong: Tensor) -> float | int:
    """The first value of x where `wrong`."""
    return x[wrong][0].item()


def _kind(value: object) -> str:
    """What a value is, for a message: its type, and itself where it is a number or a short word."""
    return f"{type(value).__name__} {value!r}" if isinstance(value, int | float | str) else type(value).__name__
