"""Many images in one file: a table of contents, then groups of images, each group on one stack of the chain.

A group is coded and read as a whole, so an image costs what its bound says; to read one is to read its group. Of a group that
the chain makes no smaller the pixels are stored.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ddpm.codec import container
from ddpm.codec.chain.coding import GROUP, decode, encode
from ddpm.codec.codec import AT_ONCE, Codec, in_batches, too_short
from ddpm.codec.container import ARCHIVE, Header, read_shape, read_varint, shape_bytes, varint
from ddpm.codec.denoiser import Denoiser, Remembering
from ddpm.codec.tables import Whole
from ddpm.codec.tiles import Shape, join
from ddpm.errors import DataError, Mismatch, UsageError

TABLE = 2**20
"""Bytes of a table of contents, at most."""
LABEL = 255
"""Bytes of what an image is called, at most."""
DEFLATED = 1100
"""Bytes that zlib makes of one, at most."""
TOGETHER = 2**19
"""Numbers of the groups whose images share calls of the network, at most; a group that has more is alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of an archive: what it was called, "" for its number, and its shape (C, H, W), None for the model's own."""

    label: str = ""
    shape: Shape | None = None


PLAIN = Entry()


@dataclass(frozen=True)
class Group:
    """Images that are read together: coded by the chain, or `stored`; and CRC-32 of their shapes and pixels.

    `missing` is how many of the payload's bytes a file that was cut short has lost; then none of the images can be read.
    """

    entries: tuple[Entry, ...]
    stored: bool
    crc: int
    payload: bytes
    missing: int = 0


