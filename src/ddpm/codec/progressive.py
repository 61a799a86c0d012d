"""The progressive code of an image: first what is seen through noise, less and less of it, then cells, down to the pixels.

One function says it for both sides (`code_image`): it asks the denoiser by `yield`, so many images share a call of the network.
Where a prefix ends, what is known of the image so far is what the last estimate says, within the cells that were read.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ddpm.codec.cells import Cells, cavity
from ddpm.codec.channel import chunks_of, code, expected_bits, pick
from ddpm.codec.coder import Ended, Reader, Writer
from ddpm.codec.denoiser import Asked, Estimate, answered
from ddpm.codec.profile import Level, Profile, bins_of_average
from ddpm.codec.randomness import whole
from ddpm.codec.tables import Real, Whole

OFFSETS = 1 << 32
"""Key of the shared offsets; steps of the channel have keys of their own, below."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the bits say of an image, for whoever draws one that agrees with them: x_t (D,) at a level, and the ends of its cells."""

    x_t: Real
    level: Level
    first: Whole
    last: Whole


@dataclass(eq=False)
class Known:
    """What is known of an image so far: `pixels` (D,) as best estimated; `exact` once there is nothing more to say.

    `seen` is None where nothing is.
    """

    pixels: Real
    exact: bool = False
    stage: str = "nothing"
    seen: Seen | None = None

    def within(self, cells: Cells, where: NDArray[np.bool_] | None = None) -> None:
        """The pixels lie in these cells: all, or those of `where`."""
        if self.seen is not None:
            first, last = cells.first, cells.last
            if where is not None:
                first, last = np.where(where, first, self.seen.first), np.where(where, last, self.seen.last)
            self.seen = replace(self.seen, first=first, last=last)


Asking = Generator[tuple[Real, Level], Estimate, Known]


def encode(images: Sequence[Whole], profile: Profile, denoiser: Asked) -> list[bytes]:
    """Images (D,) of whole values, each as its own stream; D is the model's own, times tiles."""
    writers = [Writer() for _ in images]
    answered([code_image(profile, writer, len(x), x) for writer, x in zip(writers, images, strict=True)], denoiser)
    return [writer.stream() for writer in writers]


def decode(
    streams: Sequence[bytes], sizes: Sequence[int], whole: Sequence[bool], profile: Profile, denoiser: Asked
) -> list[Known]:
    """What streams say of images of `sizes` numbers; those that are not `whole` are beginnings.

    Raises:
        DataError: a whole one is damaged.
    """
    readers = [Reader(stream, all_there) for stream, all_there in zip(streams, whole, strict=True)]
    return answered([code_image(profile, *pair, None) for pair in zip(readers, sizes, strict=True)], denoiser)


def code_image(profile: Profile, coder: Writer | Reader, size: int, x: Whole | None) -> Asking:
    """Write the image x (D,) of whole values, or read one of `size` numbers: what is known of it."""
    tiles = size // profile.size
    known = Known(np.tile(profile.average, tiles))
    if isinstance(coder, Reader) and coder.is_blank(size - profile.size):
        return known
    try:
        z, estimate = yield from _through_noise(profile, coder, x, known)
        cells = yield from _in_cells(profile, coder, x, z, estimate, known)
    except Ended:
        return known
    return replace(known, pixels=cells.first.astype(float), exact=True, stage="exact")


