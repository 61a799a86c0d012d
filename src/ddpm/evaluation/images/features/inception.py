"""Inception v3 of December 2015, whose 2,048 pooled features are those of FID, KID and precision as they are published.

The graph is written here, as TensorFlow's file pt_inception-2015-12-05 has it: it differs from torchvision's in the borders of its mean
pools, in one pool of the last block, and in 1,008 classes. The weights are a file that the user gives, in the layout of pytorch-fid and
torch-fidelity. Images are scaled to 299 x 299 as TensorFlow 1 does: bilinear, by the corners at the top left, without antialiasing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.errors import DataError, Mismatch
from ddpm.evaluation.images.features.extractor import Bytes, Extractor, Outputs, with_channels

SIDE, CLASSES = 299, 1008
KNOWN = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of weights-inception-2015-12-05-6726825d.pth, which torch-fidelity and torchmetrics take."""
Shape: TypeAlias = tuple[int, int, int | tuple[int, int]]
"""Of a convolution: channels in and out, and its kernel; (1, 7) is a row of seven."""
Way: TypeAlias = Sequence[str | tuple[str, ...]]
"""Convolutions by name, one after the other; of a tuple of names all see the same, and what they make lies side by side."""


class Convolution(nn.Module):
    """Without bias, normalised, ReLU."""

    def __init__(self, shape: Shape, stride: int = 1, padding: int | tuple[int, int] = 0) -> None:
        super().__init__()
        ins, outs, kernel = shape
        self.conv = nn.Conv2d(ins, outs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Of (batch, ins, H, W)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _mean(x: Tensor) -> Tensor:
    """Of 3x3; what lies beyond the border does not count."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _largest(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, 1)


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


class Mixed(nn.Module):
    """Several ways through convolutions, and one through a pool, side by side."""

    def __init__(
        self,
        shapes: Mapping[str, Shape],
        ways: Sequence[Way],
        pool: Callable[[Tensor], Tensor],
        halving: Sequence[str] = (),
    ) -> None:
        super().__init__()
        for name, shape in shapes.items():
            kernel = shape[2] if isinstance(shape[2], tuple) else (shape[2], shape[2])
            stops = name in halving
            padding = 0 if stops else (kernel[0] // 2, kernel[1] // 2)
            self.add_module(name, Convolution(shape, 2 if stops else 1, padding))
        self.ways, self.pool = ways, pool

    def forward(self, x: Tensor) -> Tensor:
        """The ways' channels in their order, the pool's last."""
        pooled = self.pool(x)
        last = self.get_submodule("branch_pool")(pooled) if hasattr(self, "branch_pool") else pooled
        return torch.cat([*(self._along(way, x) for way in self.ways), last], 1)

    def _along(self, way: Way, x: Tensor) -> Tensor:
        for name in way:
            names = (name,) if isinstance(name, str) else name
            x = torch.cat([self.get_submodule(one)(x) for one in names], 1)
        return x


DOUBLE = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")


def _block_35(ins: int, pooled: int) -> Mixed:
    """On 35 x 35."""
    shapes: dict[str, Shape] = {
        "branch1x1": (ins, 64, 1),
        "branch5x5_1": (ins, 48, 1),
        "branch5x5_2": (48, 64, 5),
        **dict(zip(DOUBLE, ((ins, 64, 1), (64, 96, 3), (96, 96, 3)), strict=True)),
        "branch_pool": (ins, pooled, 1),
    }
    return Mixed(shapes, (("branch1x1",), ("branch5x5_1", "branch5x5_2"), DOUBLE), _mean)


def _to_17() -> Mixed:
    shapes: dict[str, Shape] = {
        "branch3x3": (288, 384, 3),
        **dict(zip(DOUBLE, ((288, 64, 1), (64, 96, 3), (96, 96, 3)), strict=True)),
    }
    return Mixed(shapes, (("branch3x3",), DOUBLE), _halved, ("branch3x3", DOUBLE[-1]))


def _block_17(inner: int) -> Mixed:
    """On 17 x 17."""
    once = [f"branch7x7_{i}" for i in (1, 2, 3)]
    twice = [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]
    row, column = (1, 7), (7, 1)
    shapes: dict[str, Shape] = {
        "branch1x1": (768, 192, 1),
        **dict(zip(once, ((768, inner, 1), (inner, inner, row), (inner, 192, column)), strict=True)),
        twice[0]: (768, inner, 1),
        **{name: (inner, inner, kernel) for name, kernel in zip(twice[1:4], (column, row, column), strict=True)},
        twice[4]: (inner, 192, row),
        "branch_pool": (768, 192, 1),
    }
    return Mixed(shapes, (("branch1x1",), once, twice), _mean)


def _to_8() -> Mixed:
    wide = [f"branch7x7x3_{i}" for i in (1, 2, 3, 4)]
    shapes: dict[str, Shape] = {
        "branch3x3_1": (768, 192, 1),
        "branch3x3_2": (192, 320, 3),
        **dict(zip(wide, ((768, 192, 1), (192, 192, (1, 7)), (192, 192, (7, 1)), (192, 192, 3)), strict=True)),
    }
    return Mixed(shapes, (("branch3x3_1", "branch3x3_2"), wide), _halved, ("branch3x3_2", wide[-1]))


def _block_8(ins: int, pool: Callable[[Tensor], Tensor]) -> Mixed:
    """On 8 x 8."""
    shapes: dict[str, Shape] = {
        "branch1x1": (ins, 320, 1),
        "branch3x3_1": (ins, 384, 1),
        "branch3x3_2a": (384, 384, (1, 3)),
        "branch3x3_2b": (384, 384, (3, 1)),
        "branch3x3dbl_1": (ins, 448, 1),
        "branch3x3dbl_2": (448, 384, 3),
        "branch3x3dbl_3a": (384, 384, (1, 3)),
        "branch3x3dbl_3b": (384, 384, (3, 1)),
        "branch_pool": (ins, 192, 1),
    }
    short = ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b"))
    long = ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"))
    return Mixed(shapes, (("branch1x1",), short, long), pool)


class InceptionV3(nn.Module):
    """From (batch, 3, 299, 299) in [-1, 1) to 2,048 features and 1,008 logits without their bias, as the inception score takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution((3, 32, 3), 2)
        self.Conv2d_2a_3x3 = Convolution((32, 32, 3))
        self.Conv2d_2b_3x3 = Convolution((32, 64, 3), padding=1)
        self.Conv2d_3b_1x1 = Convolution((64, 80, 1))
        self.Conv2d_4a_3x3 = Convolution((80, 192, 3))
        blocks = {
            **{
                f"Mixed_5{at}": _block_35(*sizes)
                for at, sizes in zip("bcd", ((192, 32), (256, 64), (288, 64)), strict=True)
            },
            "Mixed_6a": _to_17(),
            **{f"Mixed_6{at}": _block_17(inner) for at, inner in zip("bcde", (128, 160, 160, 192), strict=True)},
            "Mixed_7a": _to_8(),
            "Mixed_7b": _block_8(1280, _mean),
            "Mixed_7c": _block_8(2048, _largest),
        }
        for name, block in blocks.items():
            self.add_module(name, block)
        self.blocks = list(blocks)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        x = _halved(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _halved(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name in self.blocks:
            x = self.get_submodule(name)(x)
        features = x.mean((2, 3))
        return features, features @ self.fc.weight.T


def scaled(images: Tensor, side: int = SIDE) -> Tensor:
    """Real images (batch, C, H, W) to side x side as TensorFlow 1 scales them: pixel i is read at i * H/side, between two pixels."""
    for axis in (3, 2):
        length = images.shape[axis]
        place = torch.arange(side, dtype=torch.float32, device=images.device) * (length / side)
        low = place.long()
        part = (place - low).reshape(-1, *[1] * (3 - axis))
        below, above = images.index_select(axis, low), images.index_select(axis, (low + 1).clamp(max=length - 1))
        images = below + (above - below) * part
    return images


class Inception(Extractor):
    """With the weights of a file, whose SHA-256 is `digest`.

    Raises:
        DataError: they are those of another network.
    """

    def __init__(self, weights: Mapping[str, Tensor], digest: str) -> None:
        self.name, self.digest = "inception", digest
        self.how = "grey repeated, 299x299 (bilinear as TensorFlow 1, no antialiasing), (x - 128)/128"
        with torch.device("meta"):
            self.network = InceptionV3()
        own = {name: tensor for name, tensor in self.network.state_dict().items() if "num_batches" not in name}
        wrong = [name for name, tensor in own.items() if name not in weights or weights[name].shape != tensor.shape]
        more = [name for name in weights if name not in own and "num_batches" not in name]
        if wrong or more:
            raise DataError(
                f"not the weights of Inception v3 of 2015: {(wrong or more)[0][:60]!r} is missing, or of another shape"
            )
        self.network.load_state_dict({name: weights[name].float() for name in own}, strict=False, assign=True)
        for name, buffer in self.network.named_buffers():
            if "num_batches" in name:
                buffer.data = torch.zeros((), dtype=torch.int64)
        self.network.eval()

    def outputs(self, images: Bytes) -> Outputs:
        """The features of the last pool, and the logits without bias."""
        if images.shape[1] not in (1, 3):
            raise Mismatch(f"the features {self.name!r} are of images of 1 or 3 channels, not {images.shape[1]}")
        with torch.no_grad():
            return Outputs(*self.network((scaled(with_channels(images.float(), 3)) - 128) / 128))

    def to(self, device: torch.device) -> "Inception":
        """The same on another device."""
        self.network.to(device)
        return self