@dataclass(frozen=True)
class Archive:
    """What an archive holds: groups of images, in their order."""

    model: bytes
    groups: tuple[Group, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All images."""
        return tuple(entry for group in self.groups for entry in group.entries)

    def pack(self) -> bytes:
        """As bytes: the header, whose checksum is that of the table; the table's length; the table; the groups.

        The table, compressed by zlib, has the number of groups and of each how many images, twice how many bytes (one more if
        they are stored), and the checksum; then of each of its images the shape, the length of the label, and the label.

        Raises:
            Mismatch: it is too large for its table, or for the length in its header.
        """
        table = bytearray(varint(len(self.groups)))
        for group in self.groups:
            table += varint(len(group.entries)) + varint(2 * len(group.payload) + group.stored)
            table += group.crc.to_bytes(4, "big")
            for entry in group.entries:
                label = entry.label.encode()
                table += shape_bytes(entry.shape) + varint(len(label)) + label
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        packed = packer.compress(table) + packer.flush()
        rest = varint(len(packed)) + packed + b"".join(group.payload for group in self.groups)
        if len(table) > TABLE or len(rest) >= 2**27:
            raise Mismatch("the images are too many for one archive: make several")
        return Header(ARCHIVE, self.model, zlib.crc32(packed), len(rest)).pack() + rest


def unpack(file: bytes, *, cut: bool = False) -> Archive:
    """What an archive holds; one that was `cut` short too, if its table is there. Read with no trust in it.

    No more is allocated than its table may have. Its groups are only looked at as they are read: their checksums are of pixels.

    Raises:
        DataError: it is none, or is damaged or cut short.
    """
    header, rest = container.unpack(file)
    if header.coding != ARCHIVE:
        raise DataError("the file of one image, where an archive was expected")
    if len(rest) < header.length and not cut:
        raise DataError(
            "cut short: an archive is read whole",
            "ddpm inspect says which of its images can still be read, and ddpm decompress --only takes their numbers",
        )
    length, at = read_varint(rest, 0)
    packed, at = rest[at : at + length], at + length
    if at > len(rest) and len(rest) < header.length:
        raise DataError("cut short within its table of contents: none of its images can be read")
    if zlib.crc32(packed) != header.crc:
        raise DataError("damaged: the table of contents is not the one that was written")
    table, groups = _unpacked(packed), list[Group]()
    many, place = read_varint(table, 0)
    for _ in range(many):
        images, place = read_varint(table, place)
        size, place = read_varint(table, place)
        crc, place = int.from_bytes(table[place : place + 4], "big"), place + 4
        if not 1 <= images <= min(GROUP, 1 + DEFLATED * (size // 2)):
            raise DataError(
                f"damaged: a group of {images:,} images in {size // 2:,} bytes; a group has at most {GROUP}"
            )
        entries, place = _entries(table, place, images)
        payload = rest[at : at + size // 2]
        groups.append(Group(tuple(entries), bool(size & 1), crc, payload, size // 2 - len(payload)))
        at += size // 2
    if place != len(table) or at != header.length:
        raise DataError("damaged: there are more or fewer bytes than the table of contents says")
    return Archive(header.model, tuple(groups))


def _unpacked(packed: bytes) -> bytes:
    packer = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        table = packer.decompress(packed, TABLE + 1)
    except zlib.error as error:
        raise DataError(f"the table of contents is damaged: {error}") from error
    if len(table) > TABLE or not packer.eof or packer.unused_data:
        raise DataError("the table of contents is damaged")
    return table


def _entries(table: bytes, place: int, many: int) -> tuple[list[Entry], int]:
    """So many images that begin there, and where the next thing does; of the most that a table holds within a second or two."""
    found = list[Entry]()
    for _ in range(many):
        shape = None
        if table[place : place + 1] == b"\0":  # as of most: the shape is the model's own
            place += 1
        else:
            shape, place = read_shape(table, place)
        if place < len(table) and table[place] < 128:
            letters, place = table[place], place + 1
        else:
            letters, place = read_varint(table, place)
        end = place + letters
        if letters > LABEL or end > len(table):
            raise DataError("damaged: a label is too long")
        found.append(Entry(table[place:end].decode(errors="replace"), shape) if letters or shape else PLAIN)
        place = end
    return found, place


def coded(codec: Codec, images: Iterable[tuple[str, Whole]]) -> Iterator[Group]:
    """Groups of images (C, H, W) of whole values, each with its label ("" for its number); each group is read again.

    Raises:
        Mismatch: an image cannot be coded with this model, or a label has more than 255 bytes.
        DataError: what was coded was not read back alike, or the codec has no chain.
    """

    def size_of(pair: tuple[str, Whole]) -> int:
        return codec.tiled(pair[1].shape)

    def checked(pair: tuple[str, Whole]) -> tuple[str, Whole]:
        label, image = pair
        codec.check(image)
        if len(label.encode()) > LABEL:
            raise Mismatch(f"a name of more than {LABEL} bytes: {label!r}")
        return pair

    groups = in_batches(map(checked, images), size_of, AT_ONCE, GROUP)
    for some in in_batches(groups, lambda group: sum(map(size_of, group)), TOGETHER):
        yield from _together(codec, some)


def _together(codec: Codec, groups: Sequence[list[tuple[str, Whole]]]) -> Iterator[Group]:
    asked = replace(codec, denoiser=Remembering(codec.denoiser))
    pixels = [[image for _, image in group] for group in groups]
    small = [row for row, group in enumerate(pixels) if _fit([codec.tiled(image.shape) for image in group])]
    tiles = [[codec.cut(image) for image in pixels[row]] for row in small]
    streams = dict(zip(small, encode(tiles, codec.the_chain, asked.denoiser, codec.profile), strict=True))
    made = [_made(codec, group, streams.get(row)) for row, group in enumerate(groups)]
    for group, images, back in zip(made, pixels, _read(codec, made, asked.denoiser), strict=True):
        if not all(np.array_equal(one, image) for one, image in zip(back, images, strict=True)):
            raise DataError("what was coded was not read back alike: nothing is written")
        yield group


def _made(codec: Codec, group: Sequence[tuple[str, Whole]], stream: bytes | None) -> Group:
    entries = [Entry(label, codec.told_shape(image)) for label, image in group]
    images, levels = [image for _, image in group], codec.profile.levels
    stored = container.store(np.concatenate([image.ravel() for image in images]), levels)
    tiled = sum(codec.tiled(image.shape) for image in images)
    kept = codec.if_smaller(stream, stored, tiled)
    return Group(tuple(entries), kept is None, _crc(images, levels), stored if kept is None else kept)


def _fit(sizes: Sequence[int]) -> bool:
    """Whether the chain codes them as one group."""
    return sum(sizes) <= (container.MOST_NUMBERS if len(sizes) == 1 else AT_ONCE)


def _crc(images: Sequence[Whole], levels: int) -> int:
    return zlib.crc32(b"".join(container.crc_of(image, levels).to_bytes(4, "big") for image in images))


def require(archive: Archive, wanted: Collection[int]) -> None:
    """The archive has images of these numbers, and they are there.

    Raises:
        UsageError: it has not.
        DataError: some lie in groups that were cut off.
    """
    many = sum(len(group.entries) for group in archive.groups)
    if missing := sorted(row for row in wanted if not 0 <= row < many):
        raise UsageError(f"the archive has {many:,} images, 0 to {many - 1:,}: there is none of number {missing[0]:,}")
    groups = [(group, range(start, start + len(group.entries))) for start, group in _numbered(archive, wanted)]
    if lost := [row for group, rows in groups if group.missing for row in rows if row in wanted]:
        raise DataError(f"cut short: {len(lost):,} of these images lie where it ends: {', '.join(map(str, lost))}")


def require_ours(codec: Codec, archive: Archive) -> None:
    """The archive was made with this codec.

    Raises:
        Mismatch: with another.
    """
    codec.require_ours(Header(ARCHIVE, archive.model, 0, 0))


def read(codec: Codec, archive: Archive, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Whole]]:
    """The images of an archive (C, H, W) with their numbers, from 0; or those of the `wanted` numbers alone.

    Raises:
        UsageError: it has no image of that number.
        Mismatch: it was made with another model.
        DataError: it is damaged, or was cut short before some of them.
    """
    require_ours(codec, archive)
    if wanted is not None:
        require(archive, wanted)

    def size_of(item: tuple[int, Group]) -> int:
        return sum(codec.tiled(entry.shape or codec.profile.shape) for entry in item[1].entries)

    waiting = list(_numbered(archive, wanted))
    for some in in_batches(waiting, size_of, TOGETHER):
        found = _read(codec, [group for _, group in some], codec.denoiser)
        for (start, _), images in zip(some, found, strict=True):
            for row, image in enumerate(images, start):
                if wanted is None or row in wanted:
                    yield row, image


def groups_of(archive: Archive, wanted: Collection[int] | None) -> list[Group]:
    """Those that hold images of the `wanted` numbers, or all."""
    return [group for _, group in _numbered(archive, wanted)]


def _numbered(archive: Archive, wanted: Collection[int] | None) -> Iterator[tuple[int, Group]]:
    """The same, each with the number of its first image."""
    first = 0
    for group in archive.groups:
        rows = range(first, first := first + len(group.entries))
        if wanted is None or any(row in wanted for row in rows):
            yield rows.start, group


def _read(codec: Codec, groups: Sequence[Group], asked: Denoiser | Remembering) -> list[list[Whole]]:
    """Of each group its images, if they are those that were written."""
    if any(group.missing for group in groups):
        raise DataError("cut short: a group of images is read whole")
    shapes = [[entry.shape or codec.profile.shape for entry in group.entries] for group in groups]
    sizes = [[codec.tiled(shape) for shape in of] for of in shapes]
    for group, of in zip(groups, sizes, strict=True):
        if not group.stored and (too_short(len(group.payload), sum(of), codec.profile) or not _fit(of)):
            raise _not_those(group, sum(of))
    for group, of in zip(groups, shapes, strict=True):
        pixels = sum(int(np.prod(shape)) for shape in of)
        if not group.stored and len(group.payload) > container.raw_size(pixels, codec.profile.levels):
            raise _not_those(group, pixels)  # it would have been stored
    rows = [row for row, group in enumerate(groups) if not group.stored]
    streams = [groups[row].payload for row in rows]
    numbers = [sizes[row] for row in rows]
    coded_ = dict(zip(rows, decode(streams, numbers, codec.the_chain, asked, codec.profile), strict=True))
    found = []
    for row, (group, of) in enumerate(zip(groups, shapes, strict=True)):
        images = _joined(codec, coded_[row], of) if row in coded_ else _unstored(codec, group, of)
        if _crc(images, codec.profile.levels) != group.crc:
            raise DataError("damaged: the pixels are not those that were written")
        found.append(images)
    return found


def _joined(codec: Codec, tiles: Sequence[Whole], shapes: Sequence[Shape]) -> list[Whole]:
    own = codec.profile.shape
    return [join(one.reshape(-1, *own), shape) for one, shape in zip(tiles, shapes, strict=True)]


def _unstored(codec: Codec, group: Group, shapes: Sequence[Shape]) -> list[Whole]:
    sizes = [int(np.prod(shape)) for shape in shapes]
    total, levels = sum(sizes), codec.profile.levels
    if total > min(container.MOST_NUMBERS, DEFLATED * len(group.payload)):
        raise _not_those(group, total)
    pixels = container.unstore(group.payload, len(group.payload), total, levels)
    parts = np.split(pixels, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _not_those(group: Group, numbers: int) -> DataError:
    return DataError(f"damaged: {len(group.payload):,} bytes are not those of {numbers:,} numbers")
