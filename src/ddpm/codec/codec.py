"""A model as a codec: images to files and back. A file that is written was read again first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ddpm.codec import container, progressive
from ddpm.codec.chain import coding as chain_coding
from ddpm.codec.chain.profile import ChainProfile
from ddpm.codec.container import ARCHIVE, CHAIN, PROGRESSIVE, STORED, Header
from ddpm.codec.denoiser import Denoiser, Remembering
from ddpm.codec.profile import Profile
from ddpm.codec.progressive import Known, Seen
from ddpm.codec.tables import Whole
from ddpm.codec.tiles import Shape, cut, join, number_of_tiles
from ddpm.errors import DataError, Mismatch

Item = TypeVar("Item")
AT_ONCE = 2**20
"""Numbers of images that are coded together, at most."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a file, or the first bytes of one, says: `pixels` (C, H, W), of whole values if `exact`, else estimated.

    `stage` names how far it came, `coding` how the file was made, and `seen` what it says of the image's tiles, if it is coded
    progressively and says anything.
    """

    pixels: np.ndarray
    exact: bool
    stage: str
    coding: str
    seen: Seen | None = None


@dataclass(frozen=True, eq=False)
class Codec:
    """Images of a model's levels as bytes. `name` is that of weights and profile (`Profile.digest`).

    With a `chain` an image may be coded by that too, and archives can be made and read (`ddpm.codec.archive`).
    """

    denoiser: Denoiser | Remembering
    name: bytes
    chain: ChainProfile | None = None

    @property
    def profile(self) -> Profile:
        """What sender and receiver agree on."""
        return self.denoiser.profile

    def watched(self, watch: Callable[[int], None]) -> "Codec":
        """The same, which tells after each call of the network of how many tiles that was."""
        assert isinstance(self.denoiser, Denoiser)
        return replace(self, denoiser=replace(self.denoiser, watch=watch))

    def calls(self, coding: int) -> int:
        """How often the network is asked of a tile that is coded so; of an archive's first images it is a little less often."""
        if coding in (CHAIN, ARCHIVE):
            return len(self.the_chain.steps)
        return len(self.profile.noisy) - 1 + len(self.profile.fine) if coding == PROGRESSIVE else 0

    def named(self, coding: int) -> bytes:
        """What a file of that coding says of the model: the first bytes of a name."""
        if coding in (CHAIN, ARCHIVE):
            return self.the_chain.digest(self.name.hex())[: container.NAME]
        return self.name[: container.NAME]

    @property
    def the_chain(self) -> ChainProfile:
        """That of archives.

        Raises:
            DataError: there is none.
        """
        if self.chain is None:
            raise DataError("it is coded by a chain, and of the chain of this model there is no profile")
        return self.chain

    def compress(self, images: Sequence[Whole], coding: int = PROGRESSIVE) -> list[bytes]:
        """A file of each image (C, H, W), of whole values below the profile's levels; each is read again before it is given.

        `coding` may be `container.CHAIN`: a smaller file, of which a beginning shows nothing.

        Raises:
            Mismatch: an image has channels that the model does not know, values that are no levels, or too many.
            DataError: what was coded was not read back alike.
        """
        streams = self._streams(images, coding)
        return [self._smallest(image, one, coding) for image, one in zip(images, streams, strict=True)]

    def progressive(self, images: Sequence[Whole]) -> list[bytes]:
        """The same to be cut: coded progressively where the pixels alone are smaller too, if it can be. Raises as `compress`."""
        return [
            self._smallest(image, stream, PROGRESSIVE)
            if stream is None or self._too_short(image, stream)
            else self._headed(image, stream, PROGRESSIVE)
            for image, stream in zip(images, self._streams(images, PROGRESSIVE), strict=True)
        ]

    def _streams(self, images: Sequence[Whole], coding: int) -> list[bytes | None]:
        """Of each image, or None where its tiles are too many; some images at a time."""
        for image in images:
            self.check(image)
        parts = in_batches(images, lambda image: self.tiled(image.shape), AT_ONCE)
        return [stream for some in parts for stream in self._together(some, coding)]

    def _together(self, images: Sequence[Whole], coding: int) -> list[bytes | None]:
        asked = Remembering(self.denoiser)
        coded = [image for image in images if self._is_small(image)]
        tiles = [self.cut(image) for image in coded]
        sizes, whole = [len(one) for one in tiles], [True] * len(tiles)
        if coding == CHAIN:
            streams = chain_coding.encode([[one] for one in tiles], self.the_chain, asked)
        else:
            streams = progressive.encode(tiles, self.profile, asked)
        back = self._read(coding, streams, sizes, whole, asked)
        for known, one in zip(back, tiles, strict=True):
            if not np.array_equal(known.pixels, one):
                raise DataError("what was coded was not read back alike: nothing is written")
        made = iter(streams)
        return [next(made) if self._is_small(image) else None for image in images]

    def _read(
        self,
        coding: int,
        streams: Sequence[bytes],
        sizes: Sequence[int],
        whole: Sequence[bool],
        asked: Denoiser | Remembering,
    ) -> list[Known]:
        """What streams say of images of `sizes` numbers; those that are not `whole` are beginnings."""
        if coding == PROGRESSIVE:
            return progressive.decode(streams, sizes, whole, self.profile, asked)
        if not all(whole):
            raise DataError("cut short: a file that is coded by a chain is read whole")
        found = chain_coding.decode(streams, [[size] for size in sizes], self.the_chain, asked)
        return [Known(pixels.astype(float), exact=True, stage="exact") for (pixels,) in found]

    def cut(self, image: Whole) -> Whole:
        """Its tiles, one after the other: (D,)."""
        return cut(image, self.profile.shape).reshape(-1)

    def _is_small(self, image: Whole) -> bool:
        """Whether its tiles are no more work than the largest image is."""
        return self.tiled(image.shape) <= container.MOST_NUMBERS

    def tiled(self, shape: tuple[int, ...]) -> int:
        """Numbers in all tiles of an image.

        Raises:
            Mismatch: its channels can be those of no tile.
        """
        channels, height, width = shape
        return number_of_tiles((channels, height, width), self.profile.shape) * self.profile.size

    def check(self, image: Whole) -> None:
        """Whether it can be coded.

        Raises:
            Mismatch: it cannot.
        """
        require_codable(image, self.profile.shape, self.profile.levels)

    def _smallest(self, image: Whole, stream: bytes | None, coding: int) -> bytes:
        """The file by the stream, if there is one that is shorter than the stored pixels."""
        stored = container.store(image, self.profile.levels)
        kept = self.if_smaller(stream, stored, self.tiled(image.shape))
        return self._headed(image, stored, STORED) if kept is None else self._headed(image, kept, coding)

    def if_smaller(self, stream: bytes | None, stored: bytes, numbers: int) -> bytes | None:
        """The stream of so many numbers, if there is one that is no longer than what is stored, and not too short to be read."""
        if stream is None or len(stored) < len(stream) or too_short(len(stream), numbers, self.profile):
            return None
        return stream

    def told_shape(self, image: Whole) -> Shape | None:
        """An image's shape as a file says it: None for the model's own."""
        channels, height, width = image.shape
        return None if image.shape == self.profile.shape else (channels, height, width)

    def _too_short(self, image: Whole, stream: bytes) -> bool:
        return too_short(len(stream), self.tiled(image.shape), self.profile)

    def _headed(self, image: Whole, payload: bytes, coding: int) -> bytes:
        levels = self.profile.levels
        as_it_is = coding == STORED and len(payload) == container.raw_size(image.size, levels)
        header = Header(
            coding,
            self.named(coding),
            container.crc_of(image, levels),
            0 if as_it_is else len(payload),
            self.told_shape(image),
        )
        return header.pack() + payload

    def decompress(self, files: Sequence[bytes], limit: int | None = None) -> list[Found]:
        """What the files say, or the first `limit` bytes of each. A file that is cut short is such a beginning.

        Raises:
            DataError: a file is damaged, or an archive.
            Mismatch: it was made with another model.
        """
        opened = [self._opened(file, limit) for file in files]
        parts = in_batches(opened, lambda one: self.tiled(one.shape), AT_ONCE)
        return [found for some in parts for found in self._decompress(some)]

    def _decompress(self, opened: "Sequence[_Opened]") -> list[Found]:
        """Some of them together."""
        known: dict[int, Known] = {}
        for coding in (PROGRESSIVE, CHAIN):
            some = {row: one for row, one in enumerate(opened) if one.header.coding == coding}
            if some:
                streams, sizes = (
                    [one.payload for one in some.values()],
                    [self.tiled(one.shape) for one in some.values()],
                )
                read = self._read(coding, streams, sizes, [one.whole for one in some.values()], self.denoiser)
                known.update(zip(some, read, strict=True))
        return [self._found(one, known.get(row)) for row, one in enumerate(opened)]

    def _opened(self, file: bytes, limit: int | None) -> "_Opened":
        header, payload = container.unpack(file)
        if header.coding == ARCHIVE:
            raise DataError("an archive of many images, where the file of one was expected")
        self.require_ours(header)
        shape = header.shape or self.profile.shape
        size = self.tiled(shape)
        if header.coding != STORED and too_short(header.length, size, self.profile):
            raise DataError(f"{header.length:,} bytes are too few for an image of {size:,} numbers")
        header = replace(header, length=self._length(header))
        container.require_no_more(len(payload), header.length)
        if limit is not None:
            payload = payload[: max(0, limit - (len(file) - len(payload)))]
        return _Opened(header, payload, shape)

    def _length(self, header: Header) -> int:
        """How many bytes follow a header."""
        shape = header.shape or self.profile.shape
        return container.raw_size(int(np.prod(shape)), self.profile.levels) if header.plain else header.length

    def whole_length(self, file: bytes) -> int:
        """How many bytes a file has, if it is not cut short."""
        header, payload = container.unpack(file)
        return len(file) - len(payload) + self._length(header)

    def require_ours(self, header: Header) -> None:
        """A file's model is this one.

        Raises:
            Mismatch: it is another.
        """
        container.require_made_with(header, self.named(header.coding))

    def _found(self, one: "_Opened", known: Known | None) -> Found:
        """The image of what was read, if it is what was written."""
        channels, height, width = one.shape
        if known is not None:
            numbers = known.pixels.astype(np.int64) if known.exact else known.pixels
            tiles = numbers.reshape(-1, *self.profile.shape)
            found = Found(
                join(tiles, one.shape), known.exact, known.stage, container.CODINGS[one.header.coding], known.seen
            )
        else:
            size = channels * height * width
            read = container.unstore(one.payload, one.header.length, size, self.profile.levels)
            rest = np.full(size - len(read), self.profile.half)
            pixels = read if one.whole else np.concatenate([read, rest])
            stage = "exact" if one.whole else f"{len(read)} of {size} numbers"
            found = Found(pixels.reshape(one.shape), exact=one.whole, stage=stage, coding="stored")
        if found.exact and container.crc_of(found.pixels, self.profile.levels) != one.header.crc:
            if one.whole:
                raise DataError("damaged: the pixels are not those that were written")
            return replace(found, exact=False)
        return found


