"""The parts of our U-Net in the order of its lists, with where each is: what the names of other libraries are made from."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from ddpm.models.shape import UNetShape


@dataclass(frozen=True)
class Part:
    """An entry of one of the lists.

    Args:
        ours: its name in our network, such as "down.3".
        side: "down", "middle" or "up".
        level: 0 is the widest image.
        number: among the stages of its level.
        index: in its list.
        resamples: whether it halves or doubles the sides, and is no stage.
    """

    ours: str
    side: str
    level: int
    number: int
    index: int
    resamples: bool = False


def parts(shape: UNetShape) -> Iterator[Part]:
    """All entries, as `UNet` makes them."""
    levels = len(shape.widths)
    down, up = count(), count()
    for level in range(levels):
        for number in range(shape.blocks):
            yield Part(f"down.{(i := next(down))}", "down", level, number, i)
        if level < levels - 1:
            yield Part(f"down.{(i := next(down))}", "down", level, shape.blocks, i, resamples=True)
    for number in range(0 if shape.middle == "none" else 2):
        yield Part(f"middle.{number}", "middle", levels - 1, number, number)
    for level in reversed(range(levels)):
        for number in range(shape.blocks + 1):
            yield Part(f"up.{(i := next(up))}", "up", level, number, i)
        if level > 0:
            yield Part(f"up.{(i := next(up))}", "up", level, shape.blocks + 1, i, resamples=True)


@dataclass(frozen=True)
class Layout:
    """How a library names the modules of the network.

    Args:
        outside: of those outside of the lists, by our name.
        residual: of those in a residual block, by our name.
        attention: of those in attention, by our name.
        block: the residual block of a part, or the part itself where it resamples in a block.
        attend: its attention.
        resample: the convolution that resamples.
    """

    outside: Mapping[str, str]
    residual: Mapping[str, str]
    attention: Mapping[str, str]
    block: Callable[[Part], str]
    attend: Callable[[Part], str]
    resample: Callable[[Part], str]

    def modules(self, shape: UNetShape) -> Mapping[str, str]:
        """Theirs by ours, "down.0.block.conv_1" and the like; also of modules that this shape does not have."""
        found = dict(self.outside)
        for part in parts(shape):
            if part.resamples and shape.resample == "conv":
                found[f"{part.ours}.conv"] = self.resample(part)
            elif part.resamples:
                found |= {f"{part.ours}.{a}": f"{self.block(part)}.{b}" for a, b in self.residual.items()}
            else:
                found |= {f"{part.ours}.block.{a}": f"{self.block(part)}.{b}" for a, b in self.residual.items()}
                found |= {f"{part.ours}.attention.{a}": f"{self.attend(part)}.{b}" for a, b in self.attention.items()}
        return found

    def names(self, shape: UNetShape, parameters: Iterable[str]) -> Mapping[str, str]:
        """What these parameters of our network are called there."""
        modules = self.modules(shape)
        return {name: f"{modules[module]}.{kind}" for name in parameters for module, _, kind in [name.rpartition(".")]}
