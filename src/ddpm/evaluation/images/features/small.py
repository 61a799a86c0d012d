"""Small classifiers that are shipped with the package, so that distances can be measured without a download.

`digits` knows handwritten digits, `colour` small photographs; `benchmarks/train_features.py` trained them, and its results file
says on what and how well. Their distances are on scales of their own: they are no FID, and compare with none.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.errors import Mismatch
from ddpm.evaluation.images.features.extractor import Bytes, Extractor, Outputs, resized, with_channels
from ddpm.storage import tensorfile


@dataclass(frozen=True)
class SmallShape:
    """Of a classifier: channels and side of the images that it sees, the widths of its stages, and how many classes."""

    channels: int
    side: int
    widths: tuple[int, ...]
    classes: int = 10


SHAPES: Mapping[str, SmallShape] = {
    "digits": SmallShape(1, 28, (16, 32, 64)),
    "colour": SmallShape(3, 32, (24, 48, 96)),
}


class Small(nn.Module):
    """A stage for each width: a convolution (all but the first halve the sides), then a residual one; then the mean over places."""

    def __init__(self, shape: SmallShape) -> None:
        super().__init__()
        ins = (shape.channels, *shape.widths)
        self.begin = nn.ModuleList(
            _Convolution(i, o, 1 if at == 0 else 2) for at, (i, o) in enumerate(zip(ins, shape.widths, strict=False))
        )
        self.more = nn.ModuleList(_Convolution(width, width, 1) for width in shape.widths[1:])
        self.classes = nn.Linear(shape.widths[-1], shape.classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, D) and logits (batch, K) of real images in [-1, 1]."""
        for at, begin in enumerate(self.begin):
            x = begin(x)
            x = x if at == 0 else x + self.more[at - 1](x)
        features = x.mean((2, 3))
        return features, self.classes(features)


class _Convolution(nn.Module):
    """3x3, normalised, ReLU."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.weights(x)))


class BuiltIn(Extractor):
    """One of `SHAPES`, with weights of this digest."""

    def __init__(self, name: str, digest: str, network: Small) -> None:
        self.name, self.digest, self.shape, self.network = name, digest, SHAPES[name], network
        kind = "grey" if self.shape.channels == 1 else "colour, grey repeated"
        self.how = f"{kind}, {self.shape.side}x{self.shape.side} (bilinear, antialiased), x/127.5 - 1"

    def outputs(self, images: Bytes) -> Outputs:
        """The mean over places of the last stage, and the logits of ten classes."""
        if images.shape[1] not in (1, 3):
            raise Mismatch(f"the features {self.name!r} are of images of 1 or 3 channels, not {images.shape[1]}")
        with torch.no_grad():
            return Outputs(*self.network(seen(images, self.shape)))

    def to(self, device: torch.device) -> "BuiltIn":
        """The same on another device."""
        self.network.to(device)
        return self


def seen(images: Bytes, shape: SmallShape) -> Tensor:
    """As a classifier of this shape sees the bytes of images: real, in [-1, 1]."""
    return resized(with_channels(images.float(), shape.channels), shape.side) / 127.5 - 1


@cache
def built_in(name: str) -> BuiltIn:
    """`digits` or `colour`.

    Raises:
        KeyError: another name.
    """
    network = Small(SHAPES[name])
    data = files("ddpm.evaluation.images.features").joinpath(f"{name}.safetensors").read_bytes()
    _, tensors = tensorfile.tensors_in(bytearray(data))
    network.load_state_dict(
        {key: value.float() for key, value in tensors.items()}, strict=False
    )  # but for the counters
    return BuiltIn(name, hashlib.sha256(data).hexdigest(), network.eval())