@dataclass(frozen=True, eq=False)
class _Opened:
    header: Header
    payload: bytes
    shape: Shape

    @property
    def whole(self) -> bool:
        return len(self.payload) == self.header.length


def in_batches(
    items: Iterable[Item], size_of: Callable[[Item], int], most: int, many: int | None = None
) -> Iterator[list[Item]]:
    """Neighbours together: of a size of at most `most`, or one that has more; and at most so `many`."""
    batch, held = list[Item](), 0
    for item in items:
        size = size_of(item)
        if batch and (held + size > most or len(batch) == many):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch


def require_codable(image: Whole, own: Shape, levels: int) -> None:
    """An image (C, H, W) can be coded with a model of images of its `own` shape and so many levels.

    Raises:
        Mismatch: it cannot.
    """
    channels, height, width = image.shape
    number_of_tiles((channels, height, width), own)
    if not 0 < image.size <= container.MOST_NUMBERS:
        raise Mismatch(f"an image of {image.size:,} numbers: 1 to {container.MOST_NUMBERS:,} can be coded")
    if image.min() < 0 or image.max() >= levels:
        raise Mismatch(f"the model is for values 0..{levels - 1}, not {image.min()}..{image.max()}")


def too_short(length: int, size: int, profile: Profile) -> bool:
    """Whether so few coded bytes say so many numbers that no image is written so: one that would take long to refuse."""
    return size > min(profile.size + container.PER_BYTE * length, container.MOST_NUMBERS)
