"""The numbers that make a U-Net: those of Appendix B, and what the U-Nets of others do otherwise."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, runtime_checkable

from annotated_types import Ge, Gt, Lt, MaxLen, MinLen

from ddpm.errors import UsageError

ALL_CLASSES: Final = "all"
"""As many classes as the data have, until they are known."""


@dataclass(frozen=True)
class UNetShape:
    """The numbers that make a U-Net; the defaults are the paper's for 32x32.

    `attention` lists the levels that attend (the middle always does). A number of `classes` adds a class embedding; None is a
    network that knows no classes.

    The others are for networks that were made elsewhere (`ddpm.interop`); the paper's network has their defaults.

    Args:
        channels: width of the first level.
        multipliers: width of each level, in times `channels`; the product is rounded.
        blocks: residual blocks of a level on the way down; one more on the way up.
        attention: levels that attend, 0 is the first.
        dropout: probability, in each residual block.
        groups: of group normalisation, or as many of them as divide a width.
        classes: how many.
        heads: of attention.
        head_channels: width of a head, in place of `heads`: wider levels then have more of them.
        attention_up: levels that attend on the way up, where they are others.
        middle: the two residual blocks at the bottom with attention between, without, or none of them.
        middle_norm: whether that attention normalises what it sees.
        scale_shift: time scales and shifts what the second normalisation gives, and is not added before it.
        resample: sides are halved and doubled by a convolution, or inside a residual block.
        padding: of the halving convolution: one row at the far side, or one all around.
        norm_eps: added to the variance in group normalisation.
        cosines_first: the time embedding is cosines, then sines.
        freq_shift: its lowest frequency is reached at width/2 - `freq_shift`.
        time_channels: width of the sinusoids; None for `channels`.
        time_embedding: width of the embedding; None for 4 times that.
    """

    channels: Annotated[int, Ge(4)] = 128
    multipliers: Annotated[tuple[Annotated[int | float, Gt(0), Lt(1e6)], ...], MinLen(1), MaxLen(16)] = (1, 2, 2, 2)
    blocks: Annotated[int, Ge(1)] = 2
    attention: tuple[int, ...] = (1,)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    groups: Annotated[int, Ge(1)] = 32
    classes: Annotated[int, Ge(1)] | Literal["all"] | None = None

    heads: Annotated[int, Ge(1)] = 1
    head_channels: Annotated[int, Ge(1)] | None = None
    attention_up: tuple[int, ...] | None = None
    middle: Literal["attention", "plain", "none"] = "attention"
    middle_norm: bool = True
    scale_shift: bool = False
    resample: Literal["conv", "block"] = "conv"
    padding: Literal["far", "around"] = "far"
    norm_eps: Annotated[float, Gt(0), Lt(1)] = 1e-6
    cosines_first: bool = False
    freq_shift: Literal[0, 1] = 1
    time_channels: Annotated[int, Ge(4)] | None = None
    time_embedding: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        levels = {*self.attention, *self.going_up}
        widths = {width for level, width in enumerate(self.widths) if level in levels}
        if self.middle == "attention" and self.widths:
            widths.add(self.widths[-1])
        for width in sorted(widths):
            if width % (self.head_channels or self.heads):
                of = f"{self.heads} heads" if self.head_channels is None else f"heads of {self.head_channels} channels"
                raise UsageError(f"attention over {width} channels cannot have {of}: they must divide them")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(max(1, round(multiplier * self.channels)) for multiplier in self.multipliers)

    @property
    def going_up(self) -> tuple[int, ...]:
        """The levels that attend on the way up."""
        return self.attention if self.attention_up is None else self.attention_up

    @property
    def sinusoids(self) -> int:
        """Width of the sinusoids of time."""
        return self.time_channels or self.channels

    @property
    def embedding(self) -> int:
        """Width of the time embedding, which the classes' are added to."""
        return self.time_embedding or 4 * self.sinusoids

    def heads_of(self, width: int) -> int:
        """Of attention over so many channels."""
        return self.heads if self.head_channels is None else width // self.head_channels


OF_OTHERS: Final = frozenset(
    [
        "heads",
        "head_channels",
        "attention_up",
        "middle",
        "middle_norm",
        "scale_shift",
        "resample",
        "padding",
        "norm_eps",
        "cosines_first",
        "freq_shift",
        "time_channels",
        "time_embedding",
    ]
)
"""The fields with which the networks of others are described; the paper's network has their defaults."""


@runtime_checkable
class Labelled(Protocol):
    """A shape of any network: how many classes it knows, "all" until the data are known, None for a network without."""

    @property
    def classes(self) -> int | Literal["all"] | None:
        """How many."""
        ...


def class_number(shape: Labelled) -> int:
    """How many classes a network is built for; 0 if it knows none.

    Raises:
        ValueError: that depends on data that are not known yet.
    """
    if shape.classes == ALL_CLASSES:
        raise ValueError("how many classes the network has is known once the data are")
    return shape.classes or 0


def size(shape: UNetShape, inputs: int, outputs: int) -> tuple[int, int]:
    """How many tensors and how many numbers the parameters of a U-Net are, without building it: 16 levels take no time."""
    embedding, C, widths = shape.embedding, shape.channels, shape.widths
    before = [C, *widths]  # of level i: what comes from above on the way down, and from its last skip on the way up

    def stage(a: int, b: int, attends: bool = False) -> tuple[int, int]:  # noqa: FBT001, FBT002
        block = 2 * a + 9 * a * b + b + (embedding + 1) * b * (1 + shape.scale_shift) + 2 * b + 9 * b * b + b
        skip = 0 if a == b else (a + 1) * b
        return 10 + 2 * (a != b) + 10 * attends, block + skip + attends * (2 * b + 4 * (b + 1) * b)

    def layer(a: int, b: int, kernel: int = 3) -> tuple[int, int]:
        return 2, (kernel**2 * a + 1) * b

    def resample(width: int) -> tuple[int, int]:
        return layer(width, width) if shape.resample == "conv" else stage(width, width)

    parts = [(1, layer(shape.sinusoids, embedding, 1)), (1, layer(embedding, embedding, 1)), (1, layer(inputs, C))]
    classes = class_number(shape)
    parts += [(1, (1, classes * embedding))] if classes else []
    for level, width in enumerate(widths):
        down, up = level in shape.attention, level in shape.going_up
        parts += [(1, stage(before[level], width, down)), (shape.blocks - 1, stage(width, width, down))]
        deeper = widths[min(level + 1, len(widths) - 1)]
        parts += [(1, stage(deeper + width, width, up)), (shape.blocks - 1, stage(2 * width, width, up))]
        parts += [(1, stage(width + before[level], width, up))]
        parts += [(1, resample(width))] * ((level > 0) + (level < len(widths) - 1))
    bottom = widths[-1]
    parts += [] if shape.middle == "none" else [(1, stage(bottom, bottom, shape.middle == "attention"))]
    parts += [] if shape.middle == "none" else [(1, stage(bottom, bottom))]
    parts += [] if shape.middle != "attention" or shape.middle_norm else [(-1, (2, 2 * bottom))]
    parts += [(1, (2, 2 * widths[0])), (1, layer(widths[0], outputs))]
    return sum(n * tensors for n, (tensors, _) in parts), sum(n * numbers for n, (_, numbers) in parts)
