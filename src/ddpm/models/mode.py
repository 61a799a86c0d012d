"""A network as it is outside training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: object) -> Iterator[None]:
    """While inside, an `nn.Module` is in evaluation (no dropout); each of its parts then is again what it was."""
    parts = list(network.modules()) if isinstance(network, nn.Module) else []
    before = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, training in zip(parts, before, strict=True):
            part.training = training