def _through_noise(
    profile: Profile, coder: Writer | Reader, x: Whole | None, known: Known
) -> Generator[tuple[Real, Level], Estimate, tuple[Real, Estimate]]:
    """From nothing to the least noisy of the `noisy` levels: z there, and the estimate of x_0."""
    z = np.zeros(len(known.pixels))
    estimate = Estimate(known.pixels, np.tile(bins_of_average(profile), len(z) // profile.size))
    places = np.asarray(profile.places)
    steps = zip(profile.noisy[:-1], profile.noisy[1:], strict=True)
    for number, (level, following) in enumerate(steps):
        step = _Step(level, following)
        ratio = step.ratios(profile)[estimate.bins]
        of_x_0 = estimate.mean / profile.half - 1
        mean = step.c_0 * of_x_0 + step.c_t * z
        shift = None if x is None else step.c_0 * (x / profile.half - 1 - of_x_0) / step.sigma
        noise = np.zeros(len(z))
        for chunk, part in enumerate(chunks_of(step.expected(profile)[estimate.bins], profile.chunk, number, 1)):
            stream, candidates, chosen = 2 + chunk, profile.candidates, None
            if shift is not None:
                chosen = pick(number, stream, candidates, shift[part], ratio[part], places)
            noise[part] = code(coder, places, number, stream, candidates, len(part), chosen)
        z = mean + step.sigma * ratio * noise
        known.seen = Seen(z, following, np.zeros(len(z), dtype=np.int64), np.full(len(z), profile.levels - 1))
        estimate = yield z, following
        known.pixels, known.stage = estimate.mean, f"noise {following.sigma * profile.half:.0f}"
    return z, estimate


def _in_cells(
    profile: Profile, coder: Writer | Reader, x: Whole | None, z: Real, estimate: Estimate, known: Known
) -> Generator[tuple[Real, Level], Estimate, Cells]:
    """From the whole range to single values."""
    width, last = 2**profile.width, profile.noisy[-1]
    offset = whole(OFFSETS, 0, len(z), width)
    top = (profile.levels - 1 + width - 1).bit_length()
    cells = Cells(np.zeros(len(z), dtype=np.int64), top, offset, profile.levels)
    mean, deviation = estimate.mean, estimate.deviation(last)
    seen = z / np.sqrt(last.alpha_bar)  # x_0 plus noise of variance sigma^2, or of a little less (`pick`)
    while cells.log_width > 0:
        number = profile.width - cells.log_width
        if 0 <= number < len(profile.fine):
            of_cell, of_z = cells.variance / (profile.half * profile.half), last.sigma * last.sigma
            level = profile.fine[number]
            y = ((cells.centre / profile.half - 1) / of_cell + seen / of_z) / (1 / of_cell + 1 / of_z)
            x_t = np.sqrt(level.alpha_bar) * y
            known.seen = Seen(x_t, level, cells.first, cells.last)
            estimate = yield x_t, level
            mean, deviation = cavity(estimate.mean, estimate.deviation(level), cells)
            known.stage = f"cells of {2**cells.log_width}"
        cells = _halve(cells, mean, deviation, coder, x, known)
    return cells


def _halve(cells: Cells, mean: Real, deviation: Real, coder: Writer | Reader, x: Whole | None, known: Known) -> Cells:
    """A bit of each pixel whose two halves are both possible."""
    upper, both = cells.halves(mean, deviation)
    open_ = (upper > 0) & (upper < both)
    bits = np.where(upper > 0, 1, 0)
    told = None if x is None else ((x + cells.offset) >> (cells.log_width - 1))[open_] & 1
    try:
        bits[open_] = coder.bits(upper[open_], both[open_], told)
    except Ended as end:
        known.pixels = cells.expected(mean, deviation)
        known.within(cells)
        read, sure = np.flatnonzero(open_)[: len(end.known)], ~open_
        bits[read], sure[read] = end.known, True
        finer = cells.split(bits)
        known.pixels = np.where(sure, finer.expected(mean, deviation), known.pixels)
        known.within(finer, sure)
        raise
    return cells.split(bits)


@dataclass(frozen=True)
class _Step:
    """Of the chain from one level to the next (Eq. 7, between levels that need not be neighbours)."""

    level: Level
    following: Level

    @property
    def beta(self) -> float:
        return 1 - self.level.alpha_bar / self.following.alpha_bar

    @property
    def c_0(self) -> float:
        return float(np.sqrt(self.following.alpha_bar)) * self.beta / (1 - self.level.alpha_bar)

    @property
    def c_t(self) -> float:
        alpha = self.level.alpha_bar / self.following.alpha_bar
        return float(np.sqrt(alpha)) * (1 - self.following.alpha_bar) / (1 - self.level.alpha_bar)

    @property
    def sigma(self) -> float:
        return float(np.sqrt(self.beta * (1 - self.following.alpha_bar) / (1 - self.level.alpha_bar)))

    def ratios(self, profile: Profile) -> Real:
        """The receiver's deviation over the sender's, by bin: it does not know x_0."""
        return _ratios(self, profile.half)

    def expected(self, profile: Profile) -> Whole:
        """Bits of a pixel, by bin, in 256ths."""
        return _expected(self, profile.half)


@lru_cache(maxsize=64)
def _ratios(step: _Step, half: float) -> Real:
    return np.sqrt(1 + (step.c_0 * np.asarray(step.level.deviation) / half / step.sigma) ** 2)


@lru_cache(maxsize=64)
def _expected(step: _Step, half: float) -> Whole:
    return expected_bits(_ratios(step, half) ** 2)
